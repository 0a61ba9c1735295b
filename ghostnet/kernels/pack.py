"""A network in inference state as the kernels read it: a plan of sizes and one vector of weights.

Batch norms are folded into the convolutions before them, in float64. The order of the plan and of
the weights is that of csrc/cpu/model.h.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from mindspore import Parameter, nn

from ghostnet.errors import KernelError
from ghostnet.kernels.library import Array, packed
from ghostnet.layers import ConvUnit, GhostBottleneck, GhostModule, HardSwish, SqueezeExcite
from ghostnet.network import Architecture, GhostNet

ACTIVATIONS = {nn.ReLU: 1, HardSwish: 2}
"""The activations that the kernels know, and their numbers in the plan."""


class Layer(NamedTuple):
    """A convolution or dense layer without batch norm: (out, in, ...) weights and (out,) bias."""

    weights: Array
    bias: Array

    @property
    def matrix(self) -> Array:
        """The weights, (out, everything else)."""
        return self.weights.reshape(len(self.weights), -1)

    def rows(self, start: int, stop: int) -> "Layer":
        """The layer with only some of its outputs."""
        return Layer(self.weights[start:stop], self.bias[start:stop])


class PackedNetwork(NamedTuple):
    """What the operator takes beside the pictures."""

    plan: npt.NDArray[np.int32]
    weights: Array


def pack(network: GhostNet, classify: bool = True) -> PackedNetwork:
    """Fold and pack ``network``; without ``classify`` the head's features are the output.

    Raises:
        KernelError: the network has a layer that the kernels do not know.
    """
    table = network.architecture
    check_architecture(table)
    *blocks, last = network.blocks
    plan = [
        table.stem_channels,
        ACTIVATIONS[table.activation],
        len(blocks),
        table.last_channels,
        table.head_channels,
        network.num_classes if classify else 0,
    ]
    weights = pointwise(folded(network.conv_stem, network.bn1))
    for block, row in zip(blocks, table.blocks, strict=True):
        plan += [
            row.expansion_channels,
            row.out_channels,
            row.kernel_size,
            row.stride,
            row.se_channels,
        ]
        weights += bottleneck(block)
    weights += conv_unit(last) + short_dense(plain(network.conv_head))
    if classify:
        weights += short_dense(plain(network.classifier))
    return PackedNetwork(np.array(plan, np.int32), np.concatenate(weights))


def check_architecture(table: Architecture) -> None:
    """Raise `KernelError` for an architecture with a layer that the kernels do not know."""
    if table.activation not in ACTIVATIONS:
        known = ", ".join(cell.__name__ for cell in ACTIVATIONS)
        raise KernelError(f"activation {table.activation} cannot be fused; these can: {known}")
    for row in table.blocks:
        if row.kernel_size not in (3, 5) or row.stride not in (1, 2):
            raise KernelError(f"kernels of 3 or 5 and strides of 1 or 2 can be fused, not {row}")


def plain(layer: nn.Cell) -> Layer:
    """A layer that no batch norm follows."""
    return Layer(values(layer.weight), values(layer.bias))


def folded(convolution: nn.Conv2d, norm: nn.BatchNorm2d) -> Layer:
    """A convolution without bias and the batch norm after it, as one layer."""
    scale = values(norm.gamma).astype(np.float64) / np.sqrt(
        values(norm.moving_variance).astype(np.float64) + norm.eps
    )
    weights = values(convolution.weight)
    per_output = scale.reshape(-1, *[1] * (weights.ndim - 1))
    bias = values(norm.beta) - values(norm.moving_mean) * scale
    return Layer((weights * per_output).astype(np.float32), bias.astype(np.float32))


def values(parameter: Parameter) -> Array:
    """A parameter's values."""
    return np.asarray(parameter.asnumpy(), np.float32)


def pointwise(layer: Layer) -> list[Array]:
    """The weights of a dense convolution, in the kernels' blocks, and its bias."""
    return [packed("pointwise", layer.matrix), layer.bias]


def depthwise(layer: Layer) -> list[Array]:
    """The weights of a depthwise convolution, (channels, kernel, kernel), and its bias."""
    return [layer.weights.ravel(), layer.bias]


def dense(layer: Layer) -> list[Array]:
    """The weights of a layer on vectors, and its bias."""
    return [packed("dense", layer.matrix), layer.bias]


def short_dense(layer: Layer) -> list[Array]:
    """As `dense`, for a layer whose many weights are kept a quarter shorter."""
    return [packed("short_dense", layer.matrix), layer.bias]


def conv_unit(unit: ConvUnit) -> list[Array]:
    """A ConvUnit: depthwise where it has a group for each channel, else pointwise."""
    layer = folded(unit.conv, unit.bn)
    return pointwise(layer) if unit.conv.group == 1 else depthwise(layer)


def ghost_module(module: GhostModule) -> list[Array]:
    """A Ghost module: its primary, then its cheap operation."""
    return conv_unit(module.primary_conv) + conv_unit(module.cheap_operation)


def squeeze_excite(cell: SqueezeExcite) -> list[Array]:
    """The two dense layers of a squeeze-excite."""
    return dense(plain(cell.conv_reduce)) + dense(plain(cell.conv_expand))


def shortcut(cell: nn.SequentialCell) -> list[Array]:
    """A shortcut; its pointwise convolution in two halves, as the Ghost module beside it."""
    spatial, projection = cell
    layer = folded(projection.conv, projection.bn)
    half = len(layer.bias) // 2
    return (
        conv_unit(spatial) + pointwise(layer.rows(0, half)) + pointwise(layer.rows(half, 2 * half))
    )


def bottleneck(block: GhostBottleneck) -> list[Array]:
    """A Ghost bottleneck, its optional parts where they are."""
    packed = ghost_module(block.ghost1)
    if block.dw is not None:
        packed += conv_unit(block.dw)
    if block.se is not None:
        packed += squeeze_excite(block.se)
    packed += ghost_module(block.ghost2)
    if block.shortcut is not None:
        packed += shortcut(block.shortcut)
    return packed
