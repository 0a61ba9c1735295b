"""100,000 predictions in one process: does memory grow, do the answers drift?

``python benchmarks/soak.py`` labels the photographs in assets/images over and over, as ``ghostnet
predict`` does, on the fused network of the bundled model. Then threads that share the network
label them at once. It writes results/soak.json, results/soak.md and results/soak.png.
"""

import argparse
import json
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import cycle, islice
from pathlib import Path
from typing import Any

os.environ.setdefault("GLOG_v", "4")

import numpy as np

from ghostnet import kernels
from ghostnet.hub import open_model
from ghostnet.hub.catalog import assets_folder
from ghostnet.model import Model

MODEL = "ghostnet/cpu/2.10/ghostnet_v1.0_flowers"
THREADS = 8
WARM_UP = 0.1
"""Share of the run that the slope leaves out: allocators fill their pools at first."""

PAGE = """# A long run, measured

`python benchmarks/soak.py`: {predictions:,} predictions in one process, files to labels, on the
fused network.

| | |
| --- | ---: |
| memory after the first {warm_up:,} predictions | {start_mib:.1f} MiB |
| memory at the end | {end_mib:.1f} MiB |
| slope between | {slope_kib:.3f} KiB for 1,000 predictions |
| largest difference between two answers for one image | {drift:g} |
| the same with {threads} threads sharing the network ({shared_predictions:,} predictions) \
| {shared_drift:g} |

![Memory over the run](soak.png)
"""

Answers = dict[str, np.ndarray]


def resident_mib() -> float:
    """What this process holds in memory now, in MiB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) / 1024


def differences(model: Model, files: Iterator[Path], expected: Answers) -> Iterator[float]:
    """For each file, how far its logits are from the expected ones."""
    for result in model.results(files):
        yield float(np.abs(result.logits - expected[result.name]).max())


def soak(predictions: int, samples: int) -> dict[str, Any]:
    """Everything that is measured; ``memory`` is MiB after each of ``samples`` equal parts."""
    model = open_model(MODEL)
    if not kernels.available(model.architecture):
        raise SystemExit("the fused kernels are not available here")
    files = sorted((assets_folder() / "images").glob("*.jpg"))
    expected = {result.name: result.logits for result in model.predict(files)}

    every = predictions // samples
    memory, drift = [], 0.0
    stream = differences(model, islice(cycle(files), every * samples), expected)
    for number, difference in enumerate(stream, 1):
        drift = max(drift, difference)
        if number % every == 0:
            memory.append(resident_mib())

    share = predictions // (10 * THREADS)

    def worker(start: int) -> float:
        return max(differences(model, islice(cycle(files), start, start + share), expected))

    with ThreadPoolExecutor(THREADS) as executor:
        shared_drift = max(executor.map(worker, range(THREADS)))

    counted = np.arange(1, samples + 1) * every
    first = round(WARM_UP * samples)
    slope_mib = np.polyfit(counted[first:] / 1000, memory[first:], 1)[0]
    return {
        "predictions": every * samples,
        "warm_up": int(counted[first]),
        "start_mib": memory[first],
        "end_mib": memory[-1],
        "slope_kib": float(slope_mib) * 1024,
        "drift": drift,
        "threads": THREADS,
        "shared_predictions": share * THREADS,
        "shared_drift": shared_drift,
        "memory": memory,
    }


def plot(result: dict[str, Any], path: Path) -> None:
    """Memory over the run."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 3), layout="constrained")
    axes = figure.subplots()
    every = result["predictions"] / len(result["memory"])
    counted = every * np.arange(1, len(result["memory"]) + 1)
    axes.plot(counted, result["memory"])
    axes.set(xlabel="predictions", ylabel="memory (MiB)", ylim=(0, 1.2 * max(result["memory"])))
    axes.grid(alpha=0.3)
    figure.savefig(path, dpi=120)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--predictions", type=int, default=100_000)
    parser.add_argument("--samples", type=int, default=200)
    parser.add_argument("--out", type=Path, default=Path(__file__).with_name("results"))
    arguments = parser.parse_args()
    result = soak(arguments.predictions, arguments.samples)
    (arguments.out / "soak.json").write_text(json.dumps(result, indent=1) + "\n")
    (arguments.out / "soak.md").write_text(PAGE.format(**result))
    plot(result, arguments.out / "soak.png")
    print(PAGE.format(**result))


if __name__ == "__main__":
    main()
