"""A network's first call in a new process: it works and prints nothing, whatever the NumPy."""

import os
import subprocess
import sys

import pytest

from ghostnet import kernels

PROGRAM = """
import sys
import mindspore as ms
import numpy as np
import ghostnet

name, mode = sys.argv[1:]
ms.set_context(mode=ms.GRAPH_MODE if mode == "graph" else ms.PYNATIVE_MODE)
state = [sys.stderr, sys.excepthook, hasattr(sys, "last_type")]
network = getattr(ghostnet, name)(num_classes=3, drop_rate=0.0)
assert state == [sys.stderr, sys.excepthook, hasattr(sys, "last_type")]
images = ms.Tensor(np.ones((2, 3, 32, 32), np.float32))
network.set_train("training" in mode)
cell = ghostnet.fuse(network, training="training" in mode) if "fused" in mode else network
if "training" in mode:
    def loss(images):
        return cell(images).sum()
    ms.value_and_grad(loss, None, network.trainable_params())(images)
assert cell(images).asnumpy().shape == (2, 3)
"""

NETWORKS = (
    "ghostnet_1x",
    "ghostnet_nose_1x",
    "ghostnet_600m",
    "ghostnet_int8_1x",
    "mobilenet_v2_1x",
)

MODES = ("pynative", "graph", "fused", "training", "fused training")

QUICK = {
    ("ghostnet_1x", "fused"),
    ("ghostnet_nose_1x", "graph"),
    ("ghostnet_600m", "pynative"),
    ("mobilenet_v2_1x", "fused training"),
}
"""Each mode and almost each network once; the others run at night."""

CASES = [
    pytest.param(name, mode, marks=[] if (name, mode) in QUICK else [pytest.mark.nightly])
    for name in NETWORKS
    for mode in MODES
    if name != "ghostnet_int8_1x" or mode in ("pynative", "graph")  # it is for inference
]


@pytest.mark.parametrize(("name", "mode"), CASES)
def test_the_first_call_of_a_process_works_and_prints_nothing(name: str, mode: str) -> None:
    if "fused" in mode and not kernels.available():
        pytest.skip(f"no fused kernels: {kernels.unavailable_reason()}")
    environment = {key: value for key, value in os.environ.items() if key != "GLOG_v"}
    command = [sys.executable, "-c", PROGRAM, name, mode]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.stderr == ""
    assert done.returncode == 0


IMPORTS = """
import importlib, locale, logging, multiprocessing, os, pkgutil, signal, sys, warnings
import mindspore, numpy, PIL.Image, requests
import ghostnet

def process():
    return {
        "hooks": (sys.excepthook, sys.unraisablehook, sys.displayhook, sys.meta_path[:]),
        "streams": (sys.stdin, sys.stdout, sys.stderr),
        "environment": dict(os.environ),
        "signals": [signal.getsignal(number) for number in signal.valid_signals()],
        "warnings": (warnings.filters[:], warnings.showwarning),
        "log": (logging.getLogger().handlers[:], logging.getLogger().level),
        "locale": locale.setlocale(locale.LC_ALL),
        "start method": multiprocessing.get_start_method(allow_none=True),
        "NumPy": (sys.modules["numpy"], numpy.geterr(), numpy.get_printoptions()),
        "Pillow": PIL.Image.MAX_IMAGE_PIXELS,
        "mode": mindspore.get_context("mode"),
    }

before = process()
for module in pkgutil.walk_packages(ghostnet.__path__, "ghostnet."):
    if module.name.startswith(("ghostnet.models", "ghostnet.kernels", "ghostnet.checkpoints",
                               "ghostnet.model.", "ghostnet.training", "ghostnet.export")):
        try:
            importlib.import_module(module.name)
        except (ImportError, ghostnet.PackageError):
            pass
after = process()
print([name for name in before if before[name] != after[name]])
"""


def test_importing_cells_leaves_the_process_as_it_is() -> None:
    done = subprocess.run([sys.executable, "-c", IMPORTS], capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr
