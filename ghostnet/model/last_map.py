"""The last map of a network before the pooling, computed in NumPy for one image.

The kernels keep no map: they pool it as they compute it. An explanation needs one map of one image,
for which NumPy is fast enough, and it has every layer of every network.
"""

from collections.abc import Callable, Mapping
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from ghostnet.checkpoints import Parameters
from ghostnet.checkpoints.folding import FoldedLayer, fold
from ghostnet.checkpoints.parameters import count_classes
from ghostnet.errors import KernelError
from ghostnet.models import network_spec
from ghostnet.models.architectures import Activation, Architecture, Upsampling
from ghostnet.models.specs import (
    AttentionSpec,
    BlockSpec,
    BottleneckSpec,
    GhostModuleSpec,
    InvertedResidualSpec,
    LayerSpec,
    SqueezeExciteSpec,
)

Map: TypeAlias = NDArray[np.float32]
"""(channels, height, width) float32."""


def hard_sigmoid(x: Map) -> Map:
    """Return ``relu6(x + 3) / 6``."""
    return np.asarray(np.clip(x / 6 + 0.5, 0, 1), np.float32)


def _sigmoid(x: Map) -> Map:
    return np.asarray(1 / (1 + np.exp(-x)), np.float32)


ACTIVATIONS: Mapping[Activation | None, Callable[[Map], Map]] = {
    None: lambda x: x,
    "relu": lambda x: np.maximum(x, 0),
    "relu6": lambda x: np.clip(x, 0, 6),
    "hard_swish": lambda x: x * hard_sigmoid(x),
}


class LastMap:
    """Maps a preprocessed image to the last map of a network.

    Args:
        architecture: Table of the network.
        parameters: Arrays by released name.

    Attributes:
        spec: The layers of the network.
        layers: Their weights and biases, by name.

    Raises:
        KernelError: The network rounds its inputs to 8 bits, which is not computed here.
    """

    def __init__(self, architecture: Architecture, parameters: Parameters) -> None:
        if architecture.quantized:
            raise KernelError(
                "a network with convolutions on 8 bits cannot be explained, because their inputs "
                "are not rounded here; open the network in float32"
            )
        self.spec = network_spec(architecture, count_classes(parameters, architecture))
        self.layers: Mapping[str, FoldedLayer] = {
            layer.name: fold(layer, parameters) for layer in self.spec.layers()
        }

    def __call__(self, image: Map) -> Map:
        """Compute the map.

        Args:
            image: (3, height, width) float32, preprocessed.

        Returns:
            (channels, height, width) float32: the last layer before the pooling.
        """
        x = self._layer(self.spec.stem, image)
        for block in self.spec.blocks:
            x = self._block(block, x)
        return self._layer(self.spec.last, x)

    def _block(self, block: BlockSpec, x: Map) -> Map:
        if isinstance(block, InvertedResidualSpec):
            return self._inverted_residual(block, x)
        return self._bottleneck(block, x)

    def _inverted_residual(self, block: InvertedResidualSpec, x: Map) -> Map:
        y = self._layer(block.expansion, x) if block.expansion else x
        y = self._layer(block.projection, self._layer(block.depthwise, y))
        return x + y if block.has_residual else y

    def _bottleneck(self, block: BottleneckSpec, x: Map) -> Map:
        y = self._ghost_module(block.ghost1, x)
        if block.downsample:
            y = self._layer(block.downsample, y)
        if block.squeeze_excite:
            y = self._squeeze_excite(block.squeeze_excite, y)
        y = self._ghost_module(block.ghost2, y)
        if block.shortcut:
            x = self._layer(block.shortcut.pointwise, self._layer(block.shortcut.depthwise, x))
        return x + y

    def _ghost_module(self, module: GhostModuleSpec, x: Map) -> Map:
        primary = self._layer(module.primary, x)
        y = self._layer(module.cheap, primary)
        if module.is_concatenated:
            y = np.concatenate([primary, y])
        return y * self._gates(module.attention, x, y.shape) if module.attention else y

    def _gates(self, attention: AttentionSpec, x: Map, shape: tuple[int, ...]) -> Map:
        """Compute the gates that GhostNetV2's attention gives an output of this shape."""
        channels, height, width = x.shape
        rows, columns = height // 2, width // 2
        gates = x[:, : 2 * rows, : 2 * columns].reshape(channels, rows, 2, columns, 2)
        gates = gates.mean((2, 4))
        for layer in (attention.pointwise, attention.horizontal, attention.vertical):
            gates = self._layer(layer, gates)
        return UPSAMPLINGS[attention.upsampling](_sigmoid(gates), shape[1:])

    def _squeeze_excite(self, squeeze_excite: SqueezeExciteSpec, x: Map) -> Map:
        means = x.mean((1, 2), keepdims=True)
        gates = self._layer(squeeze_excite.expand, self._layer(squeeze_excite.reduce, means))
        return x * hard_sigmoid(gates)

    def _layer(self, layer: LayerSpec, x: Map) -> Map:
        """Run a convolution and its activation: a sum over the places of its kernel."""
        weight, bias = self.layers[layer.name]
        rows, columns = layer.kernel_shape
        top, left = rows // 2, columns // 2
        padded = np.pad(x, ((0, 0), (top, top), (left, left)))
        height, width = (1 + (size - 1) // layer.stride for size in x.shape[1:])
        y = np.zeros((layer.out_channels, height * width), np.float32) + bias[:, None]
        for row in range(rows):
            for column in range(columns):
                part = padded[:, row :: layer.stride, column :: layer.stride]
                part = part[:, :height, :width].reshape(len(x), -1)
                here = weight[:, :, row, column]
                y += here * part if layer.kind == "depthwise" else here @ part
        return ACTIVATIONS[layer.activation](y.reshape(-1, height, width))


def _nearest(x: Map, size: tuple[int, ...]) -> Map:
    rows, columns = (
        np.arange(new) * old // new for new, old in zip(size, x.shape[1:], strict=True)
    )
    return x[:, rows[:, None], columns]


def _bilinear(x: Map, size: tuple[int, ...]) -> Map:
    """Enlarge a map whose corners stay where they are."""
    rows, columns = (_between(new, old) for new, old in zip(size, x.shape[1:], strict=True))
    return np.asarray(rows @ x @ columns.T, np.float32)


def _between(new: int, old: int) -> Map:
    """Return the (new, old) weights of linear interpolation."""
    places = np.linspace(0, old - 1, new)
    return np.asarray(np.maximum(0, 1 - np.abs(places[:, None] - np.arange(old))), np.float32)


UPSAMPLINGS: Mapping[Upsampling, Callable[[Map, tuple[int, ...]], Map]] = {
    "nearest": _nearest,
    "bilinear": _bilinear,
}
