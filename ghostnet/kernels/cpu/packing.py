"""A network as the CPU kernels read it: a plan of sizes, and one vector of packed weights.

The plan is that of csrc/cpu/network/plan.h; the weights are in the order of `read_model`.
"""

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ghostnet.checkpoints.folding import Array, FoldedLayer, fold
from ghostnet.checkpoints.parameters import check_parameters, count_classes
from ghostnet.errors import KernelError
from ghostnet.kernels.cpu import library
from ghostnet.kernels.cpu.ranges import ValueRange, input_ranges
from ghostnet.models import Architecture, network_spec
from ghostnet.models.architectures import Activation, Family, Upsampling
from ghostnet.models.specs import (
    BlockSpec,
    BottleneckSpec,
    GhostModuleSpec,
    InvertedResidualSpec,
    LayerSpec,
    SqueezeExciteSpec,
)

ACTIVATIONS: Mapping[Activation, int] = {"relu": 1, "hard_swish": 2, "relu6": 3}
"""Numbers of the activations in the plan."""

BLOCK_KINDS: Mapping[Family, int] = {"ghostnet": 0, "mobilenet_v2": 1, "repghost": 2}
"""Numbers of the kinds of blocks in the plan."""

UPSAMPLINGS: Mapping[Upsampling, int] = {"nearest": 1, "bilinear": 2}
"""Numbers of the ways in which gates of the attention grow, in the plan; 0 without attention."""

Dtype = Literal["float32", "int8"]
"""Type of the weights and pixels of the pointwise convolutions that gain from it."""

PRECISIONS: Mapping[Dtype, int] = {"float32": 0, "int8": 1}
"""Numbers of the types in the plan."""

CACHE_LINE = 64
"""Alignment of the packed weights, in bytes."""


class PlanHeader(NamedTuple):
    """First fields of a plan."""

    precision: int
    block_kind: int
    stem_channels: int
    activation: int
    blocks: int
    last_channels: int
    head_channels: int  # 0 without a head
    classes: int  # 0 where the features are wanted


class PlanBlock(NamedTuple):
    """Fields of one block in a plan."""

    expansion_channels: int
    out_channels: int
    kernel_size: int
    stride: int
    se_channels: int
    upsampling: int


class PackedNetwork(NamedTuple):
    """The inputs of the operator besides the images.

    Attributes:
        plan: A `PlanHeader` and a `PlanBlock` for each block, int32.
        weights: Packed weights and biases of all layers, float32.
    """

    plan: NDArray[np.int32]
    weights: Array

    def within(self, longer: "PackedNetwork") -> "PackedNetwork":
        """Take the memory of a longer network, if it begins with the weights of this one."""
        beginning = longer.weights[: self.weights.size]
        is_beginning = np.array_equal(beginning, self.weights)
        return PackedNetwork(self.plan, beginning) if is_beginning else self


def pack(
    architecture: Architecture,
    parameters: Mapping[str, NDArray[Any]],
    *,
    features: bool = False,
    pooled: bool = False,
    dtype: Dtype = "float32",
) -> PackedNetwork:
    """Fold and pack a network.

    Args:
        architecture: Its table.
        parameters: Arrays by released name.
        features: Leave the classifier out, so that its input is the output.
        pooled: Leave the head out, too, so that the means of the last map are the output.
        dtype: Type of the weights and pixels of the pointwise convolutions that gain from it.

    Raises:
        KernelError: A layer is not supported, or the processor does not support the type.
        CheckpointError: Parameters are missing or have the wrong shapes.
    """
    check_architecture(architecture)
    check_dtype(dtype)
    classes = count_classes(parameters, architecture)
    spec = network_spec(architecture, classes)
    head = None if pooled else spec.head
    expected = spec.parameter_shapes()
    parameters = {name: parameters[name] for name in expected if name in parameters}
    check_parameters(parameters, expected, "the parameters")
    header = PlanHeader(
        precision=PRECISIONS[dtype],
        block_kind=BLOCK_KINDS[architecture.family],
        stem_channels=architecture.stem_channels,
        activation=ACTIVATIONS[architecture.activation],
        blocks=len(architecture.blocks),
        last_channels=architecture.last_channels,
        head_channels=head.out_channels if head else 0,
        classes=0 if features or pooled else classes,
    )
    plan: list[int] = [*header]
    for row in architecture.blocks:
        plan += PlanBlock(
            expansion_channels=row.expansion_channels,
            out_channels=row.out_channels,
            kernel_size=row.kernel_size,
            stride=row.stride,
            se_channels=row.se_channels,
            upsampling=UPSAMPLINGS[architecture.upsampling] if row.attention else 0,
        )
    packer = Packer(parameters, input_ranges(spec, parameters) if dtype == "int8" else {})
    parts = packer.pointwise(spec.stem)
    for block in spec.blocks:
        parts += packer.block(block)
    parts += packer.pointwise(spec.last)
    if head:
        parts += packer.short_dense(head)
    if not (features or pooled):
        parts += packer.short_dense(spec.classifier)
    return PackedNetwork(np.array(plan, np.int32), _concatenated(parts))


