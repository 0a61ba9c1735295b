"""The CUDA kernels against PyTorch with the same weights: on a GPU, and compiled for the host.

On a GPU: ``pytest tests/test_cuda_device.py``, and the same under ``compute-sanitizer``.
"""

from collections.abc import Callable
from pathlib import Path

import pytest
from test_kernels import NETWORKS, trained

torch = pytest.importorskip("torch", reason="needs PyTorch")

from host_kernels import host_library  # noqa: E402

from ghostnet.checkpoint import parameters_of  # noqa: E402
from ghostnet.errors import KernelError  # noqa: E402
from ghostnet.kernels import cuda_build  # noqa: E402
from ghostnet.torch_kernels import TorchKernels  # noqa: E402
from ghostnet.torch_network import GhostNet  # noqa: E402

needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
LIBRARIES = [
    pytest.param("cpu", host_library, id="host"),
    pytest.param("cuda", cuda_build.library_path, id="GPU", marks=needs_gpu),
]
TOLERANCE = {torch.float32: 1e-4, torch.float16: 2e-2}
SHAPES = [(1, 3, 64, 64), (5, 3, 97, 61)]
ON_A_GPU = [(1, 3, 224, 224), (3, 3, 193, 227), (256, 3, 224, 224)]


@pytest.mark.parametrize(("device", "library"), LIBRARIES)
@pytest.mark.parametrize("name", ["1x", "nose_1x", "600m"])
def test_logits_are_those_of_pytorch(name: str, device: str, library: Callable[[], Path]) -> None:
    network = trained(NETWORKS[name]())
    twin = GhostNet(network.architecture, network.num_classes)
    twin.load_parameters(parameters_of(network))
    twin = twin.to(device).eval()
    fused = TorchKernels(network, library(), device)
    torch.manual_seed(0)
    for shape in SHAPES if device == "cpu" else SHAPES + ON_A_GPU:
        x = torch.randn(shape, device=device)
        with torch.inference_mode():
            expected = twin(x)
        for dtype, tolerance in TOLERANCE.items():
            difference = (fused(x.to(dtype)).float() - expected).abs().max()
            assert difference <= tolerance * expected.abs().max(), (shape, dtype)


def test_an_operator_without_its_weights_is_an_error() -> None:
    network = trained(NETWORKS["1x of width 0.5"]())
    fused = TorchKernels(network, host_library(), "cpu")
    pictures = torch.zeros(1, 3, 32, 32)
    with pytest.raises(KernelError, match="returned -1"):
        fused.launch([pictures, *fused.weights[:-3], torch.empty(1, 5), torch.empty(10)])
