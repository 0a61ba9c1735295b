"""Measure GhostNet on this machine's CPU in every engine that is installed.

Writes a file named after the kind of processor, such as ``cpu_inference_zen_4.json``, beside this
file in ``results``, and the plot of all such files. Each engine has its own process; they take
turns (see `ghostnet.benchmark`). Run from a checkout with nothing else at work on the machine:
``python benchmarks/cpu_inference.py``. ``--plot`` only draws. ``--limit avx2`` measures the engines
that can be kept to AVX2, as on a processor that has no more. ``--network NAME``, which may be
repeated, measures some networks and leaves the file's other cases as they are. ``--dtype bfloat16``
measures the engines that have that type, all in it, and writes a file of its own, such as
``bfloat16_inference_zen_4.json``, which the plot leaves out.
"""

import argparse
import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import limits
from machine import machine
from random_parameters import random_parameters

from ghostnet.benchmark import Measurement, benchmark
from ghostnet.benchmark.engines import WITH_BFLOAT16
from ghostnet.checkpoints import write_checkpoint
from ghostnet.kernels.cpu.library import Dtype
from ghostnet.models import find_model

PLOT = Path(__file__).resolve().parents[1] / "docs/cpu_inference.png"
FLOWERS = "ghostnet/cpu/2.10/ghostnet_v1.0_flowers"
OURS = ("ghostnet", "mindspore-fused", "mindspore-fused-graph")
"""A session, a call of the fused cell, and the same in a graph."""

RUNTIMES = ("onnxruntime", "openvino", "mnn", "ncnn", "litert")
PACKAGES = (
    "mindspore", "mindcv", "torch", "onnxruntime", "openvino", "MNN", "ncnn", "ai-edge-litert",
)  # fmt: skip
PEERS = (*RUNTIMES, "torch-compile")
"""Engines of the plot; the others are too slow for its scale."""

ALL = (*OURS, "mindspore", "mindcv", "torch", "torch-compile", *RUNTIMES)
FOR_600M = (*OURS, "mindspore", "torch", "torch-compile", *RUNTIMES)
FOR_SUCCESSORS = (*OURS, "torch", "onnxruntime", "openvino", "litert")

SUCCESSORS = ("ghostnetv2_100", "ghostnetv3_100", "repghostnet_100")
RANDOM = ("ghostnet_600m", *SUCCESSORS)
"""Networks without bundled weights."""


WITHOUT_LIMIT = {"onnxruntime", "mnn", "ncnn", "litert"}
"""Engines that use all that the processor has."""

FMA_FLAGS = {None: ("-march=native",), "avx2": ("-mavx2", "-mfma")}
"""Options of the compiler for the peak of an instruction set, by the name of the limit."""


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

    def shortened(self) -> "Case":
        """Without the engines that have no bfloat16."""
        return replace(self, engines=tuple(e for e in self.engines if e in WITH_BFLOAT16))

    def limited(self) -> "Case":
        """Without the engines that cannot be kept to an instruction set."""
        return replace(self, engines=tuple(e for e in self.engines if e not in WITHOUT_LIMIT))


CASES = (
    Case("ghostnet_1x", 1, 2, ALL),
    Case("ghostnet_1x", 1, 1, ALL),
    Case("ghostnet_1x", 32, 2, (*OURS, "mindspore", "torch-compile", *RUNTIMES)),
    Case("ghostnet_600m", 1, 2, FOR_600M),
    Case("ghostnet_600m", 32, 2, (*OURS, *RUNTIMES)),
    *(
        Case(network, batch, threads, FOR_SUCCESSORS)
        for network in SUCCESSORS
        for batch, threads in ((1, 2), (1, 1), (32, 2))
    ),
)


