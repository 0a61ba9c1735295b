"""A network in inference state as the CUDA kernels read it: one float32 tensor for each layer.

The tensors' order and shapes are those of csrc/cuda/model_reader.h, which knows a network by them.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ghostnet.kernels.library import Array
from ghostnet.kernels.pack import Layer, check_architecture, folded, plain
from ghostnet.layers import GhostBottleneck, GhostModule
from ghostnet.network import GhostNet

QUAD = 4
"""The kernels compute channels by fours."""


class Channels(NamedTuple):
    """The channels of a map, each part of which the kernels pad with zeros to whole quads."""

    places: npt.NDArray[np.int64]
    padded: int


def channels(*parts: int) -> Channels:
    """A map of parts with so many channels each: two for a Ghost module's, else one."""
    places, padded = [], 0
    for part in parts:
        places.append(padded + np.arange(part))
        padded += -(-part // QUAD) * QUAD
    return Channels(np.concatenate(places), padded)


def halves(count: int) -> Channels:
    """The channels of a Ghost module's output, and of a map that is added to one."""
    return channels(count - count // 2, count // 2)


def pack_for_cuda(network: GhostNet, classify: bool = True) -> list[Array]:
    """Fold and pack ``network``; without ``classify`` the head's features are the output.

    Raises:
        KernelError: the network has a layer that the kernels do not know.
    """
    table = network.architecture
    check_architecture(table)
    *blocks, last = network.blocks
    inputs = halves(table.stem_channels)
    packed = [pointwise(folded(network.conv_stem, network.bn1), whole(27), inputs)]
    for block, row in zip(blocks, table.blocks, strict=True):
        expanded, outputs = halves(row.expansion_channels), halves(row.out_channels)
        packed += bottleneck(block, inputs, expanded, outputs)
        inputs = outputs
    last_channels, features = channels(table.last_channels), channels(table.head_channels)
    packed.append(pointwise(folded(last.conv, last.bn), inputs, last_channels))
    packed.append(pointwise(plain(network.conv_head), last_channels, features))
    if classify:
        classes = channels(network.num_classes)
        packed.append(pointwise(plain(network.classifier), features, classes))
    return packed


def whole(count: int) -> Channels:
    """Channels without padding."""
    return Channels(np.arange(count), count)


def pointwise(layer: Layer, inputs: Channels, outputs: Channels) -> Array:
    """The weights of a layer that sees all channels, (in + 1, out); the last row is the bias."""
    packed = np.zeros((inputs.padded + 1, outputs.padded), np.float32)
    rows = layer.weights.reshape(len(layer.weights), -1)
    packed[np.ix_(inputs.places, outputs.places)] = rows.T
    packed[-1, outputs.places] = layer.bias
    return packed


def depthwise(layer: Layer, both: Channels) -> Array:
    """The weights of a depthwise layer, (quads, taps + 1, 4); the last of each quad is the bias."""
    taps = layer.weights.reshape(len(layer.weights), -1)
    packed = np.zeros((taps.shape[1] + 1, both.padded), np.float32)
    packed[:-1, both.places] = taps.T
    packed[-1, both.places] = layer.bias
    return np.ascontiguousarray(packed.reshape(len(packed), -1, QUAD).transpose(1, 0, 2))


def ghost_module(module: GhostModule, inputs: Channels) -> list[Array]:
    """A Ghost module: its primary, then its cheap operation."""
    primary, cheap = module.primary_conv, module.cheap_operation
    half = channels(primary.conv.out_channels)
    return [
        pointwise(folded(primary.conv, primary.bn), inputs, half),
        depthwise(folded(cheap.conv, cheap.bn), half),
    ]


def bottleneck(
    block: GhostBottleneck, inputs: Channels, expanded: Channels, outputs: Channels
) -> list[Array]:
    """A Ghost bottleneck, its optional parts where they are."""
    packed = ghost_module(block.ghost1, inputs)
    if block.dw is not None:
        packed.append(depthwise(folded(block.dw.conv, block.dw.bn), expanded))
    if block.se is not None:
        reduced = channels(block.se.conv_reduce.out_channels)
        packed.append(pointwise(plain(block.se.conv_reduce), expanded, reduced))
        packed.append(pointwise(plain(block.se.conv_expand), reduced, expanded))
    packed += ghost_module(block.ghost2, expanded)
    if block.shortcut is not None:
        spatial, projection = block.shortcut
        packed.append(depthwise(folded(spatial.conv, spatial.bn), inputs))
        packed.append(pointwise(folded(projection.conv, projection.bn), inputs, outputs))
    return packed
