"""The layers of networks for training on CPUs: the parameters of plain layers, fused operators.

Each cell here replaces one of `ghostnet.models.layers` and shares its parameters, which keep their
names. Where a batch norm is frozen by ``set_train(False)``, the plain cells run.
"""

from collections.abc import Callable, Iterable
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from mindspore import Tensor, nn, ops

from ghostnet.errors import KernelError
from ghostnet.kernels.cpu import training_operators
from ghostnet.kernels.cpu.packing import ACTIVATIONS as NUMBERS
from ghostnet.models import layers
from ghostnet.models.architectures import Upsampling
from ghostnet.models.layers import (
    Attention,
    BranchedUnit,
    ConvUnit,
    GhostModule,
    RepGhostModule,
    SqueezeExcite,
    check_pooling,
)


def norm_settings(norm: nn.BatchNorm2d, activation: nn.Cell | None) -> Tensor:
    """Pack the last input of operators with a norm: [activation, epsilon, momentum].

    Raises:
        KernelError: The kernels do not know the activation.
    """
    known: dict[Any, int] = {layers.ACTIVATIONS[name]: n for name, n in NUMBERS.items()}
    known[type(None)] = 0
    if type(activation) not in known:
        raise KernelError(
            f"a network with the activation {activation} cannot be fused for training; the kernels "
            f"have {', '.join(NUMBERS)}"
        )
    return Tensor(np.array([known[type(activation)], norm.eps, norm.momentum], np.float32))


def chain(cells: list[nn.Cell]) -> nn.CellList:
    """List cells to run one after the other; their parameters keep their names."""
    return nn.CellList(cells, auto_prefix=False)


class Unit(NamedTuple):
    """A convolution, its batch norm and its activation, named as those of a `ConvUnit`."""

    conv: nn.Conv2d
    bn: nn.BatchNorm2d
    act: nn.Cell | None


def normalized(norm: nn.BatchNorm2d, activation: nn.Cell | None, z: Tensor) -> Tensor:
    """Apply a plain batch norm and its activation."""
    y = norm(z)
    return y if activation is None else activation(y)


def units(cells: Iterable[nn.Cell]) -> list[Unit]:
    """Group the cells of a chain, in which a norm and maybe an activation follow a convolution."""
    listed = [*cells]
    starts = [index for index, cell in enumerate(listed) if isinstance(cell, nn.Conv2d)]
    groups = [listed[start:end] for start, end in pairwise([*starts, len(listed)])]
    return [Unit(conv, bn, *activation or (None,)) for conv, bn, *activation in groups]


class FusedStem(nn.Cell):
    """The first convolution, 3×3 with stride 2; recomputed for the gradients to save memory."""

    def __init__(self, convolution: nn.Conv2d) -> None:
        super().__init__(auto_prefix=False)
        self.convolution = convolution
        self.unfold = training_operators.unfold().recompute()
        self.pointwise = training_operators.pointwise().recompute()

    def construct(self, x: Tensor) -> Tensor:
        weight = self.convolution.weight
        return self.pointwise(self.unfold(x), weight.reshape((weight.shape[0], -1, 1, 1)))


class FusedNorm(nn.Cell):
    """Batch norm and activation."""

    def __init__(self, norm: nn.BatchNorm2d, activation: nn.Cell | None) -> None:
        super().__init__(auto_prefix=False)
        self.norm = norm
        self.activation = activation
        self.settings = norm_settings(norm, activation)
        self.operator = training_operators.batch_norm().recompute()

    def construct(self, z: Tensor) -> Tensor:
        norm = self.norm
        if not norm.training:
            return normalized(norm, self.activation, z)
        y, _, mean, variance = self.operator(
            z, norm.gamma, norm.beta, norm.moving_mean, norm.moving_variance, self.settings
        )
        ops.assign(norm.moving_mean, mean)
        ops.assign(norm.moving_variance, variance)
        return y


class FusedPointwise(nn.Cell):
    """A pointwise ConvUnit."""

    def __init__(self, unit: ConvUnit | Unit) -> None:
        super().__init__(auto_prefix=False)
        self.convolution = unit.conv
        self.operator = training_operators.pointwise()
        self.norm = FusedNorm(unit.bn, unit.act)

    def construct(self, x: Tensor) -> Tensor:
        return self.norm(self.operator(x, self.convolution.weight))


class FusedDepthwise(nn.Cell):
    """A depthwise ConvUnit; a filter that is not a square of 3 or 5 pixels becomes one of zeros."""

    def __init__(self, unit: ConvUnit | Unit) -> None:
        super().__init__(auto_prefix=False)
        height, width = unit.conv.kernel_size
        size = max(3, height, width)
        if size not in (3, 5) or unit.conv.stride[0] not in (1, 2):
            raise KernelError(
                f"{unit.conv} cannot be fused; the kernels have filters of at most 5 pixels and "
                "strides of 1 or 2"
            )
        left, top = (size - width) // 2, (size - height) // 2
        self.border = (left, left, top, top)
        self.convolution = unit.conv
        self.norm = unit.bn
        self.activation = unit.act
        self.settings = norm_settings(unit.bn, unit.act)
        self.operator = training_operators.depthwise(unit.conv.stride[0])

    def construct(self, x: Tensor) -> Tensor:
        norm = self.norm
        if not norm.training:
            return normalized(norm, self.activation, self.convolution(x))
        filters = self.convolution.weight
        if any(self.border):
            filters = ops.pad(filters, self.border)
        y, _, mean, variance = self.operator(
            x, filters,
            norm.gamma, norm.beta, norm.moving_mean, norm.moving_variance,
            self.settings,
        )  # fmt: skip
        ops.assign(norm.moving_mean, mean)
        ops.assign(norm.moving_variance, variance)
        return y


