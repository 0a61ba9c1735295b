"""The CUDA kernels against PyTorch with the same weights: on a GPU, and compiled for the host.

On a GPU: ``pytest tests/test_cuda_device.py``, and the same under ``compute-sanitizer``.
"""

import runpy
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="needs the extra torch")

from host_kernels import host_library  # noqa: E402
from random_parameters import random_parameters  # noqa: E402
from torch_kernels import TorchKernels  # noqa: E402

from ghostnet.benchmark.torch_network import GhostNet  # noqa: E402
from ghostnet.errors import KernelError  # noqa: E402
from ghostnet.kernels.cuda import build  # noqa: E402
from ghostnet.models import (  # noqa: E402
    GHOSTNET_1X,
    GHOSTNET_600M,
    GHOSTNET_NOSE_1X,
    Architecture,
    scale_width,
)

needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
LIBRARIES = [
    pytest.param("cpu", host_library, id="host"),
    pytest.param("cuda", build.library_path, id="GPU", marks=needs_gpu),
]
TOLERANCE = {torch.float32: 1e-4, torch.float16: 2e-2}
ARCHITECTURES = {"1x": GHOSTNET_1X, "nose_1x": GHOSTNET_NOSE_1X, "600m": GHOSTNET_600M}
SMALL = scale_width(GHOSTNET_1X, 0.5)
CLASSES = 5
SHAPES = [(3, 3, 61, 97)]
BATCHES = [*range(1, 10), 256]


@pytest.mark.parametrize(("device", "library"), LIBRARIES)
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_logits_are_those_of_pytorch(name: str, device: str, library: Callable[[], Path]) -> None:
    compare(ARCHITECTURES[name], device, library(), SHAPES)


@needs_gpu
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_batches_of_any_size_agree_on_a_gpu(name: str) -> None:
    shapes = [(batch, 3, 224, 224) for batch in BATCHES] + [(3, 3, 193, 227), (2, 3, 33, 32)]
    compare(ARCHITECTURES[name], "cuda", build.library_path(), shapes)


def compare(
    architecture: Architecture, device: str, library: Path, shapes: list[tuple[int, ...]]
) -> None:
    parameters = random_parameters(architecture, CLASSES)
    twin = GhostNet(architecture, CLASSES)
    twin.load_parameters(parameters)
    twin = twin.to(device).eval()
    fused = TorchKernels(architecture, parameters, library, device)
    torch.manual_seed(0)
    for shape in shapes:
        x = torch.randn(shape, device=device)
        with torch.inference_mode():
            expected = twin(x)
        for dtype, tolerance in TOLERANCE.items():
            difference = (fused(x.to(dtype)).float() - expected).abs().max()
            assert difference <= tolerance * expected.abs().max(), (shape, dtype)


def test_an_operator_without_its_weights_is_an_error() -> None:
    fused = TorchKernels(SMALL, random_parameters(SMALL, CLASSES), host_library(), "cpu")
    images = torch.zeros(1, 3, 32, 32)
    with pytest.raises(KernelError, match="returned -1"):
        fused.launch([images, *fused.weights[:-3], torch.empty(1, 5), torch.empty(10)])


@pytest.mark.skipif(shutil.which("nvcc") is None, reason="needs nvcc")
@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_a_launch_that_fails_returns_the_error_of_cuda(tmp_path: Path) -> None:
    nvcc = build.find_nvcc()
    library = tmp_path / "kernels.so"
    build.compile_kernels(library, nvcc, build.architectures(nvcc)[-1:])
    fused = TorchKernels(SMALL, random_parameters(SMALL, CLASSES), library, "cpu")
    with pytest.raises(KernelError, match=r"returned \d+;"):
        fused(torch.zeros(1, 3, 32, 32))


BENCHMARK = Path(__file__).parents[1] / "benchmarks/gpu_inference.py"


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_without_a_gpu_the_benchmark_says_so_in_one_line() -> None:
    done = subprocess.run([sys.executable, BENCHMARK], capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.startswith("no CUDA device")
    assert done.stderr.count("\n") == 1


def test_the_benchmark_has_mobilenet_v2_and_knows_every_kernel() -> None:
    benchmark = runpy.run_path(str(BENCHMARK))
    rival = benchmark["mobilenet_v2"]().eval()
    assert sum(p.numel() for p in rival.parameters()) == 3_504_872  # as published for 1000 classes
    assert rival(torch.zeros(1, 3, 64, 64)).shape == (1, 1000)
    table = GHOSTNET_1X
    kernels = list(benchmark["launches"](table, 1, 4))
    shortcuts = sum("shortcut" in kernel.name for kernel in kernels)
    assert (len(kernels), shortcuts) == (1 + 2 * 16 + 2 * 7 + 5 + 3, 5)
    weights = sum(kernel.bytes for kernel in benchmark["launches"](table, 0, 4)) / 4
    assert 5.1e6 < weights < 5.2e6  # once each: those of the network
