"""The committed results of the benchmarks, as the documents use them."""

import csv
import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from ghostnet.verify import count

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks/results"
PETS = "noah-cvlab/gpu/1.0/ghostnet_v1.0_oxford_pets"
PETS_CLASSES = 37

BENCHMARKS = ROOT / "benchmarks"


class TrainingRun(NamedTuple):
    """A run that made a model of the package: its training images, and those held out."""

    images: int
    held_out: int


RUNS = {
    "imagenet/first": TrainingRun(144859, 1463),
    "imagenet/second": TrainingRun(25532, 790),
    "imagenet/third": TrainingRun(26027, 295),
    "imagenet/fourth": TrainingRun(6754, 218),
    "imagenet/fifth": TrainingRun(6754, 218),
    "imagenet/classifier": TrainingRun(26322, 1369),
    "pets/train": TrainingRun(3820, 218),
    "flowers/first": TrainingRun(2934, 370),
    "flowers/second": TrainingRun(2934, 370),
}
"""Runs by the name of their configuration, without its suffix, in `benchmarks`."""

ENGINES = {
    "ghostnet": "this package",
    "openvino": "OpenVINO",
    "onnxruntime": "ONNX Runtime",
    "mnn": "MNN",
    "ncnn": "ncnn",
    "litert": "LiteRT",
    "torch-compile": "torch.compile",
    "torch": "PyTorch",
    "mindspore": "MindSpore",
}
"""Engines as the documents call them, in the order of tables and drawings."""

PEERS = {engine: name for engine, name in ENGINES.items() if engine != "ghostnet"}
"""Engines that this package is compared with."""


class Case(NamedTuple):
    """One comparison of engines."""

    network: str = "ghostnet_1x"
    batch: int = 1
    threads: int = 2


ONE_IMAGE = Case()
ONE_THREAD = Case(threads=1)
BATCH = Case(batch=32)


@cache
def results(name: str) -> Any:
    """Read a file of results: a JSON document, or the rows of a CSV file."""
    text = (RESULTS / name).read_text()
    return list(csv.DictReader(text.splitlines())) if name.endswith(".csv") else json.loads(text)


def by_processor(benchmark: str) -> dict[str, str]:
    """Return a benchmark's files of results, by the name of the processor."""
    files = sorted(file.name for file in RESULTS.glob(f"{benchmark}_*.json"))
    return {results(file)["machine"]["processor"]: file for file in files}


MAIN = "cpu_inference_zen_5.json"
"""Results of the processor that the READMEs speak of."""


def inference(file: str = MAIN) -> dict[Case, dict[str, float]]:
    """Return the milliseconds of a call, by case and engine."""
    times = {}
    for entry in results(file)["cases"]:
        case = Case(*(entry["case"][field] for field in Case._fields))
        ran = [one for one in entry["measurements"] if not one["error"]]
        times[case] = {one["engine"]: one["milliseconds"] for one in ran}
        times[case].setdefault(
            "ghostnet", times[case]["mindspore-fused"]
        )  # version 1.0 had no session
    return times


def fastest_peer(case: Case, file: str = MAIN) -> str:
    """Return the engine that takes the least time for a case, this package left out."""
    times = inference(file)[case]
    return min(times.keys() & PEERS.keys(), key=times.__getitem__)


def counted(model: str) -> Iterator[float]:
    """Yield the parameters and the multiply-adds of a network, in millions."""
    yield from (number / 1e6 for number in count(model, PETS_CLASSES))


def log_of(run: str) -> list[dict[str, str]]:
    """Return the epochs of a run."""
    rows: list[dict[str, str]] = results(f"{run.replace('/', '_')}.csv")
    return rows