def unsupported_reason(architecture: Architecture) -> str | None:
    """Say which layer of an architecture the kernels lack; None if they have all."""
    if architecture.attends and architecture.family != "ghostnet":
        return (
            "the attention of GhostNetV2 cannot be fused in a network without Ghost modules; run "
            "the network itself"
        )
    return _unsupported_layer(architecture)


def untrainable_reason(architecture: Architecture) -> str | None:
    """Say what keeps an architecture from being fused for training; None if nothing does."""
    if architecture.form == "merged":
        return (
            "a network with merged branches cannot be fused for training; train it with its "
            "branches"
        )
    return _unsupported_layer(architecture)


def _unsupported_layer(architecture: Architecture) -> str | None:
    if architecture.quantized:
        return (
            "a network with convolutions on 8 bits cannot be fused, because the kernels do not "
            "round their inputs; run the network itself"
        )
    if architecture.activation not in ACTIVATIONS:
        return (
            f"a network with the activation {architecture.activation} cannot be fused; the kernels "
            f"have {', '.join(ACTIVATIONS)}"
        )
    for row in architecture.blocks:
        if row.kernel_size not in (3, 5) or row.stride not in (1, 2):
            return (
                f"{row} cannot be fused; the kernels have filters of 3 or 5 pixels and strides of "
                "1 or 2"
            )
    if architecture.family == "mobilenet_v2":
        return _unsupported_residual(architecture)
    return None


def _unsupported_residual(architecture: Architecture) -> str | None:
    """Say which inverted residual the kernels lack; None if they have all."""
    if architecture.activation != "relu6":
        return (
            f"inverted residuals with the activation {architecture.activation} cannot be fused; "
            "the kernels have them with relu6"
        )
    for row in architecture.blocks:
        if row.kernel_size != 3 or row.se_channels:
            return (
                f"{row} cannot be fused; the kernels have inverted residuals with filters of 3 "
                "pixels and without squeeze-excite"
            )
    return None


def check_architecture(architecture: Architecture) -> None:
    """Check that the kernels have every layer of an architecture.

    Raises:
        KernelError: A layer is not supported.
    """
    reason = unsupported_reason(architecture)
    if reason is not None:
        raise KernelError(reason)


def check_dtype(dtype: str) -> None:
    """Check that the kernels support a type on this processor.

    Raises:
        KernelError: The dtype is not supported, or not on this processor.
    """
    if dtype not in PRECISIONS:
        raise KernelError(f"the dtype {dtype!r} is not one of {', '.join(PRECISIONS)}")
    if dtype == "int8" and (reason := library.no_int8_reason()):
        raise KernelError(reason)


class Packer:
    """Packs the layers of a network; every method returns arrays in the order of the kernels.

    Args:
        parameters: Arrays by released name.
        ranges: Input range of each layer that may be packed in 8 bits, by name.
    """

    def __init__(
        self, parameters: Mapping[str, NDArray[Any]], ranges: Mapping[str, ValueRange]
    ) -> None:
        self.parameters = parameters
        self.ranges = ranges

    def pointwise(self, layer: LayerSpec) -> list[Array]:
        """Pack a convolution over all channels, in tiles of output channels, and its bias."""
        return self._pointwise(layer.name, fold(layer, self.parameters))

    def depthwise(self, layer: LayerSpec) -> list[Array]:
        """Pack a depthwise convolution, (channels, height, width), and its bias."""
        folded = fold(layer, self.parameters)
        return [folded.weight.ravel(), folded.bias]

    def dense(self, layer: LayerSpec) -> list[Array]:
        """Pack a layer on vectors, and its bias."""
        folded = fold(layer, self.parameters)
        return [library.packed("dense", folded.matrix), folded.bias]

    def short_dense(self, layer: LayerSpec) -> list[Array]:
        """Pack a layer on vectors with many weights, each shortened to 24 bits, and its bias."""
        folded = fold(layer, self.parameters)
        return [library.packed("short_dense", folded.matrix), folded.bias]

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
        return self.dense(spec.reduce) + self.dense(spec.expand)

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
        return [library.packed("pointwise", layer.matrix), layer.bias]


def _concatenated(parts: list[Array]) -> Array:
    """Concatenate vectors into memory that begins at a cache line."""
    size = sum(part.size for part in parts)
    spare = CACHE_LINE // np.dtype(np.float32).itemsize
    memory = np.empty(size + spare, np.float32)
    start = -memory.ctypes.data % CACHE_LINE // memory.itemsize
    return np.concatenate(parts, out=memory[start : start + size])
