"""Measure GhostNet on this machine's CPU in every engine that is installed.

Writes ``cpu_inference.json``, ``.md`` and ``.png`` beside this file in ``results``. Each engine has
its own process; they take turns (see `ghostnet.benchmark`). Run from a checkout with nothing else
at work on the machine: ``python benchmarks/cpu_inference.py``.
"""

import json
import multiprocessing
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from machine import machine
from random_parameters import random_parameters

from ghostnet.benchmark import Measurement, benchmark
from ghostnet.checkpoints import write_checkpoint
from ghostnet.models import GHOSTNET_600M

RESULTS = Path(__file__).parent / "results"
FLOWERS = "ghostnet/cpu/2.10/ghostnet_v1.0_flowers"
OURS = {
    "ghostnet": "ours",
    "mindspore-fused": "ours, cell",
    "mindspore-fused-graph": "ours, graph",
}
"""A session, a call of the fused cell, and the same in a graph."""

PACKAGES = ("mindspore", "mindcv", "torch", "onnxruntime", "openvino")
RUNTIMES = ("onnxruntime", "openvino")
ALL = (*OURS, "mindspore", "mindcv", "torch", "torch-compile", *RUNTIMES)
FOR_600M = (*OURS, "mindspore", "torch", "torch-compile", *RUNTIMES)


@dataclass(frozen=True)
class Case:
    """One comparison: a network, images in a call, threads, and who takes part.

    MindCV and PyTorch eager take seconds for a batch of 32 and are measured at batch 1 only.
    """

    network: str
    batch: int
    threads: int
    engines: tuple[str, ...]

    @property
    def title(self) -> str:
        """For tables and plots."""
        return f"{self.network}, batch {self.batch}, {self.threads} thread" + "s" * (
            self.threads > 1
        )


CASES = (
    Case("ghostnet_1x", 1, 2, ALL),
    Case("ghostnet_1x", 1, 1, ALL),
    Case("ghostnet_1x", 32, 2, (*OURS, "mindspore", "torch-compile", *RUNTIMES)),
    Case("ghostnet_600m", 1, 2, FOR_600M),
    Case("ghostnet_600m", 32, 2, (*OURS, *RUNTIMES)),
)
MULTIPLY_ADDS = {"ghostnet_1x": 139.9e6, "ghostnet_600m": 586.1e6}
"""Of one image; 37 classes."""


def main() -> None:
    """Measure all cases, then write and print the results."""
    with tempfile.TemporaryDirectory() as folder:
        models = {"ghostnet_1x": FLOWERS, "ghostnet_600m": str(Path(folder) / "600m.ckpt")}
        parameters = random_parameters(GHOSTNET_600M, 37)
        write_checkpoint(parameters, Path(models["ghostnet_600m"]))
        measured = [(case, list(measure(case, models[case.network]))) for case in CASES]
    result = {
        "machine": machine(PACKAGES),
        "fma_peak_g_per_second_and_core": fma_peak(),
        "first_answer_seconds": {
            name: in_own_process(first_answer, name) for name in ("ghostnet", "mindspore")
        },
        "cases": [
            {"case": asdict(case), "measurements": [asdict(m) for m in measurements]}
            for case, measurements in measured
        ],
    }
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "cpu_inference.json").write_text(json.dumps(result, indent=1) + "\n")
    table = "\n".join(markdown(result))
    (RESULTS / "cpu_inference.md").write_text(table + "\n")
    plot(result, RESULTS / "cpu_inference.png")
    print(table)


def measure(case: Case, model: str) -> Iterator[Measurement]:
    """One case's measurements; progress goes to stderr."""
    print(case.title, file=sys.stderr)
    return iter(benchmark(model, case.engines, batch=case.batch, threads=case.threads, rounds=10))


