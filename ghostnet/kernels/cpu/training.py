"""A network for training on CPUs: the parameters of the plain network, fused operators.

Each cell here replaces one of `ghostnet.models.layers` or `ghostnet.models.mobilenet_v2` and shares
its parameters, which keep their names.
"""

from collections.abc import Mapping

from mindspore import Tensor, nn, ops

from ghostnet.kernels.cpu.training_layers import (
    FusedAttention,
    FusedBranchedDepthwise,
    FusedBranchedGhostModule,
    FusedDepthwise,
    FusedGhostModule,
    FusedNorm,
    FusedPointwise,
    FusedRepGhostModule,
    FusedSqueezeExcite,
    FusedStem,
    chain,
    depthwise_branches,
    units,
)
from ghostnet.models.architectures import Family
from ghostnet.models.classification import ClassificationNetwork
from ghostnet.models.layers import (
    BranchedUnit,
    ConvUnit,
    GhostBottleneck,
    GhostModule,
    RepGhostModule,
)
from ghostnet.models.mobilenet_v2 import InvertedResidual, MobileNetV2
from ghostnet.models.network import GhostNet


def fused_module(module: nn.Cell, *, residual: bool) -> nn.Cell:
    """Fuse a Ghost or RepGhost module, without its attention."""
    if isinstance(module, RepGhostModule):
        return FusedRepGhostModule(module)
    if isinstance(module.primary_conv, BranchedUnit):
        return FusedBranchedGhostModule(module, residual=residual)
    return FusedGhostModule(module, residual=residual)


def fused_attention(module: nn.Cell) -> FusedAttention | None:
    """Fuse the attention of a module that has one."""
    if not isinstance(module, GhostModule):
        return None
    if module.gates is not None:
        return FusedAttention(module.gates, "nearest")
    if module.short_conv is not None:
        return FusedAttention(module.short_conv, "bilinear")
    return None


def fused_depthwise(unit: ConvUnit | BranchedUnit) -> nn.Cell:
    """Fuse a depthwise unit."""
    if isinstance(unit, BranchedUnit):
        branches = depthwise_branches(unit)
        return FusedBranchedDepthwise(unit, branches, skip=unit.skip, activation=unit.act)
    return FusedDepthwise(unit)


class FusedBottleneck(nn.Cell):
    """A Ghost bottleneck."""

    def __init__(self, block: GhostBottleneck) -> None:
        super().__init__(auto_prefix=False)
        self.ghost1 = fused_module(block.ghost1, residual=False)
        self.attention = fused_attention(block.ghost1)
        layers: list[nn.Cell] = []
        if block.dw is not None:
            layers.append(fused_depthwise(block.dw))
        if block.se is not None:
            layers.append(FusedSqueezeExcite(block.se))
        self.layers = chain(layers)
        self.ghost2 = fused_module(block.ghost2, residual=True)
        shortcut: list[nn.Cell] = []
        if block.shortcut is not None:
            spatial, projection = block.shortcut
            shortcut = [FusedDepthwise(spatial), FusedPointwise(projection)]
        self.shortcut = chain(shortcut)

    def construct(self, x: Tensor) -> Tensor:
        y = self.ghost1(x)
        if self.attention is not None:
            y = self.attention(x, y)
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
    "repghost": TrainableGhostNet,
    "mobilenet_v2": TrainableMobileNetV2,
}
"""The cell of each family."""
