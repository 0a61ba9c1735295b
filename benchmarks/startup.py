"""Measure the start of a process: seconds from the shell to the first answer, and peak memory.

Writes ``startup.json`` beside this file in ``results``, and prints a table. Every run is a whole
process; the commands take turns. ``python benchmarks/startup.py`` needs the extra ``export`` for
ONNX Runtime, which is measured on the same model and image. This process imports nothing large,
since a child's peak memory counts what it was forked from.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from machine import machine

RUNS = 15
RESULTS = Path(__file__).with_name("results") / "startup.json"
IMAGE = Path(__file__).resolve().parents[1] / "assets/images/cat.jpg"
ENVIRONMENT = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}

ONNXRUNTIME = """
import sys
import numpy as np
import onnxruntime
from PIL import Image

image = Image.open(sys.argv[2]).convert("RGB")
scale = 256 / min(image.size)
image = image.resize([round(side * scale) for side in image.size], Image.Resampling.BICUBIC)
left, top = ((side - 224) // 2 for side in image.size)
pixels = np.asarray(image.crop((left, top, left + 224, top + 224)), np.float32) / 255
pixels = (pixels - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
batch = pixels.transpose(2, 0, 1)[None].astype(np.float32)
session = onnxruntime.InferenceSession(sys.argv[1], providers=["CPUExecutionProvider"])
print(session.run(None, {"pictures": batch})[0].argmax())
"""
"""The same model and image in ONNX Runtime, with nothing else imported."""


def measure(command: list[str]) -> tuple[float, float]:
    """Run a command; returns its seconds and its peak memory in MiB."""
    start = time.perf_counter()
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL, env=ENVIRONMENT)
    _, status, usage = os.wait4(child.pid, 0)
    seconds = time.perf_counter() - start
    if status:
        raise SystemExit(f"{' '.join(command)} failed with status {status}")
    return seconds, usage.ru_maxrss / 1024


def main() -> None:
    """Measure all commands in turn, then write and print the medians."""
    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder) / "model.onnx"
        ghostnet = [sys.executable, "-m", "ghostnet.cli"]
        subprocess.run([*ghostnet, "export", model], stdout=subprocess.DEVNULL, check=True)
        commands = {
            "ghostnet predict": [*ghostnet, "predict", str(IMAGE)],
            "ghostnet --help": [*ghostnet, "--help"],
            "ghostnet predict --no-fuse": [*ghostnet, "predict", str(IMAGE), "--no-fuse"],
            "onnxruntime": [sys.executable, "-c", ONNXRUNTIME, str(model), str(IMAGE)],
        }
        samples: dict[str, list[tuple[float, float]]] = {name: [] for name in commands}
        for command in commands.values():
            measure(command)  # writes Python's bytecode
        for _ in range(RUNS):
            for name, command in commands.items():
                samples[name].append(measure(command))
    result: dict[str, Any] = {
        "machine": machine(("mindspore", "numpy", "pillow")),
        "commands": {name: summary(values) for name, values in samples.items()},
    }
    RESULTS.write_text(json.dumps(result, indent=1) + "\n")
    print("| command | seconds | quartiles | peak MiB |\n| --- | ---: | ---: | ---: |")
    for name, figures in result["commands"].items():
        spread = f"{figures['low']:.2f} – {figures['high']:.2f}"
        print(f"| {name} | {figures['seconds']:.2f} | {spread} | {figures['peak_mib']:.0f} |")


def summary(values: list[tuple[float, float]]) -> dict[str, float]:
    """Return the median and quartiles of the seconds, and the median of the peaks."""
    low, median, high = statistics.quantiles([seconds for seconds, _ in values], n=4)
    peak = statistics.median(mib for _, mib in values)
    return {"seconds": median, "low": low, "high": high, "peak_mib": peak}


if __name__ == "__main__":
    main()