class FusedBranchedUnit(nn.Cell):
    """The sum of parallel branches, and its activation."""

    def __init__(self, unit: BranchedUnit, fused: Callable[[ConvUnit], nn.Cell]) -> None:
        super().__init__(auto_prefix=False)
        branches = [fused(branch) for branch in unit.branches]
        if unit.scale is not None:
            branches.append(fused(unit.scale))
        if unit.skip is not None:
            branches.append(FusedNorm(unit.skip, None))
        first, *others = branches
        self.first = first
        self.others = chain(others)
        self.activation = unit.act

    def construct(self, x: Tensor) -> Tensor:
        y = self.first(x)
        for branch in self.others:
            y = y + branch(x)
        return y if self.activation is None else self.activation(y)


class FusedAttention(nn.Cell):
    """The gates of GhostNetV2's attention, and their product with a map."""

    def __init__(self, attention: Attention, upsampling: Upsampling) -> None:
        super().__init__(auto_prefix=False)
        self.is_nearest = upsampling == "nearest"
        pointwise, *filters = attention
        self.pool = attention.pool
        self.layers = chain([FusedPointwise(pointwise), *map(FusedDepthwise, filters)])

    def construct(self, x: Tensor, y: Tensor) -> Tensor:
        check_pooling(x.shape)
        x = self.pool(x)
        for layer in self.layers:
            x = layer(x)
        gates, size = ops.sigmoid(x), y.shape[2:]
        if self.is_nearest:
            return y * ops.interpolate(gates, size=size, mode="nearest")
        return y * ops.interpolate(gates, size=size, mode="bilinear", align_corners=True)


class FusedBranchedGhostModule(nn.Cell):
    """A Ghost module of branches, and the addition of a residual where there is one."""

    def __init__(self, module: GhostModule, *, residual: bool) -> None:
        super().__init__(auto_prefix=False)
        self.primary = FusedBranchedUnit(module.primary_conv, FusedPointwise)
        self.cheap = FusedBranchedUnit(module.cheap_operation, FusedDepthwise)

    def construct(self, x: Tensor, *residual: Tensor) -> Tensor:
        primary = self.primary(x)
        y = ops.cat((primary, self.cheap(primary)), axis=1)
        return y + residual[0] if residual else y


class FusedRepGhostModule(nn.Cell):
    """A RepGhost module, and the addition of a residual where there is one."""

    def __init__(self, module: RepGhostModule, *, residual: bool) -> None:
        super().__init__(auto_prefix=False)
        self.primary = FusedPointwise(module.primary_conv)
        self.cheap = FusedDepthwise(module.cheap_operation)
        self.fusion = FusedNorm(module.fusion_bn, None)
        self.activation = module.act

    def construct(self, x: Tensor, *residual: Tensor) -> Tensor:
        x = self.primary(x)
        y = self.cheap(x) + self.fusion(x)
        if self.activation is not None:
            y = self.activation(y)
        return y + residual[0] if residual else y


class FusedGhostModule(nn.Cell):
    """A Ghost module, and the addition of a residual where there is one."""

    def __init__(self, module: GhostModule, *, residual: bool) -> None:
        super().__init__(auto_prefix=False)
        primary, cheap = module.primary_conv, module.cheap_operation
        self.module = module
        self.primary = primary.conv
        self.primary_norm = primary.bn
        self.cheap = cheap.conv
        self.cheap_norm = cheap.bn
        self.settings = norm_settings(primary.bn, primary.act)
        self.pointwise = training_operators.pointwise()
        self.operator = training_operators.ghost(residual)

    def construct(self, x: Tensor, *residual: Tensor) -> Tensor:
        primary, cheap = self.primary_norm, self.cheap_norm
        if not (primary.training and cheap.training):
            plain = self.module(x)
            return plain + residual[0] if residual else plain
        y, _, mean, variance, _, cheap_mean, cheap_variance = self.operator(
            self.pointwise(x, self.primary.weight),
            primary.gamma, primary.beta, primary.moving_mean, primary.moving_variance,
            self.cheap.weight,
            cheap.gamma, cheap.beta, cheap.moving_mean, cheap.moving_variance,
            self.settings, *residual,
        )  # fmt: skip
        ops.assign(primary.moving_mean, mean)
        ops.assign(primary.moving_variance, variance)
        ops.assign(cheap.moving_mean, cheap_mean)
        ops.assign(cheap.moving_variance, cheap_variance)
        return y


class FusedSqueezeExcite(nn.Cell):
    """Squeeze-excite."""

    def __init__(self, cell: SqueezeExcite) -> None:
        super().__init__(auto_prefix=False)
        self.reduce = cell.conv_reduce
        self.expand = cell.conv_expand
        self.operator = training_operators.squeeze_excite()

    def construct(self, x: Tensor) -> Tensor:
        reduce, expand = self.reduce, self.expand
        return self.operator(x, reduce.weight, reduce.bias, expand.weight, expand.bias)[0]
