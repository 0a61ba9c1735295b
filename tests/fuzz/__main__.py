"""Fuzzes one kind of input for a while: ``python tests/fuzz card --seconds 600``.

Atheris guides the search by coverage where it is installed; without it Hypothesis draws on. A crash
or an answer that takes a minute ends the run with the input that did it; memory is limited.
"""

import argparse
import faulthandler
import os
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("GLOG_v", "4")

HANG_SECONDS = 60
MEMORY_MIB = 2048
"""More than the process has at the start that an input may make it take."""

FOUND = Path("build/fuzz")
"""Where Atheris leaves the input that it found."""

Check = Callable[[bytes], None]


def watched(check: Check) -> Check:
    """The same check; a hang ends the process with the place where it hangs."""

    def call(data: bytes) -> None:
        faulthandler.dump_traceback_later(HANG_SECONDS, exit=True)
        check(data)
        faulthandler.cancel_dump_traceback_later()

    return call


def limit_memory() -> None:
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    limit = used + MEMORY_MIB * 1024**2
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def with_hypothesis(name: str, seconds: float) -> None:
    from hypothesis import HealthCheck, given, seed, settings
    from noise import noise
    from targets import TARGETS

    limit_memory()
    target = TARGETS[name]
    check = watched(target.check)
    end, turns, size = time.monotonic() + seconds, 0, 500
    while time.monotonic() < end:
        drawn = given(noise(target.examples))(lambda data: check(data))
        options = settings(max_examples=size, deadline=None, suppress_health_check=HealthCheck)
        seed(turns)(options(drawn))()
        turns += 1
    print(f"{name}: {turns * size:,} inputs by Hypothesis in {seconds:g} s: nothing found")


def with_atheris(name: str, seconds: float) -> None:
    import atheris

    with atheris.instrument_imports(include=["ghostnet", "yaml", "PIL"]):
        from targets import TARGETS
    target = TARGETS[name]
    FOUND.mkdir(parents=True, exist_ok=True)
    limit_memory()
    with tempfile.TemporaryDirectory() as corpus:
        for number, example in enumerate(target.examples):
            (Path(corpus) / str(number)).write_bytes(example)
        flags = [f"-max_total_time={seconds:g}", "-rss_limit_mb=0", f"-artifact_prefix={FOUND}/"]
        atheris.Setup([sys.argv[0], *flags, corpus], watched(target.check))
        atheris.Fuzz()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("name", help="card, uid, checkpoint, safetensors or image")
    parser.add_argument("--seconds", type=float, default=600)
    arguments = parser.parse_args()
    try:
        import atheris  # noqa: F401
    except ImportError:
        with_hypothesis(arguments.name, arguments.seconds)
    else:
        with_atheris(arguments.name, arguments.seconds)


if __name__ == "__main__":
    main()
