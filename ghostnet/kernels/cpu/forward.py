"""The CPU kernels as an operator of MindSpore's graphs."""

from collections.abc import Sequence
from typing import Any

import mindspore
from mindspore import Tensor, ops
from mindspore.common.dtype import TensorType

from ghostnet.errors import KernelError
from ghostnet.kernels.cpu import library
from ghostnet.kernels.session import check_shape
from ghostnet.models import Architecture

Shape = Sequence[int]


def check_dtype(images: Any, *known: Any) -> None:
    """Check the dtype of images.

    Raises:
        KernelError: It is none of ``known``.
    """
    if images not in [TensorType(dtype) for dtype in known]:
        names = " or ".join(str(dtype).lower() for dtype in known)
        raise KernelError(f"the images have the dtype {images}; convert them to {names} (astype)")


def refuse_gradient() -> None:
    """Raise `KernelError`, since a network fused for inference has no gradient."""
    raise KernelError("a fused network has no gradient; see fuse(network, training=True)")


refuse_compiling_gradient = ops.constexpr(refuse_gradient)


class ForwardOperator(ops.Custom):
    """Maps images, plan and weights to (batch, outputs) float32.

    Args:
        architecture: Table of the network.
        outputs: Length of the logits or features.
    """

    def __init__(self, architecture: Architecture, outputs: int) -> None:
        def out_shape(images: Shape, *_: Shape) -> list[int]:
            check_shape(images)
            architecture.check_image(*images[2:])
            return [images[0], outputs]

        def out_dtype(images: Any, *_: Any) -> Any:
            check_dtype(images, mindspore.float32)
            return images

        def no_gradient(
            images: Tensor, plan: Tensor, weights: Tensor, out: Tensor, gradient: Tensor
        ) -> tuple[Tensor, Tensor, Tensor]:
            refuse_compiling_gradient()
            return images, plan, weights

        super().__init__(
            f"{library.PATH}:GhostNetForward", out_shape, out_dtype, "aot", no_gradient
        )
        self.architecture, self.outputs = architecture, outputs
        self.add_prim_attr("outputs", outputs)  # tells it from one with inputs of the same shapes

    def __deepcopy__(self, memo: object) -> "ForwardOperator":
        return ForwardOperator(self.architecture, self.outputs)
