"""The CUDA kernels as an operator of MindSpore's graphs."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import mindspore
from mindspore import Tensor, nn, ops

from ghostnet.kernels.cpu.forward import check_dtype
from ghostnet.kernels.cuda.library import SYMBOLS, scratch_bytes
from ghostnet.kernels.session import check_shape
from ghostnet.models import Architecture

Shape = Sequence[int]

FLOAT_BYTES = 4


class ForwardOperator(ops.Custom):
    """Maps images and the weights of each layer to (batch, outputs) and scratch memory.

    Args:
        path: The compiled kernels.
        symbol: Name of the operator in them.
        outputs: Length of the logits or features.
    """

    def __init__(self, path: Path, symbol: str, outputs: int) -> None:
        def out_shape(images: Shape, *weights: Shape) -> tuple[Shape, Shape]:
            check_shape(images)
            scratch = scratch_bytes(path, [images, *weights]) // FLOAT_BYTES
            return [images[0], outputs], [scratch]

        def out_dtype(images: Any, *weights: Any) -> tuple[Any, Any]:
            check_dtype(images, mindspore.float32, mindspore.float16)
            return images, weights[0]

        super().__init__(f"{path}:{symbol}", out_shape, out_dtype, "aot")
        self.arguments = path, symbol, outputs
        self.add_prim_attr("outputs", outputs)  # tells it from one with inputs of the same shapes

    def __deepcopy__(self, memo: object) -> "ForwardOperator":
        return ForwardOperator(*self.arguments)


class Forward(nn.Cell):
    """Maps images and the weights of each layer to (batch, outputs), float32 or float16.

    Args:
        path: The compiled kernels.
        architecture: Table of the network.
        outputs: Length of the logits or features.
    """

    def __init__(self, path: Path, architecture: Architecture, outputs: int) -> None:
        super().__init__(auto_prefix=False)
        self.operator = ForwardOperator(path, SYMBOLS[architecture.activation], outputs)

    def construct(self, images: Tensor, *weights: Tensor) -> Tensor:
        return self.operator(images, *weights)[0]
