"""Measure many callers: images per second for each number of callers and kernel threads.

Every caller is a Python thread that calls one shared session with one image after the other. The
engines take turns, in processes of their own, since their threads would disturb one another. Writes
``concurrency.json`` beside this file in ``results`` and prints a table.
``python benchmarks/concurrency.py`` needs the extra ``export``.
"""

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from itertools import product
from pathlib import Path

import numpy as np
from machine import machine
from turns import medians

RESULTS = Path(__file__).with_name("results") / "concurrency.json"
ENGINES = ("fused", "onnxruntime", "openvino")
SECONDS = 2.0
ROUNDS = 5


def open_engine(engine: str, onnx: bytes, threads: int) -> Callable[[np.ndarray], np.ndarray]:
    """Open the bundled model, with so many threads for one call."""
    if engine == "fused":
        from ghostnet import hub, kernels

        kernels.set_threads(threads)
        model = hub.open_model("ghostnet/cpu/2.10/ghostnet_v1.0_flowers")
        return kernels.Session(model.architecture, model.parameters)
    if engine == "onnxruntime":
        from ghostnet.export.runtimes import in_onnxruntime

        return in_onnxruntime(onnx, threads)
    return openvino_session(onnx, threads)


def openvino_session(onnx: bytes, threads: int) -> Callable[[np.ndarray], np.ndarray]:
    """Open a model in OpenVINO as its manual advises for callers at once.

    One compiled model with a stream for each ``threads`` processors, a request for each caller.
    """
    import openvino

    core = openvino.Core()
    processors = len(os.sched_getaffinity(0))
    settings = {
        "INFERENCE_PRECISION_HINT": "f32",
        "INFERENCE_NUM_THREADS": processors,
        "NUM_STREAMS": max(1, processors // threads),
    }
    compiled = core.compile_model(core.read_model(onnx), "CPU", settings)
    local = threading.local()

    def run(images: np.ndarray) -> np.ndarray:
        if not hasattr(local, "request"):
            local.request = compiled.create_infer_request()
        return local.request.infer({0: images}, share_inputs=True)[0]

    return run


def throughput(run: Callable[[np.ndarray], np.ndarray], callers: int) -> float:
    """Return the images per second that all callers get together."""
    image = np.random.default_rng(0).standard_normal((1, 3, 224, 224)).astype(np.float32)
    counts = [0] * callers
    ready = threading.Barrier(callers + 1)
    stop = threading.Event()

    def call(caller: int) -> None:
        run(image)
        ready.wait()
        while not stop.is_set():
            run(image)
            counts[caller] += 1

    workers = [threading.Thread(target=call, args=(caller,)) for caller in range(callers)]
    for worker in workers:
        worker.start()
    ready.wait()
    start = time.perf_counter()
    time.sleep(SECONDS)
    stop.set()
    seconds = time.perf_counter() - start
    for worker in workers:
        worker.join()
    return sum(counts) / seconds


def measure(engine: str, threads: int, onnx: Path) -> None:
    """Print the throughput of one engine for each number of callers, as JSON."""
    run = open_engine(engine, onnx.read_bytes(), threads)
    processors = len(os.sched_getaffinity(0))
    callers = sorted({1, 2, processors, 2 * processors})
    print(json.dumps({count: throughput(run, count) for count in callers}))


def main() -> None:
    """Measure all engines in turn, then write and print the medians."""
    processors = len(os.sched_getaffinity(0))
    with tempfile.TemporaryDirectory() as folder:
        onnx = Path(folder) / "model.onnx"
        export = [sys.executable, "-m", "ghostnet.cli", "export", str(onnx)]
        subprocess.run(export, stdout=subprocess.DEVNULL, check=True)
        commands = {
            f"{engine}, {threads} {'thread' if threads == 1 else 'threads'}": [
                *(sys.executable, __file__),
                *(engine, str(threads), str(onnx)),
            ]
            for threads, engine in product(sorted({1, processors}), ENGINES)
        }
        rows = medians(commands, ROUNDS)
    result = {"machine": machine(("onnxruntime", "openvino")), "images_per_second": rows}
    RESULTS.write_text(json.dumps(result, indent=1))
    callers = [*next(iter(rows.values()))]
    print("| engine | " + " | ".join(f"{count} callers" for count in callers) + " |")
    print("| --- |" + " ---: |" * len(callers))
    for key, row in rows.items():
        print(f"| {key} | " + " | ".join(f"{row[count]:.0f}" for count in callers) + " |")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        measure(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]))
    else:
        main()
