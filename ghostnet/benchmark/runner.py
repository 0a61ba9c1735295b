"""The speed of a network on this machine, in this package and in other engines.

Each engine runs in a process of its own, with its own threads and memory. After a warm-up the
engines take turns, round by round, so that a machine that slows down slows all of them.
"""

import multiprocessing
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np

from ghostnet.benchmark.engines import ENGINES, OWN_WEIGHTS, WITH_BFLOAT16, Job
from ghostnet.benchmark.preparation import prepare
from ghostnet.errors import BenchmarkError, GhostNetError
from ghostnet.kernels.cpu.library import Dtype
from ghostnet.system import processes
from ghostnet.system.machine import processors
from ghostnet.system.memory import peak_memory

R = TypeVar("R")

TURN_SECONDS = 0.5
"""Length of a turn; at least one call is made."""

WARM_UP_CALLS = 3
MAX_DIFFERENCE = 1e-3
"""Largest difference from the plain network's logits with which an engine is timed."""

LIBRARY_PATH = "LD_LIBRARY_PATH"

SPAWN = multiprocessing.get_context("spawn")


@dataclass(frozen=True)
class Measurement:
    """The time and memory of one engine.

    Attributes:
        engine: Name in `ghostnet.benchmark.engines.ENGINES`.
        batch: Images in one call.
        threads: Threads that worked on one call.
        calls: Number of calls.
        milliseconds: Median time of a call.
        low: Lower quartile of the time of a call, in milliseconds.
        high: Upper quartile of the time of a call, in milliseconds.
        images_per_second: Throughput at the median.
        peak_mib: Peak memory of the engine's process, in MiB.
        difference: Largest difference from the plain network's logits; None where the engine has
            weights of its own.
        error: Why the engine did not run; the figures are then None.
    """

    engine: str
    batch: int
    threads: int
    calls: int = 0
    milliseconds: float | None = None
    low: float | None = None
    high: float | None = None
    images_per_second: float | None = None
    peak_mib: float | None = None
    difference: float | None = None
    error: str | None = None


def benchmark(
    model: str,
    engines: tuple[str, ...] = ("ghostnet",),
    *,
    batch: int = 1,
    threads: int | None = None,
    rounds: int = 10,
    dtype: Dtype = "float32",
    cache_dir: Path | None = None,
    progress: Callable[[int], None] = lambda count: None,
) -> list[Measurement]:
    """Time a model in several engines.

    Args:
        model: UID, card or checkpoint.
        engines: Names in `ghostnet.benchmark.engines.ENGINES`.
        batch: Images in one call.
        threads: Threads that work on a call; by default one per processor of this process.
        rounds: Turns of each engine.
        dtype: Type that the engines compute in; ``bfloat16`` is for those of
            `ghostnet.benchmark.engines.WITH_BFLOAT16`.
        cache_dir: Root of the cache; by default ``GHOSTNET_CACHE`` or ``~/.mscache``.
        progress: Called with 1 for each turn of an engine.

    Raises:
        BenchmarkError: There is no such engine, or not in that type.
        CardError, FetchError, IntegrityError, CheckpointError: The model cannot be opened.
    """
    unknown = [engine for engine in engines if engine not in ENGINES]
    if unknown:
        raise BenchmarkError(
            f"there is no engine {', '.join(unknown)}; choose from {', '.join(ENGINES)}"
        )
    left_out = [engine for engine in engines if dtype != "float32" and engine not in WITH_BFLOAT16]
    if left_out:
        raise BenchmarkError(
            f"{', '.join(left_out)} cannot be measured in {dtype}; choose from "
            f"{', '.join(WITH_BFLOAT16)}"
        )
    threads = threads or processors()
    with tempfile.TemporaryDirectory(prefix="ghostnet-") as folder:
        job = Job(model, cache_dir, Path(folder), batch, threads, dtype)
        with own_process() as process:
            missing = process.submit(prepare, job, engines).result()
        measured = race([(e, job) for e in engines if e not in missing], rounds, progress)
    found = {result.engine: result for result in measured}
    for engine, reason in missing.items():
        found[engine] = Measurement(engine, batch, threads, error=reason)
    return [found[engine] for engine in engines]


