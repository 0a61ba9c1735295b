"""Measure the types of this package's kernels: right answers, differences and times.

``python benchmarks/precision.py FLOWERS PETS`` writes results/precision.json, with a folder of
flowers for each class and the data set Oxford-IIIT Pet as distributed:

- for each type, how many images of either the bundled models name right, and the largest
  difference of a logit from float32, with the largest logit;
- for each type, and for the int8 network, milliseconds of an image, in turns with float32;
- the largest difference of the int8 network's logits from those of MindSpore's operators, on two
  instruction sets of oneDNN.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from machine import machine
from random_parameters import random_quantized_parameters

from ghostnet.checkpoints import write_checkpoint
from ghostnet.data.image_folder import read_folder
from ghostnet.data.oxford_pets import read_test_set
from ghostnet.hub import open_model
from ghostnet.kernels import Session, set_threads
from ghostnet.kernels.cpu.library import DTYPES, missing_reason
from ghostnet.models import GHOSTNET_1X, GHOSTNET_INT8_1X

RESULTS = Path(__file__).with_name("results") / "precision.json"
MODELS = {
    "flowers": "ghostnet/cpu/2.10/ghostnet_v1.0_flowers",
    "pets": "ghostnet/cpu/2.10/ghostnet_v1.0_pets",
}
BATCH = 32
ROUNDS = 7
ONEDNN = ("SSE41", "AVX2")

Forward = Callable[[np.ndarray], np.ndarray]

MINDSPORE = """
import sys
import numpy as np
import mindspore as ms
from ghostnet.hub import open_model

np.save(sys.argv[3], open_model(sys.argv[1]).network(ms.Tensor(np.load(sys.argv[2]))).asnumpy())
"""


def accuracy(data: str, files: list[tuple[Path, int]]) -> dict[str, Any]:
    """Count right answers of each type, and find the largest difference from float32."""
    model = open_model(MODELS[data])
    sessions = {dtype: model.session(dtype=dtype) for dtype in types()}
    logits: dict[str, list[np.ndarray]] = {dtype: [] for dtype in sessions}
    for first in range(0, len(files), BATCH):
        part = files[first : first + BATCH]
        images = np.stack([model.preprocess(model.preprocess.decode(file)) for file, _ in part])
        for dtype, session in sessions.items():
            logits[dtype].append(session(images))
    whole = {dtype: np.concatenate(parts) for dtype, parts in logits.items()}
    labels = np.array([label for _, label in files])
    return {
        "images": len(files),
        "largest_logit": float(abs(whole["float32"]).max()),
        "rows": {
            dtype: {
                "right": int((found.argmax(1) == labels).sum()),
                "changed": int((found.argmax(1) != whole["float32"].argmax(1)).sum()),
                "difference": float(abs(found - whole["float32"]).max()),
            }
            for dtype, found in whole.items()
        },
    }


def types() -> tuple[Any, ...]:
    """Return the types that this processor has."""
    return tuple(dtype for dtype in DTYPES if not missing_reason(dtype))


def sessions_in_turn() -> dict[str, Forward]:
    """Return a session of each type, and of the int8 network with the same weights."""
    parameters = random_quantized_parameters(37)
    plain = {k: v for k, v in parameters.items() if "scale_" not in k and not k.endswith("zp_a")}
    sessions = {dtype: Session(GHOSTNET_1X, plain, dtype=dtype) for dtype in types()}
    return {**sessions, "ghostnet_int8_1x": Session(GHOSTNET_INT8_1X, parameters)}


def times(sessions: Mapping[str, Forward]) -> Iterator[tuple[str, dict[str, dict[str, float]]]]:
    """Yield the median and least milliseconds of an image, by threads and batch."""
    for threads, batch in product(sorted({1, len(os.sched_getaffinity(0))}), (1, BATCH)):
        set_threads(threads)
        images = np.random.default_rng(0).standard_normal((batch, 3, 224, 224), np.float32)
        found: dict[str, list[float]] = {name: [] for name in sessions}
        for _ in range(ROUNDS * BATCH // batch if batch == 1 else ROUNDS):
            for name, session in sessions.items():
                start = time.perf_counter()
                session(images)
                found[name].append(1000 * (time.perf_counter() - start) / batch)
        yield (
            f"batch {batch}, {threads} thread{'s' * (threads > 1)}",
            {k: {"median": statistics.median(v), "least": min(v)} for k, v in found.items()},
        )


def released_differences() -> dict[str, Any]:
    """Compare the int8 network in the kernels with MindSpore's operators on random parameters."""
    parameters = random_quantized_parameters(37)
    images = np.random.default_rng(8).standard_normal((2, 3, 224, 224)).astype(np.float32)
    logits = {"kernels": Session(GHOSTNET_INT8_1X, parameters)(images)}
    with tempfile.TemporaryDirectory() as folder:
        checkpoint, pictures, answer = (
            Path(folder) / name for name in ("model.ckpt", "images.npy", "logits.npy")
        )
        write_checkpoint(parameters, checkpoint)
        np.save(pictures, images)
        for isa in ONEDNN:
            command = [sys.executable, "-c", MINDSPORE, checkpoint, pictures, answer]
            subprocess.run(command, env=os.environ | {"ONEDNN_MAX_CPU_ISA": isa}, check=True)
            logits[isa] = np.load(answer)
    pairs = (("kernels", "SSE41"), ("kernels", "AVX2"), ("SSE41", "AVX2"))
    differences = {f"{a}, {b}": float(abs(logits[a] - logits[b]).max()) for a, b in pairs}
    largest = float(abs(logits["kernels"]).max())
    return {"largest_logit": largest, "differences": differences}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("flowers", type=Path, help="folder of flowers, one folder for each class")
    parser.add_argument("pets", type=Path, help="Oxford-IIIT Pet as distributed")
    arguments = parser.parse_args()
    folders = {"flowers": read_folder(arguments.flowers), "pets": read_test_set(arguments.pets)}
    result = {
        "machine": machine(()),
        "times": dict(times(sessions_in_turn())),
        "released": released_differences(),
        "accuracy": {data: accuracy(data, list(f.files)) for data, f in folders.items()},
    }
    RESULTS.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
