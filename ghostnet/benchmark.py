"""How fast a network runs on this machine, in this package and in other engines.

Each engine has a process of its own, so that its threads and its memory are its own too. After a
warm-up they take turns, round by round, so that a machine that slows down slows all of them.
"""

import multiprocessing
import os
import re
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np

from ghostnet.engines import ENGINES, OWN_WEIGHTS, Job, prepare
from ghostnet.errors import BenchmarkError, GhostNetError

R = TypeVar("R")

TURN_SECONDS = 0.5
"""How long an engine's turn lasts; at least one call is made."""

WARM_UP_CALLS = 3
MAX_DIFFERENCE = 1e-3
"""Between an engine's logits and the plain network's; beyond it the engine is not timed."""

LIBRARY_PATH = "LD_LIBRARY_PATH"

SPAWN = multiprocessing.get_context("spawn")


@dataclass(frozen=True)
class Measurement:
    """What one engine took.

    Attributes:
        engine: its name in `ghostnet.engines.ENGINES`.
        milliseconds: of one call, the median of ``calls``.
        low, high: the quartiles, in milliseconds.
        pictures_per_second: at the median.
        peak_mib: the most memory that the engine's process held, in MiB.
        difference: from the plain network's logits; None where the engine has other weights.
        error: why the engine did not run; the figures are then None.
    """

    engine: str
    batch: int
    threads: int
    calls: int = 0
    milliseconds: float | None = None
    low: float | None = None
    high: float | None = None
    pictures_per_second: float | None = None
    peak_mib: float | None = None
    difference: float | None = None
    error: str | None = None


def benchmark(
    model: str,
    engines: tuple[str, ...] = ("mindspore-fused",),
    *,
    batch: int = 1,
    threads: int | None = None,
    rounds: int = 10,
    cache_dir: Path | None = None,
    progress: Callable[[int], None] = lambda count: None,
) -> list[Measurement]:
    """Time a model in several engines.

    Args:
        model: UID, card or checkpoint.
        engines: names in `ghostnet.engines.ENGINES`.
        batch: pictures in one call.
        threads: that work on one call; by default one for each processor of this process.
        rounds: turns that each engine gets.
        cache_dir: root of the cache; by default ``GHOSTNET_CACHE`` or ``~/.mscache``.
        progress: called with 1 for each turn of an engine.

    Raises:
        BenchmarkError: an engine is not known.
        CardError, FetchError, IntegrityError, CheckpointError: the model cannot be opened.
    """
    unknown = [engine for engine in engines if engine not in ENGINES]
    if unknown:
        raise BenchmarkError(f"{', '.join(unknown)}: expected engines of {', '.join(ENGINES)}")
    threads = threads or len(os.sched_getaffinity(0))
    with tempfile.TemporaryDirectory(prefix="ghostnet-") as folder:
        job = Job(model, cache_dir, Path(folder), batch, threads)
        with own_process() as process:
            missing = process.submit(prepare, job, engines).result()
        raced = race([(e, job) for e in engines if e not in missing], rounds, progress)
    found = {result.engine: result for result in raced}
    for engine, reason in missing.items():
        found[engine] = Measurement(engine, batch, threads, error=reason)
    return [found[engine] for engine in engines]


def race(
    entries: list[tuple[str, Job]],
    rounds: int = 10,
    progress: Callable[[int], None] = lambda count: None,
) -> list[Measurement]:
    """Time engines on jobs that `ghostnet.engines.prepare` has prepared, in turn.

    Args:
        entries: an engine's name and its job, for each that takes part.
        rounds: turns that each engine gets.
        progress: called with 1 for each turn of an engine.
    """
    with ExitStack() as stack:
        racers = [Racer(engine, job, stack) for engine, job in entries]
        for _ in range(rounds):
            for racer in racers:
                racer.turn()
                progress(1)
        return [racer.measurement() for racer in racers]


