"""Measure files to labels: images per second from JPEG files of three sizes, beside two peers.

``python benchmarks/folder.py ../shared/data/flowers/val`` tiles photographs of the folder to JPEG
files of 256 pixels (short side), 1 and 12 megapixels, labels each set with GhostNet-1x in turn by

- ``ghostnet``: what ``ghostnet predict --out`` runs;
- ``timm``: a timm transform, a PyTorch ``DataLoader`` with a process for each processor, and
  timm's ``ghostnet_100`` in batches;
- ``onnxruntime``: Pillow in a pool of threads, and the exported network in batches,

and writes ``folder.json`` beside this file in ``results``. It needs the extra ``bench``, and timm
with a torchvision that was built like PyTorch: for a CPU, from PyTorch's own index.
It also compares the answers for photographs of the folder with and without the reduced decoding,
at an input so small that these photographs are reduced as 12-megapixel ones are at 224 pixels.
"""

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import numpy as np
from machine import machine
from PIL import Image
from timm_loop import timm_batches

from ghostnet.data.image_folder import find_images
from ghostnet.data.transforms import Preprocess, decode
from ghostnet.export import export
from ghostnet.hub import open_model
from ghostnet.model import Model
from ghostnet.model.forward import open_forward
from ghostnet.models.registry import DEFAULT_MODEL

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results" / "folder.json"
SIZES = {"256 px": (384, 256), "1 MP": (1152, 864), "12 MP": (4000, 3000)}
FILES = {"256 px": 512, "1 MP": 256, "12 MP": 48}
BATCH_SIZE = 32
RUNS = 5
REDUCED_INPUT = 56
"""Side at which photographs of 256 pixels are decoded at a half, as large ones are at 224."""

Run = Callable[[list[Path]], int]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photographs", type=Path, help="folder of JPEG photographs")
    photographs = find_images([parser.parse_args().photographs])
    model = open_model(DEFAULT_MODEL)
    with tempfile.TemporaryDirectory() as folder:
        runs = make_runs(model, Path(folder))
        speeds = {
            size: compare(runs, list(draw(Path(folder) / size, photographs, size)))
            for size in SIZES
        }
    report = {
        "machine": machine(("pillow", "torch", "timm", "onnxruntime")),
        "images_per_second": speeds,
        "reduced_decoding": reduced_decoding(model, photographs),
    }
    RESULTS.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(report, indent=2))


def draw(folder: Path, photographs: list[Path], size: str) -> Iterator[Path]:
    """Write JPEG files of one size, each tiled of other photographs at their own resolution."""
    folder.mkdir()
    width, height = SIZES[size]
    supply = cycle(photographs)
    for index in range(FILES[size]):
        canvas = Image.new("RGB", (width, height))
        for left in range(0, width, 256):
            for top in range(0, height, 256):
                canvas.paste(decode(next(supply)), (left, top))
        file = folder / f"{index}.jpg"
        canvas.save(file, quality=90)
        yield file


def make_runs(model: Model, folder: Path) -> dict[str, Run]:
    """Return what labels a list of files, by engine."""

    def ours(files: list[Path]) -> int:
        results = model.results(files, batch_size=BATCH_SIZE)
        return sum(len(result.top(3)) > 0 for result in results)

    return {
        "ghostnet": ours,
        "timm": timm_run(model),
        "onnxruntime": onnxruntime_run(export(model, folder / "model.onnx"), model.preprocess),
    }


def timm_run(model: Model) -> Run:
    batches = timm_batches(len(model.labels), model.preprocess.image_size, BATCH_SIZE)

    def run(files: list[Path]) -> int:
        return sum(len(batch.softmax(1).topk(3)[1]) for batch in batches(files))

    return run


def onnxruntime_run(file: Path, preprocess: Preprocess) -> Run:
    import onnxruntime

    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    (node,) = session.get_inputs()

    def read(file: Path) -> Any:
        return preprocess(Image.open(file).convert("RGB"))

    def run(files: list[Path]) -> int:
        count = 0
        with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as threads:
            for batch in chunks(threads.map(read, files)):
                (logits,) = session.run(None, {node.name: np.stack(batch)})
                count += len(np.argsort(-logits, axis=1)[:, :3])
        return count

    return run


def chunks(images: Iterable[Any]) -> Iterator[list[Any]]:
    """Yield lists of ``BATCH_SIZE`` images; the last one may be shorter."""
    supply = iter(images)
    while batch := list(islice(supply, BATCH_SIZE)):
        yield batch


def compare(runs: dict[str, Run], files: list[Path]) -> dict[str, float]:
    """Return the median images per second of each engine; they run in turn."""
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(RUNS):
        for name, run in runs.items():
            start = time.perf_counter()
            assert run(files) == len(files)
            seconds[name].append(time.perf_counter() - start)
    return {name: len(files) / statistics.median(times) for name, times in seconds.items()}


def reduced_decoding(model: Model, photographs: list[Path]) -> dict[str, float]:
    """Compare the probabilities for photographs decoded whole and reduced."""
    preprocess = Preprocess(REDUCED_INPUT)
    forward = open_forward(model)
    pairs = [(decode(file), preprocess.decode(file)) for file in photographs]
    differences, same = [], 0
    for whole, reduced in pairs:
        if whole.size != reduced.size:
            expected, found = (softmax(forward(preprocess(x)[None])[0]) for x in (whole, reduced))
            differences.append(np.abs(found - expected).max())
            same += int(found.argmax() == expected.argmax())
    return {
        "photographs": len(differences),
        "same_top_1": same,
        "mean_difference": float(np.mean(differences)),
        "largest_difference": float(np.max(differences)),
    }


def softmax(logits: Any) -> Any:
    shares = np.exp(logits - logits.max())
    return shares / shares.sum()


if __name__ == "__main__":
    main()
