"""A network as the CPU kernels read it: a plan of sizes, and one vector of packed weights.

The plan is that of csrc/cpu/network/plan.h; the weights are in the order of `read_model`.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ghostnet.checkpoints.folding import Array
from ghostnet.checkpoints.parameters import check_parameters, count_classes
from ghostnet.errors import KernelError
from ghostnet.kernels.cpu import library
from ghostnet.kernels.cpu.bfloat16_packer import Bfloat16Packer
from ghostnet.kernels.cpu.library import DTYPES, PRECISIONS, Dtype, Precision
from ghostnet.kernels.cpu.packer import Packer
from ghostnet.kernels.cpu.quantized_packer import QuantizedPacker
from ghostnet.kernels.cpu.ranges import input_ranges
from ghostnet.models import Architecture, network_spec
from ghostnet.models.architectures import Activation, Family, Upsampling
from ghostnet.models.specs import NetworkSpec

ACTIVATIONS: Mapping[Activation, int] = {"relu": 1, "hard_swish": 2, "relu6": 3}
"""Numbers of the activations in the plan."""

BLOCK_KINDS: Mapping[Family, int] = {"ghostnet": 0, "mobilenet_v2": 1, "repghost": 2}
"""Numbers of the kinds of blocks in the plan."""

UPSAMPLINGS: Mapping[Upsampling, int] = {"nearest": 1, "bilinear": 2}
"""Numbers of the ways in which gates of the attention grow, in the plan; 0 without attention."""

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
    check_dtype(dtype, architecture)
    precision: Precision = "quantized" if architecture.quantized else dtype
    classes = count_classes(parameters, architecture)
    spec = network_spec(architecture, classes)
    head = None if pooled else spec.head
    expected = spec.parameter_shapes()
    parameters = {name: parameters[name] for name in expected if name in parameters}
    check_parameters(parameters, expected, "the parameters")
    header = PlanHeader(
        precision=PRECISIONS[precision],
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
    packer = _packer(precision, spec, parameters)
    parts = packer.stem(spec.stem)
    for block in spec.blocks:
        parts += packer.block(block)
    parts += packer.pointwise(spec.last)
    if head:
        parts += packer.head(head)
    if not (features or pooled):
        parts += packer.classifier(spec.classifier)
    return PackedNetwork(np.array(plan, np.int32), _concatenated(parts))


def _packer(
    precision: Precision, spec: NetworkSpec, parameters: Mapping[str, NDArray[Any]]
) -> Packer:
    if precision == "quantized":
        return QuantizedPacker(parameters)
    if precision == "bfloat16":
        return Bfloat16Packer(parameters)
    return Packer(parameters, input_ranges(spec, parameters) if precision == "int8" else {})


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
    if architecture.quantized:
        return (
            "a network with convolutions on 8 bits cannot be trained, because rounding has no "
            "gradient; train its counterpart in floats"
        )
    return _unsupported_layer(architecture)


def _unsupported_layer(architecture: Architecture) -> str | None:
    if architecture.quantized and (architecture.family != "ghostnet" or architecture.attends):
        return (
            "a network with convolutions on 8 bits cannot be fused unless it is a GhostNet without "
            "attention; run the network itself"
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


def check_dtype(dtype: str, architecture: Architecture) -> None:
    """Check that the kernels support a type for a network on this processor.

    Raises:
        KernelError: The dtype is not supported, or not for the network or on this processor.
    """
    if dtype not in DTYPES:
        raise KernelError(f"the dtype {dtype!r} is not one of {', '.join(DTYPES)}")
    if architecture.quantized and dtype != "float32":
        raise KernelError(
            f"the dtype {dtype} is for networks in floats; the convolutions of this one are on 8 "
            "bits already, so leave the dtype out"
        )
    if reason := library.missing_reason(dtype):
        raise KernelError(reason)


def _concatenated(parts: list[Array]) -> Array:
    """Concatenate vectors into memory that begins at a cache line."""
    size = sum(part.size for part in parts)
    spare = CACHE_LINE // np.dtype(np.float32).itemsize
    memory = np.empty(size + spare, np.float32)
    start = -memory.ctypes.data % CACHE_LINE // memory.itemsize
    return np.concatenate(parts, out=memory[start : start + size])
