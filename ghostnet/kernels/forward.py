"""The operators of the fused forward pass: from pictures and packed weights to logits."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import mindspore
import numpy as np
from mindspore import Tensor, nn, ops
from mindspore.common.api import _pynative_executor
from mindspore.common.dtype import TensorType

from ghostnet.errors import KernelError
from ghostnet.kernels import library
from ghostnet.kernels.cuda_library import scratch_bytes
from ghostnet.layers import HardSwish
from ghostnet.network import GhostNet

Shape = Sequence[int]

FLOAT_BYTES = 4


def check_shape(pictures: Shape) -> None:
    """Raise `KernelError` for a shape that is not that of pictures."""
    if len(pictures) != 4 or pictures[1] != 3 or 0 in pictures:
        raise KernelError(f"pictures are (batch, 3, height, width), not {tuple(pictures)}")


def check_dtype(pictures: Any, *known: Any) -> None:
    """Raise `KernelError` for pictures of a type that is not ``known``."""
    if pictures not in [TensorType(dtype) for dtype in known]:
        names = " or ".join(str(dtype).lower() for dtype in known)
        raise KernelError(f"pictures are {names}, not {pictures}; convert them (astype)")


def refuse_gradient() -> None:
    """Raise `KernelError`."""
    raise KernelError("a fused network has no gradient; see fuse(network, training=True)")


refuse_compiling_gradient = ops.constexpr(refuse_gradient)


class CpuForward(ops.Custom):
    """Pictures, plan and weights to (batch, outputs) float32."""

    def __init__(self, network: GhostNet, outputs: int) -> None:
        def out_shape(pictures: Shape, *_: Shape) -> list[int]:
            check_shape(pictures)
            return [pictures[0], outputs]

        def out_dtype(pictures: Any, *_: Any) -> Any:
            check_dtype(pictures, mindspore.float32)
            return pictures

        def no_gradient(
            pictures: Tensor, plan: Tensor, weights: Tensor, out: Tensor, gradient: Tensor
        ) -> tuple[Tensor, Tensor, Tensor]:
            refuse_compiling_gradient()
            return pictures, plan, weights

        super().__init__(
            f"{library.PATH}:GhostNetForward", out_shape, out_dtype, "aot", no_gradient
        )
        self.arguments = network, outputs

    def __deepcopy__(self, memo: object) -> "CpuForward":
        return CpuForward(*self.arguments)


def run_on_cpu(pictures: Tensor, weights: Sequence[Tensor], outputs: int) -> Tensor:
    """What `CpuForward` answers, without a graph around it."""
    if _pynative_executor.requires_grad():
        refuse_gradient()
    array = pictures.asnumpy()
    check_shape(array.shape)
    if array.dtype != np.float32:
        check_dtype(TensorType(pictures.dtype), mindspore.float32)
    plan, packed = weights
    return library.forward(array, plan, packed, outputs)


SYMBOLS = {nn.ReLU: "GhostNetReluForward", HardSwish: "GhostNetHardSwishForward"}
"""The CUDA operator for each activation: on the device the host could not read which it is."""


class CudaOperator(ops.Custom):
    """Pictures and the weights of each layer to (batch, outputs), and the memory that it takes."""

    def __init__(self, path: Path, symbol: str, outputs: int) -> None:
        def out_shape(pictures: Shape, *weights: Shape) -> tuple[Shape, Shape]:
            check_shape(pictures)
            return [pictures[0], outputs], [
                scratch_bytes(path, [pictures, *weights]) // FLOAT_BYTES
            ]

        def out_dtype(pictures: Any, *weights: Any) -> tuple[Any, Any]:
            check_dtype(pictures, mindspore.float32, mindspore.float16)
            return pictures, weights[0]

        super().__init__(f"{path}:{symbol}", out_shape, out_dtype, "aot")
        self.arguments = path, symbol, outputs

    def __deepcopy__(self, memo: object) -> "CudaOperator":
        return CudaOperator(*self.arguments)


class CudaForward(nn.Cell):
    """Pictures and the weights of each layer to (batch, outputs), float32 or float16."""

    def __init__(self, path: Path, network: GhostNet, outputs: int) -> None:
        super().__init__(auto_prefix=False)
        symbol = SYMBOLS[network.architecture.activation]
        self.operator = CudaOperator(path, symbol, outputs)

    def construct(self, pictures: Tensor, *weights: Tensor) -> Tensor:
        return self.operator(pictures, *weights)[0]