def in_own_process(function: Any, *arguments: Any) -> Any:
    """The function's result from a fresh process."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as executor:
        return executor.submit(function, *arguments).result()


def first_answer(engine: str) -> float:
    """Seconds from the end of the imports to the first logits of one image."""
    from ghostnet import runtime
    from ghostnet.hub import open_model
    from ghostnet.inference.forward import open_forward

    if engine == "mindspore":
        runtime.start_mindspore()
    start = time.perf_counter()
    model = open_model(FLOWERS)
    open_forward(model, fused=engine == "ghostnet")(model.preprocess.blank(1))
    return time.perf_counter() - start


def fma_peak() -> float:
    """Thousand millions of multiply-adds that one core does in a second."""
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder) / "fma_peak"
        source = Path(__file__).with_name("fma_peak.cc")
        subprocess.run(["c++", "-O3", "-march=native", source, "-o", program], check=True)
        return float(subprocess.run([program], check=True, capture_output=True).stdout)


def markdown(result: dict[str, Any]) -> Iterator[str]:
    """The results as tables, lines one by one."""
    info = result["machine"]
    peak = result["fma_peak_g_per_second_and_core"]
    packages = ", ".join(f"{name} {number}" for name, number in info["packages"].items())
    yield f"{info['processor']}, {info['processors']} processors; {info['system']}; Python"
    yield f"{info['python']}; {packages}. Peak of one core: {peak:.1f} G multiply-adds a second."
    for entry in result["cases"]:
        case = Case(**entry["case"])
        yield f"\n### {case.title}\n"
        ratios = "".join(f" time / {name} |" for name in OURS.values())
        yield f"| engine | ms | quartiles | images/s | of the peak | peak MiB |{ratios}"
        yield f"| --- |{' ---: |' * (5 + len(OURS))}"
        yield from (row(case, m, entry["measurements"], peak) for m in entry["measurements"])
    fused, plain = result["first_answer_seconds"].values()
    yield f"\nFrom the imports' end to the first answer: fused {fused:.2f} s, stock {plain:.2f} s."


def row(case: Case, m: dict[str, Any], others: list[dict[str, Any]], peak: float) -> str:
    """One engine's line of a table."""
    if m["error"]:
        return f"| {m['engine']} | did not run: {m['error']} | | | | |{' |' * len(OURS)}"
    ours = (other["milliseconds"] for other in others if other["engine"] in OURS)
    ratios = "".join(f" {m['milliseconds'] / one:.2f} |" for one in ours)
    share = MULTIPLY_ADDS[case.network] * m["images_per_second"] / (peak * 1e9 * case.threads)
    return (
        f"| {m['engine']} | {m['milliseconds']:.2f} | {m['low']:.2f} – {m['high']:.2f} "
        f"| {m['images_per_second']:.1f} | {share:.0%} | {m['peak_mib']:.0f} |{ratios}"
    )


def plot(result: dict[str, Any], path: Path) -> None:
    """Milliseconds an image of every engine and case, on a logarithmic axis."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    cases = result["cases"]
    figure, axes = pyplot.subplots(len(cases), 1, figsize=(8, 2.2 * len(cases)), squeeze=False)
    for axis, entry in zip(axes[:, 0], cases, strict=True):
        case = Case(**entry["case"])
        ran = [m for m in entry["measurements"] if not m["error"]][::-1]
        values = [m["milliseconds"] / case.batch for m in ran]
        spread = [
            [(m["milliseconds"] - m["low"]) / case.batch for m in ran],
            [(m["high"] - m["milliseconds"]) / case.batch for m in ran],
        ]
        colors = ["tab:orange" if m["engine"] in OURS else "tab:blue" for m in ran]
        bars = axis.barh([m["engine"] for m in ran], values, xerr=spread, color=colors)
        axis.bar_label(bars, [f" {value:.2f}" for value in values])
        axis.set(title=case.title, xscale="log", xlabel="ms an image")
        axis.margins(x=0.15)
    figure.tight_layout()
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    main()
