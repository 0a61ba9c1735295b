"""The fused operators for training and their gradients, as primitives of MindSpore.

Inputs and outputs are in the order of csrc/cpu/training/arguments.h. Feature maps are float32 of
shape (batch, channels, height, width). The forward operator saves the statistics of a norm, (2,
channels), for its gradient.
"""

from collections.abc import Callable, Sequence
from typing import Any

import mindspore
from mindspore import Tensor, ops
from mindspore.common.dtype import TensorType

from ghostnet.errors import KernelError
from ghostnet.kernels.cpu import library
from ghostnet.models.specs import PARALLEL

Shape = Sequence[int]
Infer = Callable[..., Sequence[Any]]


def operator(
    symbol: str, out_shapes: Infer, outputs: int, bprop: Any = None, **settings: int
) -> ops.Custom:
    """Make the operator of a symbol in the compiled kernels; inputs and outputs are float32.

    Outside a graph, MindSpore takes operators with the same symbol, attributes and input shapes for
    one, and asks ``out_shapes`` only once. Whatever else the answer depends on is an attribute.

    Args:
        symbol: Name of the function.
        out_shapes: Maps the input shapes to the output shapes.
        outputs: Number of outputs.
        bprop: The gradient function.
        **settings: What ``out_shapes`` depends on beside its arguments.
    """

    def out_dtypes(first: Any, *_: Any) -> Any:
        if first != TensorType(mindspore.float32):
            raise KernelError(
                f"a fused network is trained on float32 images, not on {first}; use astype"
            )
        return (first,) * outputs if outputs > 1 else first

    custom = ops.Custom(f"{library.PATH}:{symbol}", out_shapes, out_dtypes, "aot", bprop)
    for name, value in settings.items():
        custom.add_prim_attr(name, value)
    return custom


def no_gradient(x: Tensor) -> Tensor:
    """Return the gradient of an input that is not trained."""
    return ops.zeros_like(x)


