"""The layers of a network as the CPU kernels read them."""

from collections.abc import Mapping
from typing import Any

from numpy.typing import NDArray

from ghostnet.checkpoints.folding import Array, FoldedLayer, fold
from ghostnet.kernels.cpu import library
from ghostnet.kernels.cpu.ranges import ValueRange
from ghostnet.models.specs import (
    BlockSpec,
    BottleneckSpec,
    GhostModuleSpec,
    InvertedResidualSpec,
    LayerSpec,
    SqueezeExciteSpec,
)


class Packer:
    """Packs the layers of a network; every method returns arrays in the order of the kernels.

    Args:
        parameters: Arrays by released name.
        ranges: Input range of each layer that may be packed in 8 bits, by name.

    Attributes:
        gate_format: Of the weights of squeeze-excite.
        head_format: Of the weights of the head and the classifier.
    """

    gate_format: library.WeightFormat = "float32"
    head_format: library.WeightFormat = "float24"

    def __init__(
        self, parameters: Mapping[str, NDArray[Any]], ranges: Mapping[str, ValueRange]
    ) -> None:
        self.parameters = parameters
        self.ranges = ranges

    def stem(self, layer: LayerSpec) -> list[Array]:
        """Pack the first convolution, as one over its taps, and its bias."""
        return self.pointwise(layer)

    def pointwise(self, layer: LayerSpec) -> list[Array]:
        """Pack a convolution over all channels, in tiles of output channels, and its bias."""
        return self._pointwise(layer.name, fold(layer, self.parameters))

    def depthwise(self, layer: LayerSpec) -> list[Array]:
        """Pack a depthwise convolution, (channels, height, width), and its bias."""
        folded = fold(layer, self.parameters)
        return [folded.weight.ravel(), folded.bias]

    def gate(self, layer: LayerSpec) -> list[Array]:
        """Pack a layer of squeeze-excite, and its bias."""
        folded = fold(layer, self.parameters)
        return [library.packed_dense(self.gate_format, folded.matrix), folded.bias]

    def head(self, layer: LayerSpec) -> list[Array]:
        """Pack the convolution of the means, and its bias."""
        return self.classifier(layer)

    def classifier(self, layer: LayerSpec) -> list[Array]:
        """Pack the classifier, and its bias."""
        folded = fold(layer, self.parameters)
        return [library.packed_dense(self.head_format, folded.matrix), folded.bias]

    def ghost_module(self, module: GhostModuleSpec) -> list[Array]:
        """Pack the primary convolution, the cheap operation, and the attention if there is one."""
        parts = self.pointwise(module.primary) + self.depthwise(module.cheap)
        if module.attention:
            parts += self.parts(module.attention.pointwise, module)
            parts += self.depthwise(module.attention.horizontal)
            parts += self.depthwise(module.attention.vertical)
        return parts

    def squeeze_excite(self, spec: SqueezeExciteSpec) -> list[Array]:
        """Pack the reduction, then the expansion."""
        return self.gate(spec.reduce) + self.gate(spec.expand)

    def parts(self, layer: LayerSpec, module: GhostModuleSpec) -> list[Array]:
        """Pack a pointwise convolution in halves, if those of a Ghost module's output meet them."""
        if not module.is_concatenated:
            return self.pointwise(layer)
        folded = fold(layer, self.parameters)
        half = len(folded.bias) // 2
        first, second = folded.rows(0, half), folded.rows(half, 2 * half)
        return self._pointwise(layer.name, first) + self._pointwise(layer.name, second)

    def bottleneck(self, spec: BottleneckSpec) -> list[Array]:
        """Pack a Ghost bottleneck, with the optional parts that it has."""
        parts = self.ghost_module(spec.ghost1)
        if spec.downsample:
            parts += self.depthwise(spec.downsample)
        if spec.squeeze_excite:
            parts += self.squeeze_excite(spec.squeeze_excite)
        parts += self.ghost_module(spec.ghost2)
        if spec.shortcut:
            parts += self.depthwise(spec.shortcut.depthwise)
            parts += self.parts(spec.shortcut.pointwise, spec.ghost2)
        return parts

    def inverted_residual(self, spec: InvertedResidualSpec) -> list[Array]:
        """Pack an inverted residual, with its expansion if it has one."""
        expansion = self.pointwise(spec.expansion) if spec.expansion else []
        return expansion + self.depthwise(spec.depthwise) + self.pointwise(spec.projection)

    def block(self, spec: BlockSpec) -> list[Array]:
        """Pack a block of any kind."""
        if isinstance(spec, InvertedResidualSpec):
            return self.inverted_residual(spec)
        return self.bottleneck(spec)

    def _pointwise(self, name: str, layer: FoldedLayer) -> list[Array]:
        values = self.ranges.get(name)
        if values and library.is_faster_in_int8(*layer.matrix.shape):
            return [*library.packed_int8(layer.matrix, layer.bias, *values)]
        return [library.packed_pointwise(layer.matrix), layer.bias]
