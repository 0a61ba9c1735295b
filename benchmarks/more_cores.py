"""Estimate what more cores give one image, from what one and two of this machine give.

``python benchmarks/more_cores.py`` measures GhostNet-1x on one and two threads and the time of a
barrier, and writes ``more_cores.json`` beside this file in ``results``. For each team, it adds up

- the time on one thread, in proportion to the multiply-adds of the thread that has most of them:
  parts are whole pairs of rows with their halo, or whole tiles of channels;
- the barriers, each as many times longer as more threads pass its cache line on;
- what two threads take longer than those two explain, once for each doubling.

It knows nothing of a clock that is lower with all cores busy, or of more than one socket.
"""

import json
import math
import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from machine import machine
from random_parameters import random_parameters

from ghostnet import kernels
from ghostnet.models import GHOSTNET_1X, complexity, network_spec
from ghostnet.models.specs import BottleneckSpec, LayerSpec

RESULTS = Path(__file__).with_name("results") / "more_cores.json"
CPU = Path(__file__).resolve().parents[1] / "ghostnet/kernels/csrc/cpu"
SIZE, CLASSES = 224, 37
TEAMS = (1, 2, 4, 8, 16)
ROUNDS = 400

# As in csrc/cpu/network/row_partition.h and csrc/cpu/ops/pointwise.h.
MIN_ROWS, PIECE_ROWS, CHANNEL_TILE = 8, 2, 12


class Part(NamedTuple):
    """The work between some barriers: multiply-adds, the largest share of a thread, barriers."""

    multiply_adds: int
    share: float
    barriers: int


def multiply_adds(layers: Iterable[LayerSpec | None]) -> int:
    """Count those of the layers that there are."""
    return complexity([layer for layer in layers if layer], SIZE).multiply_adds


def rows_share(rows: int, threads: int, halo: int = 0) -> float:
    """Return the largest part of so many rows."""
    pieces = math.ceil(math.ceil(rows / PIECE_ROWS) / threads)
    return min(1.0, (pieces * PIECE_ROWS + halo) / rows)


def tiles_share(channels: int, threads: int) -> float:
    """Return the largest part of the channel tiles."""
    tiles = math.ceil(channels / CHANNEL_TILE)
    tiles += tiles % 2 if tiles > 2 else 0
    return math.ceil(tiles / threads) / tiles


def bottleneck(block: BottleneckSpec, threads: int) -> Part:
    """Return the work of a bottleneck for a team."""
    primary = block.ghost2.primary
    rows = SIZE // (primary.reduction or SIZE)
    first = multiply_adds([*block.ghost1, block.downsample])
    second = multiply_adds([*block.ghost2, *(block.shortcut or ())])
    gates = 3 if block.squeeze_excite else 0
    if rows >= MIN_ROWS * threads:
        return Part(first + second, rows_share(rows, threads, halo=2), 1 + gates)
    work = first * tiles_share(block.ghost1.primary.out_channels, threads)
    work += second * tiles_share(primary.out_channels, threads)
    return Part(first + second, work / (first + second), 2 + gates)


def parts(threads: int) -> list[Part]:
    """Return the work of the network for a team, without the dense layers of squeeze-excite."""
    spec = network_spec(GHOSTNET_1X, CLASSES)
    blocks = [block for block in spec.blocks if isinstance(block, BottleneckSpec)]
    stem = Part(multiply_adds([spec.stem]), rows_share(SIZE // 2, threads), 1)
    last = Part(multiply_adds([spec.last]), tiles_share(spec.last.out_channels, threads), 1)
    head = Part(multiply_adds([spec.head, spec.classifier]), 1 / threads, 2)
    return [stem, *(bottleneck(block, threads) for block in blocks), last, head]


def estimate(one: float, two: float, barrier: float) -> dict[int, float]:
    """Return the milliseconds of an image for each size of a team."""

    def explained(threads: int) -> float:
        work = parts(threads)
        total = sum(part.multiply_adds for part in work)
        busiest = sum(part.multiply_adds * part.share for part in work)
        meetings = sum(part.barriers for part in work) * barrier * threads / 2
        return one * busiest / total + (meetings if threads > 1 else 0)

    lost = max(0.0, two - explained(2))
    return {threads: explained(threads) + lost * math.log2(threads) for threads in TEAMS}


def milliseconds(threads: int) -> float:
    """Return the median time of an image."""
    kernels.set_threads(threads)
    session = kernels.Session(GHOSTNET_1X, random_parameters(GHOSTNET_1X, CLASSES))
    image = np.zeros((1, 3, SIZE, SIZE), np.float32)
    times = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        session(image)
        times.append(time.perf_counter() - start)
    return 1000 * statistics.median(times)


def barrier_milliseconds() -> float:
    """Return the time of a barrier of two threads."""
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder) / "barrier"
        sources = [Path(__file__).with_name("barrier.cc"), CPU / "runtime/thread_team.cc"]
        options = ["-std=c++17", "-O3", "-pthread", "-I", CPU, "-o", program]
        subprocess.run(["c++", *options, *sources], check=True)
        done = subprocess.run([program], check=True, capture_output=True)
        return float(done.stdout) / 1e6


def main() -> None:
    one, two, barrier = milliseconds(1), milliseconds(2), barrier_milliseconds()
    result = {
        "machine": machine(()),
        "instruction_set": kernels.instruction_set(),
        "milliseconds": {1: one, 2: two},
        "barrier_nanoseconds": 1e6 * barrier,
        "barriers": sum(part.barriers for part in parts(2)),
        "estimate": estimate(one, two, barrier),
    }
    RESULTS.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
