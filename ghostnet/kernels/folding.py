"""Batch norms folded into the convolutions before them."""

from collections.abc import Mapping
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ghostnet.models.specs import NORM_EPSILON, LayerSpec

Array: TypeAlias = NDArray[np.float32]


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
    """Fold the batch norm of a layer, if it has one, into its weight and bias; in float64.

    Args:
        layer: The layer.
        parameters: Parameters of the network, by released name.
    """
    weight = np.asarray(parameters[f"{layer.name}.weight"], np.float32)
    if layer.norm is None:
        return FoldedLayer(weight, np.asarray(parameters[f"{layer.name}.bias"], np.float32))
    gamma, beta, mean, variance = (
        np.asarray(parameters[f"{layer.norm}.{leaf}"], np.float64)
        for leaf in ("gamma", "beta", "moving_mean", "moving_variance")
    )
    scale = gamma / np.sqrt(variance + NORM_EPSILON)
    scaled = weight * scale.reshape(-1, *[1] * (weight.ndim - 1))
    return FoldedLayer(scaled.astype(np.float32), (beta - mean * scale).astype(np.float32))
