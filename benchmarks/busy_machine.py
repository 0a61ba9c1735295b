"""Measure inference and training beside other processes that keep processors busy.

``python benchmarks/busy_machine.py`` times each engine on a quiet machine, beside a busy process
for each processor but one, and beside one for each processor. It writes ``busy_machine.json``
beside this file in ``results`` and prints a table. It needs the extra ``bench``.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cpu_training
from machine import machine

from ghostnet.benchmark import benchmark
from ghostnet.models.registry import DEFAULT_MODEL

RESULTS = Path(__file__).with_name("results") / "busy_machine.json"
PACKAGES = ("onnxruntime", "openvino", "torch")
PROCESSORS = len(os.sched_getaffinity(0))

CONDITIONS = {"quiet": 0, "one processor free": PROCESSORS - 1, "none free": PROCESSORS}
"""How many processes are busy."""

INFERENCE = {
    f"batch 1, {PROCESSORS} threads": (1, PROCESSORS),
    "batch 1, 1 thread": (1, 1),
    f"batch 32, {PROCESSORS} threads": (32, PROCESSORS),
}
"""Images in a call, and its threads."""

TRAINING = {
    f"training, batch {cpu_training.BATCH}, {PROCESSORS} threads": PROCESSORS,
    f"training, batch {cpu_training.BATCH}, 1 thread": 1,
}
"""The threads of a training step."""

ENGINES = ("ghostnet", "onnxruntime", "openvino")
TRAINING_ENGINES = ("fused", "torch")
ROUNDS = 10


@contextmanager
def busy(processes: int) -> Iterator[None]:
    """Keep so many processors busy, wherever the system puts the processes."""
    command = [sys.executable, "-c", "while True: pass"]
    started = [subprocess.Popen(command) for _ in range(processes)]
    try:
        yield
    finally:
        for process in started:
            process.kill()
            process.wait()


def images_per_second() -> dict[str, dict[str, float]]:
    """Return the speed of each engine in each case, as the machine is now."""
    speeds = {}
    for case, (batch, threads) in INFERENCE.items():
        found = benchmark(DEFAULT_MODEL, ENGINES, batch=batch, threads=threads, rounds=ROUNDS)
        speeds[case] = {one.engine: one.images_per_second or 0.0 for one in found}
    for case, threads in TRAINING.items():
        trained = cpu_training.race(TRAINING_ENGINES, threads)
        speeds[case] = {engine: one["images_per_second"] for engine, one in trained.items()}
    return speeds


def main() -> None:
    rows: dict[str, dict[str, dict[str, float]]] = {}
    for condition, processes in CONDITIONS.items():
        with busy(processes):
            rows[condition] = images_per_second()
    RESULTS.write_text(json.dumps({"machine": machine(PACKAGES), "speeds": rows}, indent=1) + "\n")
    print("| machine | case | engine | images per second |\n| --- | --- | --- | ---: |")
    for condition, cases in rows.items():
        for case, engines in cases.items():
            for engine, speed in engines.items():
                print(f"| {condition} | {case} | {engine} | {speed:.1f} |")


if __name__ == "__main__":
    main()
