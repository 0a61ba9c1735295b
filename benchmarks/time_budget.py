"""Where the time of one image goes in the fused CPU kernels, by kind of layer.

``python benchmarks/time_budget.py`` samples a loop over one image with Linux's ``perf``, on one
thread and on two, and compares the time of each kind with what its multiply-adds would take at the
peak of the cores. It writes a file such as ``time_budget_zen_4.json`` beside this file in
``results``; `website/figures.py` then updates docs/kernels.md.
"""

import argparse
import json
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import limits
import numpy as np
from cpu_inference import FMA_FLAGS, fma_peak
from family import CLASSES, SIZE, session
from machine import machine

from ghostnet import kernels
from ghostnet.models import complexity, find_model, network_spec
from ghostnet.models.specs import LayerSpec

NETWORKS = ("ghostnet_100", "ghostnetv2_100")
THREADS: Mapping[str, int] = {"one_thread": 1, "two_threads": 2}
IMAGES = 1500
SAMPLES_PER_SECOND = 2500

NOT_OF_A_CALL = re.compile(r"::pack_|ThreadPool::run_thread")
"""Symbols of the library that run before the first call or between two."""


class Kind(NamedTuple):
    """Some layers of a network, and the symbols of the library that compute them."""

    symbols: str
    has: Callable[[LayerSpec], bool]


KINDS: Mapping[str, Kind] = {
    "stem": Kind(r"split_phases|register_tile.*long const\*", lambda x: "stem" in x.name),
    "pointwise convolutions": Kind(
        "register_tile", lambda x: x.kind == "convolution" and bool(x.reduction)
    ),
    "attention behind its pointwise convolution": Kind(
        "pool_plane|convolve_rows|convolve_columns|multiply_(rows|span)",
        lambda x: "gates" in x.name,
    ),
    "other depthwise convolutions": Kind(
        "depthwise_stride|convolve_row<", lambda x: x.kind == "depthwise"
    ),
    "squeeze-excite": Kind("Float32Weights|squeeze_excite|span_sum", lambda x: ".se." in x.name),
    "head and classifier": Kind("Float24Weights", lambda x: x.reduction is None),
    "waiting for the other thread": Kind("Barrier::wait", lambda _: False),
    "copies, sums of shortcuts, the rest": Kind("", lambda _: True),
}
"""A symbol, or a layer, belongs to the first kind that fits."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--loop", nargs=2, metavar=("NETWORK", "THREADS"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.loop:
        print(loop(arguments.loop[0], int(arguments.loop[1])))
        return
    peak = fma_peak(FMA_FLAGS[None])
    measured = {
        "machine": machine(()),
        "instruction_set": kernels.instruction_set(),
        "fma_peak_g_per_second_and_core": peak,
        "networks": {name: budgets(name, peak) for name in NETWORKS},
    }
    text = json.dumps(measured, indent=2) + "\n"
    limits.results_file("time_budget", None).write_text(text)
    print(text)


def loop(network: str, threads: int) -> float:
    """Run the network on one image many times, and return the median of milliseconds."""
    run = session(network)
    kernels.set_threads(threads)
    image = np.random.default_rng(0).normal(size=(1, 3, SIZE, SIZE)).astype(np.float32)
    milliseconds = []
    for _ in range(IMAGES):
        start = time.perf_counter()
        run(image)
        milliseconds.append(1000 * (time.perf_counter() - start))
    return statistics.median(milliseconds)


def budgets(network: str, peak: float) -> dict[str, dict[str, dict[str, float]]]:
    """Return the milliseconds of each kind on so many threads, and those at the peak of the cores.

    Kinds without samples are left out.
    """
    counts = multiply_adds(network)
    runs = {threads: sampled(network, threads) for threads in THREADS.values()}
    return {
        kind: {
            name: {
                "milliseconds": runs[threads][0] * runs[threads][1][kind],
                "share": runs[threads][1][kind],
                "at_peak": count / (peak * 1e6 * threads),
            }
            for name, threads in THREADS.items()
        }
        for kind, count in counts.items()
        if any(shares[kind] for _, shares in runs.values())
    }


def multiply_adds(network: str) -> dict[str, int]:
    """Return the multiply-adds of each kind for one image."""
    layers: dict[str, list[LayerSpec]] = {kind: [] for kind in KINDS}
    for layer in network_spec(find_model(network).architecture, CLASSES).layers():
        layers[next(name for name, kind in KINDS.items() if kind.has(layer))].append(layer)
    return {
        kind: complexity(some, SIZE).multiply_adds if some else 0 for kind, some in layers.items()
    }


def sampled(network: str, threads: int) -> tuple[float, dict[str, float]]:
    """Return the milliseconds of an image, and the share of each kind in the samples."""
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "perf.data"
        command = [sys.executable, __file__, "--loop", network, str(threads)]
        record = ["perf", "record", "--quiet", f"--freq={SAMPLES_PER_SECOND}", f"--output={data}"]
        run = subprocess.run([*record, *command], check=True, capture_output=True, text=True)
        report = ["perf", "report", f"--input={data}", "--stdio", "--percent-limit=0"]
        report += ["--dso=libghostnet_cpu.so", "--fields=sample,sym", "--field-separator=\t"]
        lines = subprocess.run(report, check=True, capture_output=True, text=True).stdout
    samples = dict.fromkeys(KINDS, 0)
    for count, symbol in re.findall(r"^\s*(\d+)\s*\t(.+)$", lines, re.MULTILINE):
        if not NOT_OF_A_CALL.search(symbol):
            kind = next(name for name, kind in KINDS.items() if re.search(kind.symbols, symbol))
            samples[kind] += int(count)
    total = sum(samples.values())
    return float(run.stdout), {kind: count / total for kind, count in samples.items()}


if __name__ == "__main__":
    main()