def main() -> None:
    """Measure all cases, then write the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--plot", action="store_true", help="only draw the plot")
    parser.add_argument(
        "--limit", choices=limits.NAMES, help="instruction set that engines may use"
    )
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), default="float32")
    parser.add_argument("--network", action="append", help="network to measure")
    arguments = parser.parse_args()
    if not arguments.plot:
        os.environ.update(limits.LIMITS[arguments.limit])
        is_short = arguments.dtype == "bfloat16"
        kind = "bfloat16_inference" if is_short else "cpu_inference"
        file = limits.results_file(kind, arguments.limit)
        cases = [case for case in CASES if case.network in (arguments.network or [case.network])]
        if is_short:
            cases = [case.shortened() for case in cases]
        measured = measure_all(cases, arguments.limit, arguments.dtype)
        if arguments.network:
            measured["cases"] = others(file, cases) + measured["cases"]
        file.write_text(json.dumps(measured, indent=1) + "\n")
        print(f"wrote {file}; python website/figures.py updates the documents")
    plot(PLOT)


def others(file: Path, cases: list[Case]) -> list[Any]:
    """Return the cases of a file that are not measured anew."""
    networks = {case.network for case in cases}
    entries = json.loads(file.read_text())["cases"] if file.exists() else []
    return [entry for entry in entries if entry["case"]["network"] not in networks]


def measure_all(cases: list[Case], limit: str | None, dtype: Dtype) -> dict[str, Any]:
    """Return what a file of results holds."""
    with tempfile.TemporaryDirectory() as folder:
        models = {"ghostnet_1x": FLOWERS}
        for name in RANDOM:
            file = Path(folder) / f"{name}.ckpt"
            write_checkpoint(random_parameters(find_model(name).architecture, 37), file)
            models[name] = str(file)
        cases = [case.limited() for case in cases] if limit else cases
        measured = [(case, list(measure(case, models[case.network], dtype))) for case in cases]
    return {
        "dtype": dtype,
        "machine": machine(PACKAGES) | {"processor": limits.limited_processor(limit)},
        "fma_peak_g_per_second_and_core": fma_peak(FMA_FLAGS[limit]),
        "first_answer_seconds": {
            name: in_own_process(first_answer, name) for name in ("ghostnet", "mindspore")
        },
        "cases": [
            {"case": asdict(case), "measurements": [asdict(m) for m in measurements]}
            for case, measurements in measured
        ],
    }


def measure(case: Case, model: str, dtype: Dtype) -> Iterator[Measurement]:
    """One case's measurements; progress goes to stderr."""
    print(case.title, file=sys.stderr)
    return iter(
        benchmark(
            model,
            case.engines,
            batch=case.batch,
            threads=case.threads,
            rounds=10,
            dtype=dtype,
        )
    )


def in_own_process(function: Any, *arguments: Any) -> Any:
    """The function's result from a fresh process."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as executor:
        return executor.submit(function, *arguments).result()


def first_answer(engine: str) -> float:
    """Seconds from the end of the imports to the first logits of one image."""
    from ghostnet import runtime
    from ghostnet.hub import open_model
    from ghostnet.model.forward import open_forward

    if engine == "mindspore":
        runtime.start_mindspore()
    start = time.perf_counter()
    model = open_model(FLOWERS)
    open_forward(model, fused=engine == "ghostnet")(model.preprocess.blank(1))
    return time.perf_counter() - start


def fma_peak(flags: Iterable[str]) -> float:
    """Thousand millions of multiply-adds that one core does in a second."""
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder) / "fma_peak"
        source = Path(__file__).with_name("fma_peak.cc")
        subprocess.run(["c++", "-O3", *flags, source, "-o", program], check=True)
        return float(subprocess.run([program], check=True, capture_output=True).stdout)


def plot(path: Path) -> None:
    """Draw how many times faster than each engine this package is, by case and processor."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    files = sorted(limits.RESULTS.glob("cpu_inference_*.json"))
    reports = [json.loads(file.read_text()) for file in files]
    heights = [0.45 * len(report["cases"]) for report in reports]
    figure, axes = pyplot.subplots(
        len(reports),
        figsize=(9, sum(heights)),
        height_ratios=heights,
        squeeze=False,
        sharex=True,
    )
    for axis, report in zip(axes[:, 0], reports, strict=True):
        titles = [Case(**entry["case"]).title for entry in report["cases"]]
        for place, engine in enumerate(PEERS):
            speedups = [speedup(entry["measurements"], engine) for entry in report["cases"]]
            offset = 0.8 * ((place + 0.5) / len(PEERS) - 0.5)
            places = [index + offset for index in range(len(titles))]
            axis.barh(places, speedups, 0.8 / len(PEERS), label=engine)
        axis.set(title=report["machine"]["processor"], yticks=range(len(titles)))
        axis.set_yticklabels(titles)
        axis.invert_yaxis()
        axis.axvline(1, color="black", linewidth=0.8)
    axes[-1, 0].set_xlabel("time of the engine / time of this package")
    handles, names = axes[0, 0].get_legend_handles_labels()
    figure.tight_layout(rect=(0, 0, 1, 0.98))
    figure.legend(handles, names, loc="upper center", ncols=len(PEERS), frameon=False)
    figure.savefig(path, dpi=110)


def speedup(measurements: list[dict[str, Any]], engine: str) -> float:
    """Return how many times the time of this package an engine takes; 0 where it did not run."""
    times = {one["engine"]: one["milliseconds"] for one in measurements if not one["error"]}
    ours = times.get("ghostnet") or times["mindspore-fused"]
    return float(times.get(engine, 0) / ours)


if __name__ == "__main__":
    main()