def halved(sizes: Shape) -> Shape:
    """Return height and width after a stride of 2."""
    return [(size + 1) // 2 for size in sizes]


def saved(gamma: Shape) -> Shape:
    """Return the shape of the saved statistics of a norm."""
    return [2, gamma[0]]


def unfold() -> ops.Custom:
    """Make nine shifted copies of each channel, so that the stem is a pointwise convolution.

    Maps (batch, channels, height, width) to (batch, 9 · channels, ⌈height / 2⌉, ⌈width / 2⌉).
    """

    def out_shape(x: Shape) -> Shape:
        if len(x) != 4 or 0 in x:
            raise KernelError(
                f"the images have the shape {tuple(x)}; pass (batch, 3, height, width)"
            )
        return [x[0], 9 * x[1], *halved(x[2:])]

    def gradient_shape(_: Shape, x: Shape) -> Shape:
        return x

    gradient = operator("GhostNetUnfoldGradient", gradient_shape, 1)

    def bprop(x: Tensor, out: Tensor, dout: Tensor) -> Any:
        return (gradient(dout, x),)

    return operator("GhostNetUnfold", out_shape, 1, bprop)


def batch_norm() -> ops.Custom:
    """Batch norm with the statistics of the batch, and its activation.

    Maps (z, gamma, beta, moving mean, moving variance, settings) to
    (y, statistics, next moving mean, next moving variance).
    """

    def out_shapes(z: Shape, gamma: Shape, *_: Shape) -> tuple[Shape, ...]:
        return z, saved(gamma), gamma, gamma

    def gradient_shapes(_: Shape, z: Shape, gamma: Shape, *__: Shape) -> tuple[Shape, ...]:
        return z, gamma, gamma

    gradient = operator("GhostNetBatchNormGradient", gradient_shapes, 3)

    def bprop(
        z: Tensor, gamma: Tensor, beta: Tensor, mean: Tensor, variance: Tensor, settings: Tensor,
        out: Any, dout: Any,
    ) -> Any:  # fmt: skip
        dz, dgamma, dbeta = gradient(dout[0], z, gamma, beta, out[1], settings)
        return dz, dgamma, dbeta, no_gradient(mean), no_gradient(variance), no_gradient(settings)

    return operator("GhostNetBatchNorm", out_shapes, 4, bprop)


def depthwise(stride: int, *, branched: bool = False) -> ops.Custom:
    """A depthwise ConvUnit.

    Maps (x, filter, gamma, beta, moving mean, moving variance, settings) to
    (y, statistics, next moving mean, next moving variance).

    Args:
        stride: 1 or 2.
        branched: Sum the norms of parallel convolutions before the activation. Every tensor but x,
            settings and y then holds the branches one after the other.
    """
    symbol = "GhostNetBranchedDepthwise" if branched else "GhostNetDepthwise"

    def out_shapes(x: Shape, _: Shape, gamma: Shape, *__: Shape) -> tuple[Shape, ...]:
        y = x if stride == 1 else [*x[:2], *halved(x[2:])]
        return y, saved(gamma), gamma, gamma

    def gradient_shapes(
        _: Shape, x: Shape, filter_: Shape, gamma: Shape, *__: Shape
    ) -> tuple[Shape, ...]:
        return x, filter_, gamma, gamma

    gradient = operator(f"{symbol}Gradient", gradient_shapes, 4)

    def bprop(
        x: Tensor, filter_: Tensor, gamma: Tensor, beta: Tensor, mean: Tensor, variance: Tensor,
        settings: Tensor, out: Any, dout: Any,
    ) -> Any:  # fmt: skip
        dx, dfilter, dgamma, dbeta = gradient(dout[0], x, filter_, gamma, beta, out[1], settings)
        rest = no_gradient(mean), no_gradient(variance), no_gradient(settings)
        return dx, dfilter, dgamma, dbeta, *rest

    return operator(symbol, out_shapes, 4, bprop, stride=stride)


def ghost(residual: bool, *, branched: bool = False) -> ops.Custom:
    """A Ghost module after its pointwise convolution, whose output is z.

    Maps (z; gamma, beta, moving mean, moving variance of the primary norm; filter; the same four of
    the cheap operation's norm; settings; with ``residual``, what is added to y) to
    (y; statistics, next moving mean, next moving variance of the primary norm; the same three of
    the other).

    Args:
        residual: Whether something is added to y.
        branched: Sum the norms of parallel convolutions before each activation. Every tensor but
            settings, the residual and y then holds the branches one after the other.
    """
    symbol = "GhostNetBranchedGhost" if branched else "GhostNetGhost"
    branches = PARALLEL if branched else 1

    def out_shapes(
        z: Shape, gamma: Shape, _: Shape, __: Shape, ___: Shape, ____: Shape, cheap_gamma: Shape,
        *_____: Shape,
    ) -> tuple[Shape, ...]:  # fmt: skip
        norms = [(saved(norm), norm, norm) for norm in (gamma, cheap_gamma)]
        return [z[0], 2 * z[1] // branches, *z[2:]], *norms[0], *norms[1]

    def gradient_shapes(
        _: Shape, z: Shape, gamma: Shape, beta: Shape, __: Shape, filter_: Shape,
        cheap_gamma: Shape, cheap_beta: Shape, *___: Shape,
    ) -> tuple[Shape, ...]:  # fmt: skip
        return z, gamma, beta, filter_, cheap_gamma, cheap_beta

    gradient = operator(f"{symbol}Gradient", gradient_shapes, 6)

    def bprop(
        z: Tensor,
        gamma: Tensor, beta: Tensor, mean: Tensor, variance: Tensor,
        filter_: Tensor,
        cheap_gamma: Tensor, cheap_beta: Tensor, cheap_mean: Tensor, cheap_variance: Tensor,
        settings: Tensor, out: Any, dout: Any,
    ) -> Any:  # fmt: skip
        dz, dgamma, dbeta, dfilter, dcheap_gamma, dcheap_beta = gradient(
            dout[0], z,
            gamma, beta, out[1],
            filter_,
            cheap_gamma, cheap_beta, out[4],
            settings,
        )  # fmt: skip
        return (
            dz,
            dgamma, dbeta, no_gradient(mean), no_gradient(variance),
            dfilter,
            dcheap_gamma, dcheap_beta, no_gradient(cheap_mean), no_gradient(cheap_variance),
            no_gradient(settings),
        )  # fmt: skip

    def bprop_with_residual(
        z: Tensor,
        gamma: Tensor, beta: Tensor, mean: Tensor, variance: Tensor,
        filter_: Tensor,
        cheap_gamma: Tensor, cheap_beta: Tensor, cheap_mean: Tensor, cheap_variance: Tensor,
        settings: Tensor, residual: Tensor, out: Any, dout: Any,
    ) -> Any:  # fmt: skip
        gradients = bprop(
            z, gamma, beta, mean, variance, filter_, cheap_gamma, cheap_beta, cheap_mean,
            cheap_variance, settings, out, dout,
        )  # fmt: skip
        return *gradients, dout[0]

    # MindSpore keeps one gradient function for each symbol.
    if residual:
        return operator(f"{symbol}Residual", out_shapes, 7, bprop_with_residual)
    return operator(symbol, out_shapes, 7, bprop)


def gate() -> ops.Custom:
    """The product of a map and a smaller map of gates, which grows by its nearest pixels.

    Maps (x, gates) to y.
    """

    def out_shape(x: Shape, _: Shape) -> Shape:
        return x

    def gradient_shapes(_: Shape, x: Shape, gates: Shape) -> tuple[Shape, ...]:
        return x, gates

    gradient = operator("GhostNetGateGradient", gradient_shapes, 2)

    def bprop(x: Tensor, gates: Tensor, out: Tensor, dout: Tensor) -> Any:
        return gradient(dout, x, gates)

    return operator("GhostNetGate", out_shape, 1, bprop)


def pointwise() -> ops.Custom:
    """A pointwise convolution, which maps (x, weights) to z."""

    def out_shape(x: Shape, weights: Shape) -> Shape:
        return [x[0], weights[0], *x[2:]]

    def input_shape(dz: Shape, weights: Shape) -> Shape:
        return [dz[0], weights[1], *dz[2:]]

    def weights_shape(dz: Shape, x: Shape) -> Shape:
        return [dz[1], x[1], 1, 1]

    input_gradient = operator("GhostNetPointwiseInputGradient", input_shape, 1)
    weight_gradient = operator("GhostNetPointwiseWeightGradient", weights_shape, 1)

    def bprop(x: Tensor, weights: Tensor, out: Tensor, dout: Tensor) -> Any:
        return input_gradient(dout, weights), weight_gradient(dout, x)

    return operator("GhostNetPointwise", out_shape, 1, bprop)


def squeeze_excite() -> ops.Custom:
    """Squeeze-excite.

    Maps (x; weights and bias of the reduction, of the expansion) to
    (y, the channels' means, the reduction's output, the expansion's output).
    """

    def out_shapes(x: Shape, reduce: Shape, *_: Shape) -> tuple[Shape, ...]:
        return x, x[:2], [x[0], reduce[0]], x[:2]

    def gradient_shapes(
        _: Shape, x: Shape, reduce: Shape, expand: Shape, *__: Shape
    ) -> tuple[Shape, ...]:
        return x, reduce, reduce[:1], expand, expand[:1]

    gradient = operator("GhostNetSqueezeExciteGradient", gradient_shapes, 5)

    def bprop(
        x: Tensor, reduce: Tensor, reduce_bias: Tensor, expand: Tensor, expand_bias: Tensor,
        out: Any, dout: Any,
    ) -> Any:  # fmt: skip
        return gradient(dout[0], x, reduce, expand, out[1], out[2], out[3])

    return operator("GhostNetSqueezeExcite", out_shapes, 4, bprop)
