"""A GhostNet for training on CPUs: the plain network's parameters, fused operators."""

import mindspore
import numpy as np
from mindspore import Tensor, nn, ops

from ghostnet.kernels import library, training_operators
from ghostnet.kernels.pack import ACTIVATIONS
from ghostnet.layers import ConvUnit, GhostBottleneck, GhostModule, SqueezeExcite
from ghostnet.network import GhostNet


def settings(norm: nn.BatchNorm2d, activation: nn.Cell | None) -> Tensor:
    """What the operators of a norm take last: [activation, epsilon, momentum]."""
    number = ACTIVATIONS[type(activation)] if activation is not None else 0
    return Tensor(np.array([number, norm.eps, norm.momentum], np.float32))


def chain(cells: list[nn.Cell]) -> nn.CellList:
    """Cells to run one after the other; their parameters keep their names."""
    return nn.CellList(cells, auto_prefix=False)


class Norm(nn.Cell):
    """Batch norm and activation."""

    def __init__(self, norm: nn.BatchNorm2d, activation: nn.Cell | None) -> None:
        super().__init__(auto_prefix=False)
        self.norm = norm
        self.settings = settings(norm, activation)
        self.operator = training_operators.batch_norm()

    def construct(self, z: Tensor) -> Tensor:
        norm = self.norm
        y, _, mean, variance = self.operator(
            z, norm.gamma, norm.beta, norm.moving_mean, norm.moving_variance, self.settings
        )
        ops.assign(norm.moving_mean, mean)
        ops.assign(norm.moving_variance, variance)
        return y


class Pointwise(nn.Cell):
    """A pointwise convolution."""

    def __init__(self, convolution: nn.Conv2d) -> None:
        super().__init__(auto_prefix=False)
        self.convolution = convolution
        self.operator = training_operators.pointwise()

    def construct(self, x: Tensor) -> Tensor:
        return self.operator(x, self.convolution.weight)


class PointwiseUnit(nn.Cell):
    """A pointwise ConvUnit."""

    def __init__(self, unit: ConvUnit) -> None:
        super().__init__(auto_prefix=False)
        self.conv = Pointwise(unit.conv)
        self.norm = Norm(unit.bn, unit.act)

    def construct(self, x: Tensor) -> Tensor:
        return self.norm(self.conv(x))


class DepthwiseUnit(nn.Cell):
    """A depthwise ConvUnit."""

    def __init__(self, unit: ConvUnit) -> None:
        super().__init__(auto_prefix=False)
        self.conv = unit.conv
        self.norm = unit.bn
        self.settings = settings(unit.bn, unit.act)
        self.operator = training_operators.depthwise(unit.conv.stride[0])

    def construct(self, x: Tensor) -> Tensor:
        norm = self.norm
        y, _, _, mean, variance = self.operator(
            x, self.conv.weight, norm.gamma, norm.beta, norm.moving_mean, norm.moving_variance,
            self.settings,
        )  # fmt: skip
        ops.assign(norm.moving_mean, mean)
        ops.assign(norm.moving_variance, variance)
        return y


class Ghost(nn.Cell):
    """A Ghost module, and the addition of a residual."""

    def __init__(self, module: GhostModule) -> None:
        super().__init__(auto_prefix=False)
        primary, cheap = module.primary_conv, module.cheap_operation
        self.primary = Pointwise(primary.conv)
        self.primary_norm = primary.bn
        self.cheap = cheap.conv
        self.cheap_norm = cheap.bn
        self.settings = settings(primary.bn, primary.act)
        self.operator = training_operators.ghost(residual=False)
        self.operator_with_residual = training_operators.ghost(residual=True)

    def construct(self, x: Tensor, residual: Tensor | None = None) -> Tensor:
        primary, cheap = self.primary_norm, self.cheap_norm
        inputs = (
            self.primary(x),
            primary.gamma, primary.beta, primary.moving_mean, primary.moving_variance,
            self.cheap.weight,
            cheap.gamma, cheap.beta, cheap.moving_mean, cheap.moving_variance,
            self.settings,
        )  # fmt: skip
        out = self.operator(*inputs) if residual is None else self.operator_with_residual(
            *inputs, residual
        )
        ops.assign(primary.moving_mean, out[3])
        ops.assign(primary.moving_variance, out[4])
        ops.assign(cheap.moving_mean, out[6])
        ops.assign(cheap.moving_variance, out[7])
        return out[0]


class SqueezeExcited(nn.Cell):
    """Squeeze-excite."""

    def __init__(self, cell: SqueezeExcite) -> None:
        super().__init__(auto_prefix=False)
        self.cell = cell
        self.operator = training_operators.squeeze_excite()

    def construct(self, x: Tensor) -> Tensor:
        reduce, expand = self.cell.conv_reduce, self.cell.conv_expand
        return self.operator(x, reduce.weight, reduce.bias, expand.weight, expand.bias)[0]


class Bottleneck(nn.Cell):
    """A Ghost bottleneck."""

    def __init__(self, block: GhostBottleneck) -> None:
        super().__init__(auto_prefix=False)
        self.ghost1 = Ghost(block.ghost1)
        self.dw = DepthwiseUnit(block.dw) if block.dw is not None else None
        self.se = SqueezeExcited(block.se) if block.se is not None else None
        self.ghost2 = Ghost(block.ghost2)
        self.shortcut = None
        if block.shortcut is not None:
            spatial, projection = block.shortcut
            self.shortcut = chain([DepthwiseUnit(spatial), PointwiseUnit(projection)])

    def construct(self, x: Tensor) -> Tensor:
        y = self.ghost1(x)
        if self.dw is not None:
            y = self.dw(y)
        if self.se is not None:
            y = self.se(y)
        if self.shortcut is not None:
            for layer in self.shortcut:
                x = layer(x)
        return self.ghost2(y, x)


class TrainingGhostNet(nn.Cell):
    def __init__(self, network: GhostNet) -> None:
        super().__init__(auto_prefix=False)
        self.network = network
        *blocks, last = network.blocks
        stem = [network.conv_stem, Norm(network.bn1, network.act)]
        self.layers = chain([*stem, *map(Bottleneck, blocks), PointwiseUnit(last)])
        self.set_train(network.training)

    def head(self, x: Tensor) -> Tensor:
        """The network's last convolution, as the dense layer that it is."""
        weight = self.network.conv_head.weight
        return ops.dense(x, weight.reshape(weight.shape[:2]), self.network.conv_head.bias)

    def construct(self, x):
        network = self.network
        if not self.training:
            return network(x)
        for layer in self.layers:
            x = layer(x)
        x = network.act(self.head(x.mean((2, 3))))
        return network.classifier(network.dropout(x))
