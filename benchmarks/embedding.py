"""Measure files to embeddings: images per second, beside timm, and how long searches take.

``python benchmarks/embedding.py ../shared/data/flowers/val`` tiles photographs of the folder to
JPEG files of 256 pixels (short side) and 1 megapixel, and embeds each set in turn by

- ``ghostnet``: what ``ghostnet embed --out FILE.npy`` runs, files of names and times included;
- ``timm``: a timm transform, a PyTorch ``DataLoader`` with a process for each processor, and timm's
  ``ghostnet_100`` without classifier in batches, saved as one array.

It then searches in random vectors, and writes ``embedding.json`` beside this file in ``results``.
It needs the extra ``bench``, and timm with a torchvision that was built like PyTorch.
clip-retrieval is not among the engines: it embeds with CLIP alone, whose weights it downloads.
"""

import argparse
import json
import tempfile
import time
from pathlib import Path

import numpy as np
from folder import BATCH_SIZE, Run, compare, draw
from machine import machine
from timm_loop import timm_batches

from ghostnet.data.image_folder import find_images
from ghostnet.embeddings import Embeddings, duplicates, similar
from ghostnet.embeddings.array_file import ArrayFile
from ghostnet.embeddings.embedder import embed_with, vectors_of
from ghostnet.hub import open_model
from ghostnet.inference.labeling import label
from ghostnet.inference.provenance import Provenance
from ghostnet.inference.results import open_results
from ghostnet.inference.vectors import Layer
from ghostnet.model import Model
from ghostnet.models.registry import DEFAULT_MODEL

RESULTS = Path(__file__).with_name("results") / "embedding.json"
SIZES = ("256 px", "1 MP")
SEARCHED = {"similar": 200_000, "duplicates": 20_000}
"""Vectors that each search compares."""

LENGTH = 1280


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photographs", type=Path, help="folder of JPEG photographs")
    photographs = find_images([parser.parse_args().photographs])
    with tempfile.TemporaryDirectory() as folder:
        runs = make_runs(open_model(DEFAULT_MODEL), Path(folder))
        speeds = {
            size: compare(runs, list(draw(Path(folder) / size, photographs, size)))
            for size in SIZES
        }
    report = {
        "machine": machine(("pillow", "torch", "timm")),
        "images_per_second": speeds,
        "searched": SEARCHED,
        "seconds": searches(),
    }
    RESULTS.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(report, indent=2))


def make_runs(model: Model, folder: Path) -> dict[str, Run]:
    """Return what embeds a list of files, by engine."""
    vectors = vectors_of(model, Layer.HEAD, normalized=False)
    provenance = Provenance.of(model, 0, vectors)

    def ours(files: list[Path]) -> int:
        with tempfile.TemporaryDirectory(dir=folder) as place:
            out, formats = Path(place) / "out.npy", {".npy": ArrayFile}
            labeler = embed_with(model, vectors, batch_size=BATCH_SIZE)
            with open_results(out, provenance, formats=formats) as rows:
                return label(labeler, map(str, files), rows).rows

    return {"ghostnet": ours, "timm": timm_run(model, folder / "timm.npy")}


def timm_run(model: Model, out: Path) -> Run:
    batches = timm_batches(0, model.preprocess.image_size, BATCH_SIZE)

    def run(files: list[Path]) -> int:
        vectors = np.concatenate([batch.numpy() for batch in batches(files)])
        np.save(out, vectors)
        return len(vectors)

    return run


def searches() -> dict[str, float]:
    """Return the seconds of each search."""
    generator = np.random.default_rng(0)

    def embeddings(count: int) -> Embeddings:
        vectors = generator.standard_normal((count, LENGTH), np.float32)
        return Embeddings([str(number) for number in range(count)], vectors)

    many, some = embeddings(SEARCHED["similar"]), embeddings(SEARCHED["duplicates"])
    start = time.perf_counter()
    assert similar(many.vectors[7], many, 1)[0].name == "7"
    between = time.perf_counter()
    assert not duplicates(some, 0.95)
    return {"similar": between - start, "duplicates": time.perf_counter() - between}


if __name__ == "__main__":
    main()