class Racer:
    """An engine and its own process, which stands still but in its turns: some engines go on
    spinning after an answer, at the cost of the next.
    """

    def __init__(self, engine: str, job: Job, stack: ExitStack) -> None:
        self.engine = engine
        self.job = job
        self.seconds: list[float] = []
        self.error: str | None = None
        self.process = stack.enter_context(own_process())
        self.pid = self.process.submit(os.getpid).result()
        stack.callback(self._signal, signal.SIGCONT)
        self.difference = self._run(_start, engine, job)

    def turn(self) -> None:
        """Let the engine run for `TURN_SECONDS`."""
        self.seconds += self._run(_turn) or []

    def measurement(self) -> Measurement:
        """What was measured so far."""
        peak_mib = self._run(_peak_mib)
        if self.error is not None:
            return Measurement(self.engine, self.job.batch, self.job.threads, error=self.error)
        quartiles = np.percentile(self.seconds, (25, 50, 75)) * 1000
        low, median, high = (float(quartile) for quartile in quartiles)
        return Measurement(
            self.engine,
            self.job.batch,
            self.job.threads,
            calls=len(self.seconds),
            milliseconds=median,
            low=low,
            high=high,
            pictures_per_second=self.job.batch / median * 1000,
            peak_mib=peak_mib,
            difference=self.difference,
        )

    def _run(self, function: Callable[..., R], *arguments: object) -> R | None:
        """The function's result in the engine's process; once one failed, nothing more is run."""
        if self.error is not None:
            return None
        try:
            self._signal(signal.SIGCONT)
            return self.process.submit(function, *arguments).result()
        except (BenchmarkError, BrokenProcessPool) as error:
            self.error = str(error)
            return None
        finally:
            self._signal(signal.SIGSTOP)

    def _signal(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError):
            os.kill(self.pid, number)


@contextmanager
def own_process() -> Iterator[ProcessPoolExecutor]:
    """A process that calls functions for this one, killed where the block fails.

    It starts deaf to Ctrl-C, which is this process's to answer, and without the libraries that
    MindSpore, once imported, puts on LD_LIBRARY_PATH: PyTorch is a quarter slower with them.
    """
    executor = ProcessPoolExecutor(1, SPAWN)
    paths = os.environ.get(LIBRARY_PATH, "")
    others = [folder for folder in paths.split(":") if "/mindspore/lib" not in folder]
    heard = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    os.environ[LIBRARY_PATH] = ":".join(others)
    try:
        pid = executor.submit(os.getpid).result()
    finally:
        os.environ[LIBRARY_PATH] = paths
        signal.pthread_sigmask(signal.SIG_SETMASK, heard)
    try:
        yield executor
    except BaseException:
        os.kill(pid, signal.SIGKILL)
        raise
    finally:
        executor.shutdown()


# In the process of an engine ----------------------------------------------------------------

_calls: list[Callable[[], object]] = []
"""The one call that the process times."""


def _start(engine: str, job: Job) -> float | None:
    """Make the engine ready; returns how far its logits are from the plain network's."""
    pictures, expected = np.load(job.pictures), np.load(job.logits)
    try:
        call = ENGINES[engine](job)
        difference = float(np.abs(call(pictures) - expected).max())
        for _ in range(WARM_UP_CALLS):
            call(pictures)
    except GhostNetError as error:
        raise BenchmarkError(str(error)) from None
    except Exception as error:  # engines fail in their own ways, and not all of them pickle
        raise BenchmarkError(f"{type(error).__name__}: {error}") from None
    _calls.append(lambda: call(pictures))
    if engine not in OWN_WEIGHTS:
        return None
    if not difference <= MAX_DIFFERENCE:
        raise BenchmarkError(f"its logits are {difference:.2g} away from the plain network's")
    return difference


def _turn() -> list[float]:
    """Call for `TURN_SECONDS`; returns the seconds that each call took."""
    seconds: list[float] = []
    while sum(seconds) < TURN_SECONDS:
        start = time.perf_counter()
        _calls[0]()
        seconds.append(time.perf_counter() - start)
    return seconds


def _peak_mib() -> float:
    """The most memory that this process has held, in MiB."""
    status = Path("/proc/self/status").read_text()
    (kib,) = re.findall(r"VmHWM:\s+(\d+) kB", status)
    return int(kib) / 1024
