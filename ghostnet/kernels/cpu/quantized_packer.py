"""The layers of a quantized network as the kernels read them; see csrc/cpu/ops/quantization.h."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ghostnet.checkpoints.folding import Array, Wide
from ghostnet.kernels.cpu import library
from ghostnet.kernels.cpu.packer import Packer
from ghostnet.models.specs import NORM_EPSILON, GhostModuleSpec, LayerSpec

WEIGHT_RANGE = (-129, 128)
"""Bounds of the released code; a weight takes one step more on either side than a byte holds."""

POINTWISE_GROUP = 4
DENSE_GROUP = 64
"""Weights of one output that the kernels read at a time."""


class QuantizedLayer(NamedTuple):
    """A convolution of whole numbers: steps · Σ weight · (q + zero) + bias for the steps q.

    Attributes:
        weight: (out_channels, in_channels, …) whole numbers, float32.
        steps: (out_channels,) values of one product, with the batch norm folded in, float64.
        bias: (out_channels,) float64.
        scale: Of the input.
        zero: Of the input, in scales.
    """

    weight: Array
    steps: Wide
    bias: Wide
    scale: float
    zero: float

    @property
    def matrix(self) -> Array:
        """The weight as (out_channels, inputs of one output)."""
        return self.weight.reshape(len(self.weight), -1)

    @property
    def quantizer(self) -> Array:
        """The inverse of the scale, what is added so that truncation rounds, and the zero."""
        return np.array([1 / self.scale, 0.5 - self.zero, self.zero], np.float32)

    @property
    def shifted_bias(self) -> Wide:
        """The bias that belongs to the sums of weight · q."""
        sums: Wide = self.matrix.sum(axis=1, dtype=np.float64)
        return self.bias + self.steps * self.zero * sums

    def rows(self, start: int, stop: int) -> "QuantizedLayer":
        """Return the layer with only the output channels from ``start`` to ``stop``."""
        own = slice(start, stop)
        return self._replace(weight=self.weight[own], steps=self.steps[own], bias=self.bias[own])


def quantized(layer: LayerSpec, parameters: Mapping[str, NDArray[Any]]) -> QuantizedLayer:
    """Round the weight of a layer to whole numbers, and fold its batch norm into the steps."""
    weight, scales = parameters[f"{layer.name}.weight"], parameters[f"{layer.name}.scale_w"]
    per_output = np.asarray(scales, np.float32).reshape(-1, *[1] * (weight.ndim - 1))
    whole = np.floor(np.asarray(weight, np.float32) / per_output + np.float32(0.5))
    scale, zero = (float(parameters[f"{layer.name}.{leaf}"][0]) for leaf in ("scale_a", "zp_a"))
    steps = np.asarray(scales, np.float64) * scale
    if layer.norm is None:
        bias = np.asarray(parameters[f"{layer.name}.bias"], np.float64)
    else:
        gamma, beta, mean, variance = (
            np.asarray(parameters[f"{layer.norm}.{leaf}"], np.float64)
            for leaf in ("gamma", "beta", "moving_mean", "moving_variance")
        )
        slope = gamma / np.sqrt(variance + NORM_EPSILON)
        steps, bias = steps * slope, beta - mean * slope
    return QuantizedLayer(np.clip(whole, *WEIGHT_RANGE), steps, bias, scale, zero)


class QuantizedPacker(Packer):
    """Packs the layers of a quantized network.

    Args:
        parameters: Arrays by released name.
    """

    def __init__(self, parameters: Mapping[str, NDArray[Any]]) -> None:
        super().__init__(parameters, {})

    def stem(self, layer: LayerSpec) -> list[Array]:
        """Pack the first convolution, whose sums are exact in floats."""
        own = quantized(layer, self.parameters)
        taps = library.packed_pointwise(own.matrix)[: own.matrix.size]
        return [
            own.quantizer,
            taps,
            np.zeros(len(own.bias), np.float32),
            *_floats(own.steps, own.bias),
        ]

    def pointwise(self, layer: LayerSpec) -> list[Array]:
        return _pointwise(quantized(layer, self.parameters))

    def parts(self, layer: LayerSpec, module: GhostModuleSpec) -> list[Array]:
        own = quantized(layer, self.parameters)
        half = len(own.bias) // 2
        return _pointwise(own.rows(0, half)) + _pointwise(own.rows(half, 2 * half))

    def depthwise(self, layer: LayerSpec) -> list[Array]:
        own = quantized(layer, self.parameters)
        steps, bias = _floats(own.steps, own.bias)
        return [own.quantizer, steps, own.weight.ravel(), bias]

    def gate(self, layer: LayerSpec) -> list[Array]:
        return self.head(layer)

    def head(self, layer: LayerSpec) -> list[Array]:
        own = quantized(layer, self.parameters)
        passes, matrix = _passes(own.matrix, DENSE_GROUP)
        steps, bias = _floats(own.steps, own.shifted_bias)
        return [passes, own.quantizer, steps, library.packed_dense("int8", matrix), bias]


def _pointwise(own: QuantizedLayer) -> list[Array]:
    passes, matrix = _passes(own.matrix, POINTWISE_GROUP)
    inputs = own.matrix.shape[1]
    inverse, offset, _ = own.quantizer
    steps, bias = _floats(own.steps, own.shifted_bias)
    scales, offsets = np.full(inputs, inverse), np.full(inputs, offset)
    return [passes, scales, offsets, steps, library.packed_bytes(matrix), bias]


def _passes(matrix: Array, group: int) -> tuple[Array, Array]:
    """Split weights into bytes: what a byte holds, and the rest in a second pass if there is any.

    Returns:
        1 if there is a second pass and 0 if there is none, and the passes side by side, each padded
        to whole groups.
    """
    padded = np.pad(matrix, ((0, 0), (0, -matrix.shape[1] % group)))
    bytes_of = np.clip(padded, -128, 127)
    rest = padded - bytes_of
    if not rest.any():
        return np.zeros(1, np.float32), bytes_of
    return np.ones(1, np.float32), np.concatenate([bytes_of, rest], axis=1)


def _floats(*vectors: Wide) -> list[Array]:
    return [vector.astype(np.float32) for vector in vectors]
