"""Measure networks in 8 bits beside those in floats, in this package and two other engines.

``python benchmarks/int8.py ../shared/data/flowers`` times GhostNet-1x for one image and for 32, and
counts the images of ``val`` that each engine names right. The other engines run the exported model;
for 8 bits it is calibrated on images of ``train``, with 8-bit weights, which needs VNNI. Engines
take turns, in processes of their own. Writes ``int8.json`` beside this file in ``results``.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from machine import machine
from turns import medians

from ghostnet import hub, kernels
from ghostnet.data.image_folder import read_folder
from ghostnet.export.runtimes import in_onnxruntime, in_openvino

RESULTS = Path(__file__).with_name("results") / "int8.json"
MODEL = "ghostnet/cpu/2.10/ghostnet_v1.0_flowers"
ENGINES = ("ghostnet", "openvino", "onnxruntime")
DTYPES = ("float32", "int8")
BATCHES = (1, 32)
SECONDS = 2.0
ROUNDS = 3

Forward = Callable[[np.ndarray], np.ndarray]


def open_engine(engine: str, dtype: Any, threads: int, onnx: Path) -> Forward:
    """Open the model in an engine, with so many threads for one call."""
    if engine == "ghostnet":
        kernels.set_threads(threads)
        model = hub.open_model(MODEL)
        return kernels.Session(model.architecture, model.parameters, dtype=dtype)
    run = in_openvino if engine == "openvino" else in_onnxruntime
    return run(onnx.read_bytes(), threads)


def milliseconds(forward: Forward, images: np.ndarray) -> float:
    """Return the median time of a call."""
    forward(images)
    times = []
    end = time.perf_counter() + SECONDS
    while time.perf_counter() < end:
        start = time.perf_counter()
        forward(images)
        times.append(time.perf_counter() - start)
    return 1000 * statistics.median(times)


def measure(engine: str, dtype: str, threads: int, folder: Path) -> None:
    """Print times by batch, and the number of right answers, as JSON."""
    forward = open_engine(engine, dtype, threads, folder / f"{dtype}.onnx")
    images, labels = np.load(folder / "images.npy"), np.load(folder / "labels.npy")
    found = {f"batch {batch}": milliseconds(forward, images[:batch]) for batch in BATCHES}
    found["right"] = int((forward(images).argmax(1) == labels).sum())
    print(json.dumps(found))


def prepare(flowers: Path, folder: Path) -> None:
    """Write the exported models, the images and their labels."""
    export = [sys.executable, "-m", "ghostnet.cli", "export", "--model", MODEL]
    int8 = ["--int8", "--weight-bits", "8", "--calibrate", str(flowers / "train")]
    for dtype, options in zip(DTYPES, ([], int8), strict=True):
        command = [*export, str(folder / f"{dtype}.onnx"), *options]
        subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
    model = hub.open_model(MODEL)
    files = read_folder(flowers / "val").files
    images = [model.preprocess(model.preprocess.decode(file)) for file, _ in files]
    np.save(folder / "images.npy", np.stack(images))
    np.save(folder / "labels.npy", np.array([index for _, index in files]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("flowers", type=Path, help="folder with train and val")
    flowers = parser.parse_args().flowers
    with tempfile.TemporaryDirectory() as folder:
        prepare(flowers, Path(folder))
        cases = product(sorted({1, len(os.sched_getaffinity(0))}), ENGINES, DTYPES)
        commands = {
            f"{engine}, {dtype}, {threads}": [
                *(sys.executable, __file__, "--measure"),
                *(engine, dtype, str(threads), folder),
            ]
            for threads, engine, dtype in cases
        }
        rows = medians(commands, ROUNDS)
    result = {
        "machine": machine(("onnxruntime", "openvino")),
        "images": len(read_folder(flowers / "val").files),
        "instruction_set": kernels.instruction_set(),
        "rows": rows,
    }
    RESULTS.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--measure"]:
        measure(sys.argv[2], sys.argv[3], int(sys.argv[4]), Path(sys.argv[5]))
    else:
        main()
