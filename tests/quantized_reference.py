"""GhostNet with convolutions on 8 bits, in NumPy: whole numbers, and float32 after each step."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from ghostnet.models import Architecture, network_spec
from ghostnet.models.specs import (
    NORM_EPSILON,
    BottleneckSpec,
    GhostModuleSpec,
    LayerSpec,
    SqueezeExciteSpec,
)

Array = np.ndarray[Any, np.dtype[Any]]


class QuantizedNetwork:
    """Maps (batch, 3, height, width) images to (batch, classes) logits.

    Args:
        architecture: Of a GhostNet of the first version with ReLU.
        parameters: Arrays by released name.
        classes: Length of the logits.
    """

    def __init__(
        self, architecture: Architecture, parameters: Mapping[str, Array], classes: int
    ) -> None:
        self.spec = network_spec(architecture, classes)
        self.parameters = parameters

    def __call__(self, images: Array) -> Array:
        x = self.convolve(self.spec.stem, images)
        for block in self.spec.blocks:
            x = self.bottleneck(block, x)
        means = mean(self.convolve(self.spec.last, x))
        features = self.convolve(self.spec.head, means)[:, :, 0, 0]
        classifier = self.spec.classifier.name
        weight, bias = (self.parameters[f"{classifier}.{leaf}"] for leaf in ("weight", "bias"))
        return features @ weight.T + bias

    def bottleneck(self, block: BottleneckSpec, x: Array) -> Array:
        y = self.ghost_module(block.ghost1, x)
        if block.downsample:
            y = self.convolve(block.downsample, y)
        if block.squeeze_excite:
            y = y * self.gates(block.squeeze_excite, y)
        if block.shortcut:
            x = self.convolve(block.shortcut.depthwise, x)
            x = self.convolve(block.shortcut.pointwise, x)
        return self.ghost_module(block.ghost2, y) + x

    def ghost_module(self, module: GhostModuleSpec, x: Array) -> Array:
        primary = self.convolve(module.primary, x)
        return np.concatenate([primary, self.convolve(module.cheap, primary)], axis=1)

    def gates(self, layers: SqueezeExciteSpec, x: Array) -> Array:
        squeezed = self.convolve(layers.reduce, mean(x))
        gates = self.convolve(layers.expand, squeezed)
        return np.clip(gates + np.float32(3), 0, 6) * np.float32(1 / 6)

    def convolve(self, layer: LayerSpec, x: Array) -> Array:
        """Round the input to steps, sum the products of whole numbers, and scale the sums.

        Without padding, the sums are those of the steps, and what the zero adds is in the term.
        """
        scale, zero = (float(self.of(layer, leaf)[0]) for leaf in ("scale_a", "zp_a"))
        scaled = x * np.float32(1 / scale) + np.float32(0.5 - zero)
        steps = np.floor(np.clip(scaled, 0, 255))
        scale_w = self.of(layer, "scale_w").reshape(-1, 1, 1, 1)
        weight = np.clip(np.floor(self.of(layer, "weight") / scale_w + 0.5), -129, 128)
        weight = weight.astype(np.float64)
        slope, bias = self.affine(layer)
        slope = scale_w.ravel().astype(np.float64) * scale * slope
        if layer.kernel_size == 1:
            bias = bias + slope * zero * weight.sum(axis=(1, 2, 3))
        else:
            steps = steps + zero
        sums = convolution(steps, weight, layer.stride)
        factor, term = (v.astype(np.float32).reshape(1, -1, 1, 1) for v in (slope, bias))
        y = sums.astype(np.float32) * factor + term
        return np.maximum(y, np.float32(0)) if layer.activation == "relu" else y

    def affine(self, layer: LayerSpec) -> tuple[Array, Array]:
        """Factor and term after the sums: those of the batch norm, or 1 and the bias."""
        if layer.norm is None:
            bias = self.of(layer, "bias").astype(np.float64)
            return np.ones_like(bias), bias
        gamma, beta, average, variance = (
            self.parameters[f"{layer.norm}.{leaf}"].astype(np.float64)
            for leaf in ("gamma", "beta", "moving_mean", "moving_variance")
        )
        slope = gamma / np.sqrt(variance + NORM_EPSILON)
        return slope, beta - average * slope

    def of(self, layer: LayerSpec, leaf: str) -> Array:
        return self.parameters[f"{layer.name}.{leaf}"]


def mean(x: Array) -> Array:
    return x.mean(axis=(2, 3), keepdims=True, dtype=np.float64).astype(np.float32)


def convolution(x: Array, weight: Array, stride: int) -> Array:
    """Convolve (batch, channels, height, width), padded by half of the kernel, in float64."""
    size = weight.shape[2]
    height, width = (-(-side // stride) for side in x.shape[2:])
    margin = size // 2
    padded = np.pad(x, ((0, 0), (0, 0), (margin, margin), (margin, margin)))
    depthwise = weight.shape[1] < x.shape[1]
    total = 0
    for row, column in np.ndindex(size, size):
        taps = padded[:, :, row::stride, column::stride][:, :, :height, :width]
        own = weight[:, :, row, column]
        if depthwise:
            total = total + taps * own.reshape(1, -1, 1, 1)
        else:
            total = total + np.einsum("oc,bchw->bohw", own, taps, optimize=True)
    return total
