"""Ranges of the inputs of pointwise convolutions, for 8-bit weights and pixels.

A batch norm already states the mean (beta) and the deviation (gamma) of its output, so no images
are needed; see Nagel et al. (2019), "Data-Free Quantization through Weight Equalization and Bias
Correction".
"""

from collections.abc import Mapping
from functools import reduce
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ghostnet.checkpoints.folding import Array, fold
from ghostnet.errors import KernelError
from ghostnet.models.architectures import Activation
from ghostnet.models.specs import (
    BottleneckSpec,
    GhostModuleSpec,
    InvertedResidualSpec,
    LayerSpec,
    NetworkSpec,
)

DEVIATIONS = 8
"""Half the width of a range, in standard deviations."""

HARD_SWISH_MINIMUM = -0.375


class ValueRange(NamedTuple):
    """Least and largest value of each channel, (channels,) float32 each."""

    low: Array
    high: Array

    def activated(self, activation: Activation | None) -> "ValueRange":
        """Return the range after an activation."""
        low, high = self
        match activation:
            case "relu":
                return ValueRange(np.maximum(low, 0), np.maximum(high, 0))
            case "relu6":
                return ValueRange(np.clip(low, 0, 6), np.clip(high, 0, 6))
            case "hard_swish":
                return ValueRange(
                    np.maximum(np.minimum(low, 0), HARD_SWISH_MINIMUM), np.maximum(high, 0)
                )
            case _:
                return self

    def gated(self) -> "ValueRange":
        """Return the range after a multiplication by gates in [0, 1]."""
        return ValueRange(np.minimum(self.low, 0), np.maximum(self.high, 0))

    def __or__(self, other: "ValueRange") -> "ValueRange":
        """Return the ranges of the channels of both."""
        return ValueRange(*map(np.concatenate, zip(self, other, strict=True)))

    def plus(self, other: "ValueRange") -> "ValueRange":
        """Return the range of the sum, in which the squares of the deviations add up."""
        middle = (self.low + self.high + other.low + other.high) / 2
        half = np.hypot(self.high - self.low, other.high - other.low) / 2
        return ValueRange(middle - half, middle + half)


def input_ranges(
    spec: NetworkSpec, parameters: Mapping[str, NDArray[Any]]
) -> dict[str, ValueRange]:
    """Return the range of the input of each pointwise convolution behind the stem, by its name.

    Args:
        spec: Layers of the network.
        parameters: Arrays by released name.

    Raises:
        KernelError: A convolution over all channels has no batch norm to state its range.
    """
    walk = _Walk(parameters)
    values = walk.normalized(spec.stem)
    for block in spec.blocks:
        if isinstance(block, InvertedResidualSpec):
            values = walk.inverted_residual(block, values)
        else:
            values = walk.bottleneck(block, values)
    walk.inputs[spec.last.name] = values
    return walk.inputs


class _Walk:
    """A walk over the blocks; ``inputs`` collects the input range of each pointwise convolution."""

    def __init__(self, parameters: Mapping[str, NDArray[Any]]) -> None:
        self.parameters = parameters
        self.inputs: dict[str, ValueRange] = {}

    def output(self, layer: LayerSpec, values: ValueRange) -> ValueRange:
        """Return the range of a layer's output.

        Args:
            layer: The layer, whose batch norm or branches state the range.
            values: The range of its input, for a depthwise convolution that states none.

        Raises:
            KernelError: Another layer states none.
        """
        if layer.norm or layer.branches:
            return self.normalized(layer)
        if layer.kind == "depthwise":
            return self._filtered(layer, values)
        raise KernelError(
            f"{layer.name} has a bias in place of the batch norms that state its range for 8 bits; "
            "open the network with its branches (keep_branches=True), or use float32"
        )

    def normalized(self, layer: LayerSpec) -> ValueRange:
        """Return the range that the batch norm of a layer, or those of its branches, state."""
        total = reduce(ValueRange.plus, map(self._stated, layer.parts()))
        return total.activated(layer.activation)

    def _stated(self, part: LayerSpec) -> ValueRange:
        gamma, beta = (
            np.asarray(self.parameters[f"{part.norm}.{leaf}"], np.float32)
            for leaf in ("gamma", "beta")
        )
        half = DEVIATIONS * np.abs(gamma)
        return ValueRange(beta - half, beta + half)

    def _filtered(self, layer: LayerSpec, values: ValueRange) -> ValueRange:
        """Return the range that a depthwise convolution of pixels, or of zeros, cannot leave."""
        folded = fold(layer, self.parameters)
        low, high = (folded.matrix * limit[:, None] for limit in values.gated())
        least, largest = np.minimum(low, high).sum(1), np.maximum(low, high).sum(1)
        filtered = ValueRange(folded.bias + least, folded.bias + largest)
        return filtered.activated(layer.activation)

    def pointwise(self, layer: LayerSpec, values: ValueRange) -> ValueRange:
        """Record the range of a layer's input, and return that of its output."""
        self.inputs[layer.name] = values
        return self.output(layer, values)

    def ghost_module(self, module: GhostModuleSpec, values: ValueRange) -> ValueRange:
        primary = self.pointwise(module.primary, values)
        cheap = self.output(module.cheap, primary)
        output = primary | cheap if module.is_concatenated else cheap
        if module.attention is None:
            return output
        self.inputs[module.attention.pointwise.name] = values
        return output.gated()

    def bottleneck(self, block: BottleneckSpec, values: ValueRange) -> ValueRange:
        expanded = self.ghost_module(block.ghost1, values)
        if block.downsample:
            expanded = self.output(block.downsample, expanded)
        if block.squeeze_excite:
            expanded = expanded.gated()
        projected = self.ghost_module(block.ghost2, expanded)
        if block.shortcut is None:
            return projected.plus(values)
        filtered = self.output(block.shortcut.depthwise, values)
        return projected.plus(self.pointwise(block.shortcut.pointwise, filtered))

    def inverted_residual(self, block: InvertedResidualSpec, values: ValueRange) -> ValueRange:
        expanded = self.pointwise(block.expansion, values) if block.expansion else values
        filtered = self.output(block.depthwise, expanded)
        projected = self.pointwise(block.projection, filtered)
        return projected.plus(values) if block.has_residual else projected
