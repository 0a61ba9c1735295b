"""Features of a folder of images, decoding and cache included, beside the fused network alone.

``python benchmarks/features.py DIR`` prints images a second of both, and of decoding alone.
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np

from ghostnet.data.image_folder import read_folder
from ghostnet.data.transforms import decode
from ghostnet.hub import open_model
from ghostnet.model.forward import open_forward
from ghostnet.models.registry import BACKBONE_MODEL
from ghostnet.training.head.features import BATCH_SIZE, View, extract

RUNS = 25
DECODED = 500


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="a sub-folder of images for each class")
    files = [file for file, _ in read_folder(parser.parse_args().folder).files]
    model = open_model(BACKBONE_MODEL)
    forward = open_forward(model, features=True)
    side = model.preprocess.image_size
    noise = np.random.default_rng(0).normal(size=(BATCH_SIZE, 3, side, side))
    images = noise.astype(np.float32)
    seconds = []
    for _ in range(RUNS):
        start = time.perf_counter()
        forward(images)
        seconds.append(time.perf_counter() - start)
    alone = BATCH_SIZE / statistics.median(seconds)
    with tempfile.TemporaryDirectory() as cache:
        start = time.perf_counter()
        extract(model, map(View, files), cache_dir=cache)
        whole = len(files) / (time.perf_counter() - start)
    one_by_one = files[:DECODED]
    start = time.perf_counter()
    for file in one_by_one:
        model.preprocess(decode(file))
    decoding = len(one_by_one) / (time.perf_counter() - start)
    print(f"decoding, resizing, normalizing, one thread: {decoding:.0f} images a second")
    print(f"the network alone, batch {BATCH_SIZE}: {alone:.0f} images a second")
    print(f"features of {len(files)} images: {whole:.0f} a second, {whole / alone:.0%} of that")


if __name__ == "__main__":
    main()
