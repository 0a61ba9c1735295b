"""Measure what oneDNN's AVX-512 costs MindSpore's own operators.

``python benchmarks/plain_graph.py`` runs ghostnet_1x without this package's kernels, with oneDNN as
MindSpore starts it and as this package does (`ghostnet.runtime.keep_onednn_to_avx2`): one image,
and a training step. It writes plain_graph.json beside this file in ``results``. Set ``GLOG_v=3`` to
keep MindSpore's warnings off the terminal.
"""

import argparse
import json
import sys
from pathlib import Path

import cpu_training
import numpy as np
from machine import machine
from turns import medians

RESULTS = Path(__file__).with_name("results") / "plain_graph.json"
COMMAND = (sys.executable, __file__, "--one")
COMMANDS = {
    "as MindSpore starts it": ("env", "ONEDNN_MAX_CPU_ISA=DEFAULT", *COMMAND),
    "AVX2": COMMAND,
}
ROUNDS = 3
CALLS = 10
STEPS = 3


def milliseconds_an_image() -> float:
    """Return the median time of a call of the plain network."""
    import mindspore as ms

    from ghostnet import ghostnet_1x

    ms.set_context(mode=ms.GRAPH_MODE)
    network = ghostnet_1x(cpu_training.CLASSES).set_train(False)
    size = cpu_training.SIZE
    image = ms.Tensor(np.random.default_rng(0).random((1, 3, size, size), np.float32))
    network(image)
    return 1000 * cpu_training.median_seconds(lambda: network(image).asnumpy(), CALLS)


def trained_images_per_second() -> float:
    """Return the images per second of training with MindSpore's operators alone."""
    compile_, step = cpu_training.mindspore_step(RESULTS.parent)
    compile_()
    step()
    return cpu_training.BATCH / cpu_training.median_seconds(step, STEPS)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    if parser.parse_args().one:
        figures = {
            "milliseconds_an_image": milliseconds_an_image(),
            "trained_images_per_second": trained_images_per_second(),
        }
        print(json.dumps(figures))
        return
    found = {"machine": machine(("mindspore",)), "onednn": medians(COMMANDS, ROUNDS)}
    RESULTS.write_text(json.dumps(found, indent=1) + "\n")
    print(json.dumps(found["onednn"], indent=1))


if __name__ == "__main__":
    main()