def race(
    entries: list[tuple[str, Job]],
    rounds: int = 10,
    progress: Callable[[int], None] = lambda count: None,
) -> list[Measurement]:
    """Time engines in turn, on jobs that `ghostnet.benchmark.preparation.prepare` has prepared.

    Args:
        entries: Name of each engine and its job.
        rounds: Turns of each engine.
        progress: Called with 1 for each turn of an engine.
    """
    with ExitStack() as stack:
        racers = [Racer(engine, job, stack) for engine, job in entries]
        for _ in range(rounds):
            for racer in racers:
                racer.turn()
                progress(1)
        return [racer.measurement() for racer in racers]


class Racer:
    """An engine in its own process, stopped between its turns.

    Some engines keep spinning after an answer, which would slow down the next engine.
    """

    def __init__(self, engine: str, job: Job, stack: ExitStack) -> None:
        self.engine = engine
        self.job = job
        self.seconds: list[float] = []
        self.error: str | None = None
        self.process = stack.enter_context(own_process())
        self.pid = self.process.submit(os.getpid).result()
        stack.callback(processes.resume, self.pid)
        self.difference = self._run(_start, engine, job)

    def turn(self) -> None:
        """Let the engine run for `TURN_SECONDS`."""
        self.seconds += self._run(_turn) or []

    def measurement(self) -> Measurement:
        """Return what was measured so far."""
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
            images_per_second=self.job.batch / median * 1000,
            peak_mib=peak_mib,
            difference=self.difference,
        )

    def _run(self, function: Callable[..., R], *arguments: object) -> R | None:
        """Call a function in the engine's process, unless an earlier call failed."""
        if self.error is not None:
            return None
        try:
            processes.resume(self.pid)
            return self.process.submit(function, *arguments).result()
        except (BenchmarkError, BrokenProcessPool) as error:
            self.error = str(error)
            return None
        finally:
            processes.pause(self.pid)


@contextmanager
def own_process() -> Iterator[ProcessPoolExecutor]:
    """Start a process that calls functions for this one, and kill it if the block fails.

    The child ignores SIGINT; the parent handles it. It starts without the libraries that MindSpore,
    once imported, puts on LD_LIBRARY_PATH, since PyTorch is a quarter slower with them.
    """
    with ProcessPoolExecutor(1, SPAWN) as executor:
        pid = _start_process(executor)
        try:
            yield executor
        except BaseException:
            processes.kill(pid)
            raise


def _start_process(executor: ProcessPoolExecutor) -> int:
    """Start the process of a pool with SIGINT blocked, and return its id."""
    paths = os.environ.get(LIBRARY_PATH, "")
    others = [folder for folder in paths.split(":") if "/mindspore/lib" not in folder]
    os.environ[LIBRARY_PATH] = ":".join(others)
    try:
        with processes.interrupts_blocked():
            return executor.submit(os.getpid).result()
    finally:
        os.environ[LIBRARY_PATH] = paths


# In the process of an engine ----------------------------------------------------------------

_calls: list[Callable[[], object]] = []
"""The one call that the process times."""


def _start(engine: str, job: Job) -> float | None:
    """Open the engine, and return the largest difference from the plain network's logits."""
    images, expected = np.load(job.images), np.load(job.logits)
    try:
        call = ENGINES[engine](job)
        difference = float(np.abs(call(images) - expected).max())
        for _ in range(WARM_UP_CALLS):
            call(images)
    except GhostNetError as error:
        raise BenchmarkError(str(error)) from None
    except Exception as error:  # engines fail in their own ways, and not all of them pickle
        raise BenchmarkError(f"{type(error).__name__}: {error}") from None
    _calls.append(lambda: call(images))
    if engine not in OWN_WEIGHTS:
        return None
    if not difference <= MAX_DIFFERENCE:
        raise BenchmarkError(
            f"its logits differ from those of the plain network by {difference:.2g}"
        )
    return difference


def _turn() -> list[float]:
    """Call for `TURN_SECONDS`, and return the seconds of each call."""
    seconds: list[float] = []
    while sum(seconds) < TURN_SECONDS:
        start = time.perf_counter()
        _calls[0]()
        seconds.append(time.perf_counter() - start)
    return seconds


def _peak_mib() -> float | None:
    """Return the peak memory of this process in MiB; None where the system does not tell."""
    peak = peak_memory()
    return None if peak is None else peak / 2**20
