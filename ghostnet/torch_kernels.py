"""The CUDA kernels as a call on PyTorch tensors, for tests and measurements on a GPU.

MindSpore only packs the weights here; the operator is called through its C interface, on PyTorch's
stream.
"""

import ctypes
from collections.abc import Sequence
from pathlib import Path

from ghostnet.errors import KernelError
from ghostnet.extras import needs
from ghostnet.kernels.cuda_library import as_c, load, scratch_bytes
from ghostnet.kernels.cuda_pack import pack_for_cuda
from ghostnet.kernels.forward import SYMBOLS
from ghostnet.network import GhostNet

with needs("torch", extra="torch"):
    import torch

TYPES = {torch.float32: b"float32", torch.float16: b"float16"}
"""As MindSpore names them to an operator."""


class TorchKernels:
    """A GhostNet for inference, run by the library at ``path``.

    Args:
        network: in inference state; later changes of its weights are not seen.
        path: the compiled kernels.
        device: where the weights go and the pictures have to be.
    """

    def __init__(self, network: GhostNet, path: Path, device: str = "cuda") -> None:
        self.path = path
        self.outputs = network.num_classes
        self.operator = getattr(load(path), SYMBOLS[network.architecture.activation])
        self.weights = [torch.from_numpy(a).to(device) for a in pack_for_cuda(network)]

    def __call__(self, pictures: torch.Tensor) -> torch.Tensor:
        """(batch, 3, height, width) float32 or float16 to (batch, outputs) of the same type.

        Raises:
            KernelError: the operator returned an error; CUDA's own are positive.
        """
        inputs = [pictures.contiguous(), *self.weights]
        size = scratch_bytes(self.path, [tuple(tensor.shape) for tensor in inputs])
        logits = pictures.new_empty(len(pictures), self.outputs)
        scratch = pictures.new_empty(size // 4, dtype=torch.float32)
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
