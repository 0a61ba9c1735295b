"""The time of each network of the Ghost family beside ghostnet_100's, in the fused CPU kernels.

The networks take turns in one process, image by image, so that a machine that slows down slows all
of them. On one thread the time is that of the processor, which other programs do not add to.
``python benchmarks/family.py`` writes a file named after the kind of processor, such as
``family_zen_4.json``, beside this file in ``results``; ``--rounds`` and ``--network`` measure less.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable, Mapping

import limits
import numpy as np
from machine import machine
from random_parameters import random_parameters

from ghostnet import kernels
from ghostnet.kernels import Session
from ghostnet.models import find_model

BASELINE = "ghostnet_100"
WIDTHS = {
    "ghostnet": (50, 130),
    "ghostnetv2": (100, 130, 160),
    "ghostnetv3": (50, 100, 130, 160),
    "repghostnet": (50, 58, 80, 100, 111, 130, 150, 200),
}
OTHERS = [f"{name}_{percent:03d}" for name, percents in WIDTHS.items() for percent in percents]
CLASSES, SIZE = 1000, 224
ROUNDS = 200

CLOCKS: Mapping[int, Callable[[], float]] = {1: time.thread_time, 2: time.perf_counter}
"""The clock for so many threads."""


def session(name: str) -> Session:
    """The network with parameters at random."""
    architecture = find_model(name).architecture
    return Session(architecture, random_parameters(architecture, CLASSES))


def race(sessions: Mapping[str, Session], threads: int, rounds: int) -> dict[str, list[float]]:
    """Milliseconds of each round of every network."""
    kernels.set_threads(threads)
    clock = CLOCKS[threads]
    image = np.random.default_rng(0).normal(size=(1, 3, SIZE, SIZE)).astype(np.float32)
    milliseconds: dict[str, list[float]] = {name: [] for name in sessions}
    for _ in range(rounds):
        for name, network in sessions.items():
            network(image)  # brings the weights into the caches
            start = clock()
            network(image)
            milliseconds[name].append(1000 * (clock() - start))
    return milliseconds


def summary(milliseconds: Mapping[str, list[float]]) -> dict[str, dict[str, float]]:
    """The median time of each network, and the median of its ratios to the baseline."""
    baseline = milliseconds[BASELINE]
    return {
        name: {
            "milliseconds": statistics.median(times),
            "ratio": statistics.median(a / b for a, b in zip(times, baseline, strict=True)),
        }
        for name, times in milliseconds.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--network", action="append", help="network to measure")
    arguments = parser.parse_args()
    networks = (BASELINE, *(arguments.network or OTHERS))
    sessions = {name: session(name) for name in networks}
    measured = {
        "machine": machine(()),
        "instruction_set": kernels.instruction_set(),
        "rounds": arguments.rounds,
        "threads": {
            str(threads): summary(race(sessions, threads, arguments.rounds)) for threads in CLOCKS
        },
    }
    print(json.dumps(measured["threads"], indent=2))
    if not arguments.network:
        file = limits.results_file("family", None)
        file.write_text(json.dumps(measured, indent=2) + "\n")


if __name__ == "__main__":
    main()
