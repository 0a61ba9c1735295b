"""The results of the benchmarks, and the figures that follow from them."""

import csv
import json
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from ghostnet.hub.catalog import find_card
from ghostnet.models.registry import MODELS
from ghostnet.verify import count

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks/results"
PETS = "noah-cvlab/gpu/1.0/ghostnet_v1.0_oxford_pets"
CLASSES = 37

FIRST_SCREEN = "AMD EPYC (Zen 5)"
"""The processor that the READMEs speak of."""

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
"""The names of engines in the documents, in the order of the drawing."""

Tree = dict[str, Any]
Times = dict[str, float]


class Case(NamedTuple):
    """What engines are compared on."""

    network: str = "ghostnet_1x"
    batch: int = 1
    threads: int = 2


def results(name: str) -> Any:
    """Read the JSON document of a benchmark; keys that are digits become numbers."""

    def keyed(entries: Tree) -> dict[str | int, Any]:
        return {int(key) if key.isdigit() else key: value for key, value in entries.items()}

    return json.loads((RESULTS / f"{name}.json").read_text(), object_hook=keyed)


def by_processor(benchmark: str) -> Tree:
    """Read the documents of a benchmark that ran on several processors, by processor."""
    documents = [results(file.stem) for file in sorted(RESULTS.glob(f"{benchmark}_*.json"))]
    return {document["machine"]["processor"]: document for document in documents}


def case_times(document: Tree) -> dict[Case, Times]:
    """Return the milliseconds of a call in a document of `cpu_inference`, by case and engine."""
    cases = {}
    for entry in document["cases"]:
        times = {one["engine"]: one["milliseconds"] for one in entry["measurements"]}
        times.setdefault("ghostnet", times["mindspore-fused"])  # version 1.0 had no session
        case = Case(*(entry["case"][field] for field in Case._fields))
        cases[case] = {engine: time for engine, time in times.items() if time}
    return cases


INFERENCE = by_processor("cpu_inference")
TIMES = {processor: case_times(document) for processor, document in INFERENCE.items()}


def fastest_peer(times: Times) -> str:
    """Return the fastest engine that is not of this package."""
    return min(times.keys() & (ENGINES.keys() - {"ghostnet"}), key=times.__getitem__)


def first_screen() -> Tree:
    """Return the figures of this package and of the fastest other engine for one image."""
    one, batch = (TIMES[FIRST_SCREEN][Case(batch=size)] for size in (1, 32))
    peer = fastest_peer(one)
    return {
        "processor": FIRST_SCREEN,
        "ms": one["ghostnet"],
        "speed": 32e3 / batch["ghostnet"],
        "peer": ENGINES[peer],
        "peer_ms": one[peer],
        "peer_speed": 32e3 / batch[peer],
        "graph_ms": one["mindspore-fused-graph"],
    }


def counted(model: str) -> Tree:
    """Return the parameters and the multiply-adds of a network, in millions."""
    found = count(model, CLASSES)
    return {"parameters": found.parameters / 1e6, "multiply_adds": found.multiply_adds / 1e6}


def compared(case: Case) -> Tree:
    """Return time per image, lead over the fastest peer and share of the peak, by processor."""

    def cell(times: Times, peak: float) -> str:
        ours, peer = times["ghostnet"], fastest_peer(times)
        share = counted(case.network)["multiply_adds"] * case.batch / (ours * peak * case.threads)
        lead = f"{times[peer] / ours:.2f} × {ENGINES[peer]}"
        return f"**{ours / case.batch:.2f}**, {lead}, {share:.0%}"

    peaks = {name: found["fma_peak_g_per_second_and_core"] for name, found in INFERENCE.items()}
    return {
        name: cell(times[case], peaks[name]) if case in times else "–"
        for name, times in TIMES.items()
    }


def engines(case: Case) -> Tree:
    """Return the time per image of each engine, by processor."""
    ran = {processor: times.get(case, {}) for processor, times in TIMES.items()}
    return {
        engine: {
            processor: f"{times[engine] / case.batch:.2f}" if engine in times else "–"
            for processor, times in ran.items()
        }
        for engine in dict.fromkeys(engine for times in ran.values() for engine in times)
    }


def run(name: str, images: int, held_out: int) -> Tree:
    """Return the figures of a training run, from its configuration, its log and its images."""
    config = yaml.safe_load((ROOT / f"benchmarks/{name}.yaml").read_text())
    log = f"benchmarks/results/{name.replace('/', '_')}"
    with (ROOT / f"{log}.csv").open() as file:
        epochs = [{key: float(text) for key, text in row.items()} for row in csv.DictReader(file)]
    best = max(epochs, key=lambda epoch: epoch["top1"])
    return {
        "images": images,
        "pixels": f"{config['image_size']}, {config.get('val_size', config['image_size'])}",
        "epochs": f"{len(epochs)} of {config['epochs']}",
        "minutes": sum(images / epoch["images_per_second"] for epoch in epochs) / 60,
        "best": best["epoch"],
        "right": f"{held_out * best['top1']:.0f} of {held_out:,}",
        "log": f"../{log}",
        "last": sorted(held_out * epoch["top1"] for epoch in epochs[-7:]),
    }


def training(engines: Tree) -> Tree:
    """Return the figures of engines in training, with their speed over PyTorch's."""
    torch = engines["torch"]["images_per_second"]
    return {
        name: {**found, "ratio": found["images_per_second"] / torch}
        for name, found in engines.items()
    }


def ray_hours() -> float:
    """Return the core hours to label 100 million images through Ray."""
    row = results("cluster")["rows"][-1]
    return float(100e6 / 3600 * row["processors"] / row["images_per_second"])


CASES = {
    f"`{case.network}` | {case.batch} | {case.threads}": case
    for case in dict.fromkeys(case for times in TIMES.values() for case in times)
}
CLAIMS = next(table for table in find_card(PETS).claims if "Comparison" in table.title).by_model()

FIGURES: Tree = {
    **{file.stem: results(file.stem) for file in RESULTS.glob("*.json")},
    "first_screen": first_screen(),
    "counted": {model: counted(model) for model in MODELS},
    "networks": {
        model: {"card": CLAIMS[model], **counted(model), **times}
        for model, times in results("comparison").items()
    },
    "cpu_inference": INFERENCE,
    "compared": {name: compared(case) for name, case in CASES.items()},
    "engines": {name: engines(case) for name, case in CASES.items()},
    "training": {
        processor: training(document["engines"])
        for processor, document in by_processor("cpu_training").items()
    },
    "runs": {name: run(name, **images) for name, images in results("runs").items()},
    "ray": {"hours": ray_hours(), "dollars": 0.04 * ray_hours()},
}
"""Figures by name: the documents of the benchmarks, and what follows from them."""
