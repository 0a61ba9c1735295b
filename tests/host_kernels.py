"""The CUDA kernels compiled for the host, and a device for `FusedGhostNet` that runs them there."""

import shutil
import subprocess
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from ghostnet.kernels.cuda.build import SOURCES
from ghostnet.kernels.devices import Device, cuda_device

FLAGS = (
    "-x",
    "c++",
    "-std=c++17",
    "-O3",
    "-march=native",
    "-shared",
    "-fPIC",
    "-Wall",
    "-Wextra",
    "-Werror",
)

FOLDER = TemporaryDirectory()


@cache
def host_library() -> Path:
    """The library of csrc/cuda/operator.cu for this processor."""
    compiler = shutil.which("c++")
    if compiler is None:
        pytest.skip("needs a C++ compiler")
    library = Path(FOLDER.name) / "libghostnet_host.so"
    source = SOURCES / "operator.cu"
    subprocess.run([compiler, *FLAGS, source, "-o", library], check=True)
    return library


def host_device() -> Device:
    """What runs the CUDA kernels as MindSpore's operators on a CPU."""
    return cuda_device(host_library)
