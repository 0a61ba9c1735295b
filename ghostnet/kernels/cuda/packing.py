"""A network as the CUDA kernels read it: one float32 array for each layer.

The kernels know a network by the order and shapes of these arrays; see csrc/cuda/model_reader.h.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from ghostnet.checkpoints.folding import Array, FoldedLayer, fold
from ghostnet.checkpoints.parameters import count_classes
from ghostnet.errors import KernelError
from ghostnet.kernels.cpu.packing import unsupported_reason as cpu_reason
from ghostnet.kernels.cuda.library import SYMBOLS
from ghostnet.models import Architecture, network_spec
from ghostnet.models.architectures import Family
from ghostnet.models.specs import BottleneckSpec, GhostModuleSpec, LayerSpec

OTHER_BLOCKS: Mapping[Family, str] = {
    "repghost": "RepGhost modules",
    "mobilenet_v2": "inverted residuals",
}
"""What the networks of other families are made of."""

QUAD = 4
"""Channels that the kernels compute together."""


class Channels(NamedTuple):
    """Channels of a feature map, whose parts the kernels pad with zeros to multiples of four.

    Attributes:
        places: Place of each channel among the padded ones.
        padded: Number of channels with the padding.
    """

    places: NDArray[np.int64]
    padded: int


def channels(*parts: int) -> Channels:
    """Lay out a feature map of parts with the given channels: a Ghost module's has two."""
    places, padded = [], 0
    for part in parts:
        places.append(padded + np.arange(part))
        padded += -(-part // QUAD) * QUAD
    return Channels(np.concatenate(places), padded)


def halves(count: int) -> Channels:
    """Lay out the output of a Ghost module, and any map that is added to one."""
    return channels(count - count // 2, count // 2)


def unpadded(count: int) -> Channels:
    """Lay out channels without padding."""
    return Channels(np.arange(count), count)


def pack(
    architecture: Architecture, parameters: Mapping[str, NDArray[Any]], *, features: bool = False
) -> list[Array]:
    """Fold and pack a network.

    Args:
        architecture: Its table.
        parameters: Arrays by released name.
        features: Leave the classifier out, so that its input is the output.

    Raises:
        KernelError: A layer is not supported.
    """
    reason = unsupported_reason(architecture)
    if reason is not None:
        raise KernelError(reason)
    classes = count_classes(parameters, architecture)
    spec = network_spec(architecture, classes)
    packer = Packer(parameters)
    inputs = halves(architecture.stem_channels)
    packed = [packer.pointwise(spec.stem, unpadded(27), inputs)]
    for bottleneck in cast("tuple[BottleneckSpec, ...]", spec.blocks):
        outputs = halves(bottleneck.ghost2.cheap.out_channels * 2)
        packed += packer.bottleneck(bottleneck, inputs, outputs)
        inputs = outputs
    last, head = channels(architecture.last_channels), channels(architecture.head_channels)
    packed.append(packer.pointwise(spec.last, inputs, last))
    packed.append(packer.pointwise(cast("LayerSpec", spec.head), last, head))
    if not features:
        packed.append(packer.pointwise(spec.classifier, head, channels(classes)))
    return packed


def unsupported_reason(architecture: Architecture) -> str | None:
    """Say which layer of an architecture the kernels lack; None if they have all."""
    layers = (
        "the attention of GhostNetV2 and V3"
        if architecture.attends
        else OTHER_BLOCKS.get(architecture.family)
    )
    if layers:
        return (
            f"a network with {layers} cannot be fused for a GPU, whose kernels have the Ghost "
            "bottlenecks of the first GhostNet; run the network itself, or fuse it for a CPU"
        )
    if architecture.quantized:
        return (
            "a network with convolutions on 8 bits cannot be fused for a GPU; run the network "
            "itself, or fuse it for a CPU"
        )
    if architecture.activation not in SYMBOLS:
        return (
            f"a network with the activation {architecture.activation} cannot be fused for a GPU; "
            f"its kernels have {', '.join(SYMBOLS)}"
        )
    return cpu_reason(architecture)


class Packer:
    """Packs the layers of a network.

    Args:
        parameters: Arrays by released name.
    """

    def __init__(self, parameters: Mapping[str, NDArray[Any]]) -> None:
        self.parameters = parameters

    def pointwise(self, layer: LayerSpec, inputs: Channels, outputs: Channels) -> Array:
        """Pack a layer over all channels as (in + 1, out); the last row is the bias."""
        folded = fold(layer, self.parameters)
        packed = np.zeros((inputs.padded + 1, outputs.padded), np.float32)
        packed[np.ix_(inputs.places, outputs.places)] = folded.matrix.T
        packed[-1, outputs.places] = folded.bias
        return packed

    def depthwise(self, layer: LayerSpec, both: Channels) -> Array:
        """Pack a depthwise layer as (quads, taps + 1, 4); the last tap of each quad is the bias."""
        folded: FoldedLayer = fold(layer, self.parameters)
        taps = folded.matrix
        packed = np.zeros((taps.shape[1] + 1, both.padded), np.float32)
        packed[:-1, both.places] = taps.T
        packed[-1, both.places] = folded.bias
        return np.ascontiguousarray(packed.reshape(len(packed), -1, QUAD).transpose(1, 0, 2))

    def ghost_module(self, module: GhostModuleSpec, inputs: Channels) -> list[Array]:
        """Pack the primary convolution, then the cheap operation."""
        half = channels(module.primary.out_channels)
        return [self.pointwise(module.primary, inputs, half), self.depthwise(module.cheap, half)]

    def bottleneck(self, spec: BottleneckSpec, inputs: Channels, outputs: Channels) -> list[Array]:
        """Pack a Ghost bottleneck, with the optional parts that it has."""
        expanded = halves(spec.ghost1.cheap.out_channels * 2)
        packed = self.ghost_module(spec.ghost1, inputs)
        if spec.downsample:
            packed.append(self.depthwise(spec.downsample, expanded))
        if spec.squeeze_excite:
            reduce, expand = spec.squeeze_excite
            reduced = channels(reduce.out_channels)
            packed.append(self.pointwise(reduce, expanded, reduced))
            packed.append(self.pointwise(expand, reduced, expanded))
        packed += self.ghost_module(spec.ghost2, expanded)
        if spec.shortcut:
            packed.append(self.depthwise(spec.shortcut.depthwise, inputs))
            packed.append(self.pointwise(spec.shortcut.pointwise, inputs, outputs))
        return packed
