"""The CUDA kernels as a call on PyTorch tensors, for tests and measurements without MindSpore.

The operator is called through its C interface, on PyTorch's stream.
"""

import ctypes
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from ghostnet.errors import KernelError
from ghostnet.kernels.cuda.library import SYMBOLS, as_c, load, scratch_bytes
from ghostnet.kernels.cuda.packing import pack
from ghostnet.models import Architecture
from ghostnet.packages import needs

with needs("torch", extra="torch"):
    import torch

TYPES = {torch.float32: b"float32", torch.float16: b"float16"}
"""Names of the types that MindSpore passes to an operator."""


class TorchKernels:
    """A GhostNet for inference, run by the library at ``path``.

    Args:
        architecture: Table of the network.
        parameters: Arrays by released name.
        path: The compiled kernels.
        device: Device of the weights and images.
    """

    def __init__(
        self,
        architecture: Architecture,
        parameters: Mapping[str, NDArray[Any]],
        path: Path,
        device: str = "cuda",
    ) -> None:
        self.path = path
        self.outputs = len(parameters["classifier.bias"])
        self.operator = getattr(load(path), SYMBOLS[architecture.activation])
        packed = pack(architecture, parameters)
        self.weights = [torch.from_numpy(array).to(device) for array in packed]

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        """Map (batch, 3, height, width) float32 or float16 to (batch, outputs) of the same type.

        Raises:
            KernelError: The operator returned an error; CUDA's own are positive.
        """
        inputs = [images.contiguous(), *self.weights]
        size = scratch_bytes(self.path, [tuple(tensor.shape) for tensor in inputs])
        logits = images.new_empty(len(images), self.outputs)
        scratch = images.new_empty(size // 4, dtype=torch.float32)
        self.launch([*inputs, logits, scratch])
        return logits

    def launch(self, tensors: Sequence[torch.Tensor]) -> None:
        """Start the operator on the current stream."""
        ranks, shapes = as_c([tuple(tensor.shape) for tensor in tensors])
        count = len(tensors)
        data = (ctypes.c_void_p * count)(*(tensor.data_ptr() for tensor in tensors))
        types = (ctypes.c_char_p * count)(*(TYPES[tensor.dtype] for tensor in tensors))
        on_gpu = tensors[0].is_cuda
        stream = ctypes.c_void_p(torch.cuda.current_stream().cuda_stream if on_gpu else None)
        error = self.operator(count, data, ranks, shapes, types, stream, None)
        if error:
            raise KernelError(f"the CUDA operator returned {error}; see docs/gpu.md")
