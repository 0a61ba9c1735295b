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
