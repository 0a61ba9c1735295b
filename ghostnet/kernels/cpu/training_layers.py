"""The layers of networks for training on CPUs: the parameters of plain layers, fused operators.

Each cell here replaces one of `ghostnet.models.layers` and shares its parameters, which keep their
names. Where a batch norm is frozen by ``set_train(False)``, the plain cells run.
"""

from collections.abc import Iterable
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from mindspore import ParameterTuple, Tensor, nn, ops

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


def center(kernel_size: tuple[int, int], size: int) -> Tensor:
    """Make the factor by which filters of one row, column or pixel become squares of zeros."""
    factor = np.zeros((1, 1, size, size), np.float32)
    rows, columns = (slice(None) if side == size else size // 2 for side in kernel_size)
    factor[:, :, rows, columns] = 1
    return Tensor(factor)


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
        self.border = None if height == width == size else center((height, width), size)
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
        if self.border is not None:
            filters = filters * self.border
        y, _, mean, variance = self.operator(
            x, filters,
            norm.gamma, norm.beta, norm.moving_mean, norm.moving_variance,
            self.settings,
        )  # fmt: skip
        ops.assign(norm.moving_mean, mean)
        ops.assign(norm.moving_variance, variance)
        return y


class BranchNorms(nn.Cell):
    """The batch norms of parallel branches, in tensors that hold one branch after the other."""

    def __init__(self, norms: list[nn.BatchNorm2d], activation: nn.Cell | None) -> None:
        super().__init__(auto_prefix=False)
        self.norms = chain(norms)
        self.gammas = ParameterTuple(norm.gamma for norm in norms)
        self.betas = ParameterTuple(norm.beta for norm in norms)
        self.means = ParameterTuple(norm.moving_mean for norm in norms)
        self.variances = ParameterTuple(norm.moving_variance for norm in norms)
        self.settings = norm_settings(norms[0], activation)
        self.concat = ops.Concat()
        self.split = ops.Split(output_num=len(norms))

    def are_frozen(self) -> bool:
        """Whether any of the norms keeps its statistics."""
        frozen = False
        for norm in self.norms:
            frozen = frozen or not norm.training
        return frozen

    def construct(self) -> tuple[Tensor, ...]:
        """Return gamma, beta, moving mean and moving variance."""
        return (
            self.concat(self.gammas),
            self.concat(self.betas),
            self.concat(self.means),
            self.concat(self.variances),
        )

    def move(self, mean: Tensor, variance: Tensor) -> None:
        """Set the moving statistics."""
        means, variances = self.split(mean), self.split(variance)
        for index, moving in enumerate(self.means):
            ops.assign(moving, means[index])
            ops.assign(self.variances[index], variances[index])


class BranchFilters(nn.Cell):
    """The filters of parallel depthwise convolutions of one input, as squares of one size.

    Args:
        convolutions: Convolutions of that size, and maybe one of a single pixel, last.
        identity: Whether a filter that gives the input itself follows them.
    """

    def __init__(self, convolutions: list[nn.Conv2d], *, identity: bool) -> None:
        super().__init__(auto_prefix=False)
        size = convolutions[0].kernel_size[0]
        self.filters = ParameterTuple(
            each.weight for each in convolutions if each.kernel_size[0] == size
        )
        self.factors = ParameterTuple(
            each.weight for each in convolutions if each.kernel_size[0] < size
        )
        self.center = center((1, 1), size)
        channels = convolutions[0].out_channels
        repeated = np.repeat(self.center.asnumpy(), channels, axis=0)
        self.identity = (Tensor(repeated),) if identity else ()
        self.concat = ops.Concat()

    def construct(self) -> Tensor:
        filters = self.filters
        for factors in self.factors:
            filters = (*filters, factors * self.center)
        return self.concat((*filters, *self.identity))


def depthwise_branches(unit: BranchedUnit) -> list[ConvUnit]:
    """List the convolutions of a depthwise unit: those of one shape, and the factors."""
    return [*unit.branches, unit.scale]


class FusedBranchedDepthwise(nn.Cell):
    """Depthwise convolutions of one input, whose norms are summed, and the activation of the sum.

    Args:
        cell: The plain cell, for norms that are frozen.
        units: The convolutions and their norms.
        skip: The norm of the input itself, or None.
        activation: What is applied last, or None.
    """

    def __init__(
        self,
        cell: nn.Cell,
        units: list[ConvUnit],
        *,
        skip: nn.BatchNorm2d | None,
        activation: nn.Cell | None,
    ) -> None:
        super().__init__(auto_prefix=False)
        self.cell = cell
        convolutions = [unit.conv for unit in units]
        norms = [unit.bn for unit in units] + ([] if skip is None else [skip])
        self.filters = BranchFilters(convolutions, identity=skip is not None)
        self.norms = BranchNorms(norms, activation)
        self.operator = training_operators.depthwise(convolutions[0].stride[0], branched=True)

    def construct(self, x: Tensor) -> Tensor:
        norms = self.norms
        if norms.are_frozen():
            return self.cell(x)
        y, _, mean, variance = self.operator(x, self.filters(), *norms(), norms.settings)
        norms.move(mean, variance)
        return y


class FusedBranchedGhostModule(nn.Cell):
    """A Ghost module of branches without its attention, and the addition of a residual, if any."""

    def __init__(self, module: GhostModule, *, residual: bool) -> None:
        super().__init__(auto_prefix=False)
        primary, cheap = module.primary_conv, module.cheap_operation
        spatial = depthwise_branches(cheap)
        self.module = module
        self.weights = ParameterTuple(unit.conv.weight for unit in primary.branches)
        self.primary_norms = BranchNorms([unit.bn for unit in primary.branches], primary.act)
        self.filters = BranchFilters([unit.conv for unit in spatial], identity=True)
        self.cheap_norms = BranchNorms([unit.bn for unit in spatial] + [cheap.skip], cheap.act)
        self.pointwise = training_operators.pointwise()
        self.concat = ops.Concat()
        self.operator = training_operators.ghost(residual, branched=True)

    def construct(self, x: Tensor, *residual: Tensor) -> Tensor:
        primary, cheap = self.primary_norms, self.cheap_norms
        if primary.are_frozen() or cheap.are_frozen():
            plain = self.module.without_attention(x)
            return plain + residual[0] if residual else plain
        weights = self.concat(self.weights)
        y, _, mean, variance, _, cheap_mean, cheap_variance = self.operator(
            self.pointwise(x, weights),
            *primary(), self.filters(), *cheap(), primary.settings, *residual,
        )  # fmt: skip
        primary.move(mean, variance)
        cheap.move(cheap_mean, cheap_variance)
        return y


class RepGhostSum(nn.Cell):
    """The second half of a RepGhost module, plain."""

    def __init__(self, module: RepGhostModule) -> None:
        super().__init__(auto_prefix=False)
        assert module.fusion_bn is not None  # only merged modules lack it
        self.cheap = module.cheap_operation
        self.fusion = module.fusion_bn
        self.act = module.act

    def construct(self, x: Tensor) -> Tensor:
        y = self.cheap(x) + self.fusion(x)
        return y if self.act is None else self.act(y)


class FusedRepGhostModule(nn.Cell):
    """A RepGhost module, and the addition of a residual where there is one."""

    def __init__(self, module: RepGhostModule) -> None:
        super().__init__(auto_prefix=False)
        self.primary = FusedPointwise(module.primary_conv)
        self.cheap = FusedBranchedDepthwise(
            RepGhostSum(module),
            [module.cheap_operation],
            skip=module.fusion_bn,
            activation=module.act,
        )

    def construct(self, x: Tensor, *residual: Tensor) -> Tensor:
        y = self.cheap(self.primary(x))
        return y + residual[0] if residual else y


class FusedAttention(nn.Cell):
    """The gates of GhostNetV2's attention, and their product with a map."""

    def __init__(self, attention: Attention, upsampling: Upsampling) -> None:
        super().__init__(auto_prefix=False)
        self.is_nearest = upsampling == "nearest"
        pointwise, *filters = attention
        self.pool = attention.pool
        self.layers = chain([FusedPointwise(pointwise), *map(FusedDepthwise, filters)])
        self.operator = training_operators.gate()

    def construct(self, x: Tensor, y: Tensor) -> Tensor:
        check_pooling(x.shape)
        x = self.pool(x)
        for layer in self.layers:
            x = layer(x)
        gates = ops.sigmoid(x)
        if self.is_nearest:
            return self.operator(y, gates)
        return y * ops.interpolate(gates, size=y.shape[2:], mode="bilinear", align_corners=True)


class FusedGhostModule(nn.Cell):
    """A Ghost module without its attention, and the addition of a residual, if any."""

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
            plain = self.module.without_attention(x)
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
