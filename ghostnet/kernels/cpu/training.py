"""A network for training on CPUs: the parameters of the plain network, fused operators.

Each cell here replaces one of `ghostnet.models.layers` or `ghostnet.models.mobilenet_v2` and shares
its parameters, which keep their names. Where a batch norm is frozen by ``set_train(False)``, the
plain cells run.
"""

from collections.abc import Iterable, Mapping
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from mindspore import Tensor, nn, ops

from ghostnet.errors import KernelError
from ghostnet.kernels.cpu import training_operators
from ghostnet.kernels.cpu.packing import ACTIVATIONS as NUMBERS
from ghostnet.models import layers
from ghostnet.models.architectures import Family
from ghostnet.models.classification import ClassificationNetwork
from ghostnet.models.layers import ConvUnit, GhostBottleneck, GhostModule, SqueezeExcite
from ghostnet.models.mobilenet_v2 import InvertedResidual, MobileNetV2
from ghostnet.models.network import GhostNet


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
    """A depthwise ConvUnit."""

    def __init__(self, unit: ConvUnit | Unit) -> None:
        super().__init__(auto_prefix=False)
        if unit.conv.kernel_size[0] not in (3, 5) or unit.conv.stride[0] not in (1, 2):
            raise KernelError(
                f"{unit.conv} cannot be fused; the kernels have filters of 3 or 5 pixels and "
                "strides of 1 or 2"
            )
        self.convolution = unit.conv
        self.norm = unit.bn
        self.activation = unit.act
        self.settings = norm_settings(unit.bn, unit.act)
        self.operator = training_operators.depthwise(unit.conv.stride[0])

    def construct(self, x: Tensor) -> Tensor:
        norm = self.norm
        if not norm.training:
            return normalized(norm, self.activation, self.convolution(x))
        y, _, mean, variance = self.operator(
            x, self.convolution.weight,
            norm.gamma, norm.beta, norm.moving_mean, norm.moving_variance,
            self.settings,
        )  # fmt: skip
        ops.assign(norm.moving_mean, mean)
        ops.assign(norm.moving_variance, variance)
        return y


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


class FusedBottleneck(nn.Cell):
    """A Ghost bottleneck."""

    def __init__(self, block: GhostBottleneck) -> None:
        super().__init__(auto_prefix=False)
        layers: list[nn.Cell] = [FusedGhostModule(block.ghost1, residual=False)]
        if block.dw is not None:
            layers.append(FusedDepthwise(block.dw))
        if block.se is not None:
            layers.append(FusedSqueezeExcite(block.se))
        self.layers = chain(layers)
        self.ghost2 = FusedGhostModule(block.ghost2, residual=True)
        shortcut: list[nn.Cell] = []
        if block.shortcut is not None:
            spatial, projection = block.shortcut
            shortcut = [FusedDepthwise(spatial), FusedPointwise(projection)]
        self.shortcut = chain(shortcut)

    def construct(self, x: Tensor) -> Tensor:
        y = x
        for layer in self.layers:
            y = layer(y)
        for layer in self.shortcut:
            x = layer(x)
        return self.ghost2(y, x)


class FusedInvertedResidual(nn.Cell):
    """An inverted residual."""

    def __init__(self, block: InvertedResidual) -> None:
        super().__init__(auto_prefix=False)
        *expansion, depthwise, projection = units(block.layers)
        self.layers = chain(
            [
                *map(FusedPointwise, expansion),
                FusedDepthwise(depthwise),
                FusedPointwise(projection),
            ]
        )
        self.has_residual = block.has_residual

    def construct(self, x: Tensor) -> Tensor:
        y = x
        for layer in self.layers:
            y = layer(y)
        return x + y if self.has_residual else y


class TrainableNetwork(nn.Cell):
    """A network with fused training, made by ``fuse(network, training=True)``.

    Maps (batch, 3, height, width) float32 to (batch, num_classes) float32. In training it gives
    what the plain network does, gradients and moving statistics included. A batch norm that is
    frozen by its own ``set_train(False)`` stays so, and runs as a plain cell, which is slower.
    After ``set_train(False)`` the plain network runs.

    Attributes:
        network: The plain network, whose parameters this cell shares.
    """

    def __init__(self, network: ClassificationNetwork, layers: list[nn.Cell]) -> None:
        super().__init__(auto_prefix=False)
        self.network = network
        self.layers = chain(layers)
        training = network.training
        others = [cell for _, cell in network.cells_and_names() if cell.training != training]
        self.set_train(training)
        for cell in others:
            cell.add_flags(training=not training)

    def head(self, x: Tensor) -> Tensor:
        """Map (batch, channels) means to (batch, num_features)."""
        return x

    def features(self, x: Tensor) -> Tensor:
        """Map (batch, 3, height, width) to the (batch, num_features) that the classifier reads."""
        for layer in self.layers:
            x = layer(x)
        return self.head(x.mean((2, 3)))

    def construct(self, x: Tensor) -> Tensor:
        network = self.network
        if not self.training:
            return network(x)
        return network.classifier(network.dropout(self.features(x)))


class TrainableGhostNet(TrainableNetwork):
    """A GhostNet with fused training."""

    def __init__(self, network: GhostNet) -> None:
        *blocks, last = network.blocks
        stem = [FusedStem(network.conv_stem), FusedNorm(network.bn1, network.act)]
        super().__init__(network, [*stem, *map(FusedBottleneck, blocks), FusedPointwise(last)])

    def head(self, x: Tensor) -> Tensor:
        """Map (batch, channels) means to (batch, num_features)."""
        convolution = self.network.conv_head
        weight = convolution.weight
        return self.network.act(ops.dense(x, weight.reshape(weight.shape[:2]), convolution.bias))


class TrainableMobileNetV2(TrainableNetwork):
    """A MobileNetV2 with fused training."""

    def __init__(self, network: MobileNetV2) -> None:
        cells = [*network.features]
        (stem,), blocks, (last,) = units(cells[:3]), cells[3:-3], units(cells[-3:])
        first = [FusedStem(stem.conv), FusedNorm(stem.bn, stem.act)]
        residuals = map(FusedInvertedResidual, blocks)
        super().__init__(network, [*first, *residuals, FusedPointwise(last)])


TRAINABLE: Mapping[Family, type[TrainableGhostNet | TrainableMobileNetV2]] = {
    "ghostnet": TrainableGhostNet,
    "mobilenet_v2": TrainableMobileNetV2,
}
"""The cell of each family."""
