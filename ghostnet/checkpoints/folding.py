"""Batch norms folded into the convolutions before them, and branches into one convolution."""

from collections.abc import Mapping
from functools import reduce
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ghostnet.models.specs import NORM_EPSILON, LayerSpec, Shape

Array: TypeAlias = NDArray[np.float32]
Wide: TypeAlias = NDArray[np.float64]


class FoldedLayer(NamedTuple):
    """A convolution or dense layer with a bias and without batch norm.

    Attributes:
        weight: (out_channels, in_channels, …) float32.
        bias: (out_channels,) float32.
    """

    weight: Array
    bias: Array

    @property
    def matrix(self) -> Array:
        """The weight as (out_channels, inputs of one output)."""
        return self.weight.reshape(len(self.weight), -1)

    def rows(self, start: int, stop: int) -> "FoldedLayer":
        """Return the layer with only the output channels from ``start`` to ``stop``."""
        return FoldedLayer(self.weight[start:stop], self.bias[start:stop])


def fold(layer: LayerSpec, parameters: Mapping[str, NDArray[Any]]) -> FoldedLayer:
    """Fold the batch norms and branches of a layer into one weight and bias; in float64.

    Args:
        layer: The layer.
        parameters: Parameters of the network, by released name.
    """
    if layer.norm is None and not layer.branches:
        weight, bias = (parameters[f"{layer.name}.{leaf}"] for leaf in ("weight", "bias"))
        return FoldedLayer(np.asarray(weight, np.float32), np.asarray(bias, np.float32))
    folded = (_folded(part, layer.weight_shape, parameters) for part in layer.parts())
    total, shift = reduce(_add, folded)
    return FoldedLayer(total.astype(np.float32), shift.astype(np.float32))


def _folded(
    part: LayerSpec, shape: Shape, parameters: Mapping[str, NDArray[Any]]
) -> tuple[Wide, Wide]:
    """Return the weight, in the given shape, and the bias of a convolution and its batch norm."""
    gamma, beta, mean, variance = (
        np.asarray(parameters[f"{part.norm}.{leaf}"], np.float64)
        for leaf in ("gamma", "beta", "moving_mean", "moving_variance")
    )
    scale = gamma / np.sqrt(variance + NORM_EPSILON)
    if part.kind == "identity":
        weight = np.ones(part.weight_shape, np.float32)
    else:
        weight = np.asarray(parameters[f"{part.name}.weight"], np.float32)
    scaled = weight * scale.reshape(-1, *[1] * (weight.ndim - 1))
    return _padded(scaled, shape), beta - mean * scale


def _padded(weight: Wide, shape: Shape) -> Wide:
    """Put zeros around a kernel that is smaller than the given shape."""
    margins = [(whole - own) // 2 for whole, own in zip(shape, weight.shape, strict=True)]
    return np.pad(weight, [(margin, margin) for margin in margins]) if any(margins) else weight


def _add(first: tuple[Wide, Wide], second: tuple[Wide, Wide]) -> tuple[Wide, Wide]:
    return first[0] + second[0], first[1] + second[1]
