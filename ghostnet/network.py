"""GhostNet and its architecture tables: ghostnet_1x, ghostnet_nose_1x and ghostnet_600m.

One network class reads a table; the tables are data. Sources: tables 1 and 7 of the paper (Han et
al., CVPR 2020) for 1x, the MindSpore model zoo for 600m.
"""

from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from mindspore import Tensor, nn
from mindspore.common.initializer import Normal

from ghostnet.layers import (
    Activation,
    ConvUnit,
    GhostBottleneck,
    HardSwish,
    convolution,
)


class Block(NamedTuple):
    """One Ghost bottleneck: a row of the architecture table, in channels."""

    kernel_size: int
    expansion_channels: int
    out_channels: int
    se_channels: int
    stride: int


@dataclass(frozen=True)
class Architecture:
    """All that tells one GhostNet from another."""

    stem_channels: int
    blocks: tuple[Block, ...]
    last_channels: int
    head_channels: int
    activation: Activation
    image_size: int


GHOSTNET_1X = Architecture(
    stem_channels=16,
    blocks=(
        Block(3, 16, 16, 0, 1),
        Block(3, 48, 24, 0, 2),
        Block(3, 72, 24, 0, 1),
        Block(5, 72, 40, 20, 2),
        Block(5, 120, 40, 32, 1),
        Block(3, 240, 80, 0, 2),
        Block(3, 200, 80, 0, 1),
        Block(3, 184, 80, 0, 1),
        Block(3, 184, 80, 0, 1),
        Block(3, 480, 112, 120, 1),
        Block(3, 672, 112, 168, 1),
        Block(5, 672, 160, 168, 2),
        Block(5, 960, 160, 0, 1),
        Block(5, 960, 160, 240, 1),
        Block(5, 960, 160, 0, 1),
        Block(5, 960, 160, 240, 1),
    ),
    last_channels=960,
    head_channels=1280,
    activation=nn.ReLU,
    image_size=224,
)

GHOSTNET_NOSE_1X = replace(
    GHOSTNET_1X, blocks=tuple(block._replace(se_channels=0) for block in GHOSTNET_1X.blocks)
)

# Width 1.75 is already multiplied in: out channels rounded to multiples of 4, expansion to
# multiples of 8, squeeze-excite a tenth of the expansion rounded to multiples of 8.
GHOSTNET_600M = Architecture(
    stem_channels=28,
    blocks=(
        Block(3, 32, 28, 8, 1),
        Block(3, 88, 44, 8, 2),
        Block(3, 136, 44, 16, 1),
        Block(5, 136, 72, 16, 2),
        Block(3, 216, 72, 24, 1),
        Block(3, 216, 72, 24, 1),
        Block(3, 432, 140, 40, 2),
        Block(3, 352, 140, 32, 1),
        Block(3, 352, 140, 32, 1),
        Block(3, 352, 140, 32, 1),
        Block(3, 840, 196, 88, 1),
        Block(3, 1176, 196, 120, 1),
        Block(3, 1176, 196, 120, 1),
        Block(5, 1176, 280, 120, 2),
        *(Block(3, 1680, 280, 168, 1),) * 5,
    ),
    last_channels=1680,
    head_channels=1400,
    activation=HardSwish,
    image_size=240,
)


def make_divisible(channels: float, divisor: int) -> int:
    """The multiple of ``divisor`` nearest to ``channels``, but never under 90 % of it."""
    rounded = max(divisor, int(channels + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * channels else rounded


def widened(architecture: Architecture, width: float) -> Architecture:
    """The architecture with its channels multiplied by ``width``, in multiples of 4.

    Squeeze-excite keeps a quarter of the expansion; the head keeps its channels.
    """
    if width <= 0:
        raise ValueError(f"width multiplies channels, so it is above 0: {width}")
    if width == 1.0:
        return architecture

    def scaled(channels: int) -> int:
        return make_divisible(channels * width, 4)

    def scaled_block(block: Block) -> Block:
        expansion = scaled(block.expansion_channels)
        return block._replace(
            expansion_channels=expansion,
            out_channels=scaled(block.out_channels),
            se_channels=make_divisible(expansion // 4, 4) if block.se_channels else 0,
        )

    return replace(
        architecture,
        stem_channels=scaled(architecture.stem_channels),
        blocks=tuple(scaled_block(block) for block in architecture.blocks),
        last_channels=scaled(architecture.last_channels),
    )


ARCHITECTURES = {
    "ghostnet": GHOSTNET_1X,
    "ghostnet_nose": GHOSTNET_NOSE_1X,
    "ghostnet-600": GHOSTNET_600M,
    "ghostnet_050": widened(GHOSTNET_1X, 0.5),
    "ghostnet_130": widened(GHOSTNET_1X, 1.3),
}
"""The hub's model names, in lower case, and what each builds."""


def bottlenecks(architecture: Architecture) -> list[GhostBottleneck]:
    """The Ghost bottlenecks of an architecture, in order."""
    cells = []
    in_channels = architecture.stem_channels
    for block in architecture.blocks:
        cells.append(
            GhostBottleneck(
                in_channels,
                block.expansion_channels,
                block.out_channels,
                kernel_size=block.kernel_size,
                stride=block.stride,
                se_channels=block.se_channels,
                activation=architecture.activation,
            )
        )
        in_channels = block.out_channels
    return cells


class GhostNet(nn.Cell):
    """GhostNet: (batch, 3, height, width) pictures to (batch, num_classes) logits.

    Pictures are float32, normalised as `ghostnet.transforms` does it; any height and width from
    32 pixels on will do, ``architecture.image_size`` is what the network was made for.

    Args:
        architecture: one of the tables of this module, or your own.
        num_classes: length of the logits.
        drop_rate: share of the head's features that dropout clears in training, in [0, 1).
    """

    def __init__(
        self, architecture: Architecture, num_classes: int = 1000, drop_rate: float = 0.2
    ) -> None:
        super().__init__()
        self.architecture = architecture
        self.num_classes = num_classes
        self.num_features = architecture.head_channels
        out_channels = architecture.blocks[-1].out_channels
        last = ConvUnit(
            out_channels, architecture.last_channels, activation=architecture.activation
        )
        self.conv_stem = convolution(3, architecture.stem_channels, 3, stride=2)
        self.bn1 = nn.BatchNorm2d(architecture.stem_channels)
        self.act = architecture.activation()
        self.blocks = nn.SequentialCell(*bottlenecks(architecture), last)
        self.conv_head = convolution(
            architecture.last_channels, architecture.head_channels, 1, bias=True
        )
        self.dropout = nn.Dropout(p=drop_rate)
        self.classifier = classifier(architecture.head_channels, num_classes)

    def stem(self, x: Tensor) -> Tensor:
        """(batch, 3, height, width) to (batch, stem_channels, ⌈height/2⌉, ⌈width/2⌉)."""
        return self.act(self.bn1(self.conv_stem(x)))

    def features(self, x: Tensor) -> Tensor:
        """(batch, 3, height, width) to the (batch, num_features) that the classifier sees."""
        x = self.blocks(self.stem(x)).mean((2, 3), keep_dims=True)
        return self.act(self.conv_head(x)).flatten(start_dim=1)

    def construct(self, x: Tensor) -> Tensor:
        return self.classifier(self.dropout(self.features(x)))

    def reset_classifier(self, num_classes: int) -> None:
        """Give the network a fresh classifier for ``num_classes`` classes."""
        self.num_classes = num_classes
        self.classifier = classifier(self.num_features, num_classes)
        self.classifier.update_parameters_name("classifier.")


def classifier(in_features: int, num_classes: int) -> nn.Dense:
    """The dense layer at the end, drawn from N(0, 0.01) with a bias of zero."""
    if num_classes < 1:
        raise ValueError(f"a classifier has at least one class: num_classes={num_classes}")
    return nn.Dense(in_features, num_classes, weight_init=Normal(0.01), bias_init="zeros")


class StageFeatures(nn.Cell):
    """The feature maps of a GhostNet, one at each resolution, sharing its parameters.

    (batch, 3, height, width) becomes a tuple of five: (batch, channels, height / r, width / r) for
    r = 2, 4, 8, 16, 32, each the last map of its resolution, rounded up.

    Attributes:
        channels: the channels of each map.
    """

    def __init__(self, network: GhostNet) -> None:
        super().__init__(auto_prefix=False)
        table = network.architecture.blocks
        is_last = [block.stride > 1 for block in table[1:]] + [True]
        self.conv_stem = network.conv_stem
        self.bn1 = network.bn1
        self.act = network.act
        self.blocks = nn.CellList(list(network.blocks)[: len(table)], auto_prefix=False)
        self.ends = tuple(index for index, last in enumerate(is_last) if last)
        self.channels = tuple(table[end].out_channels for end in self.ends)

    def construct(self, x: Tensor) -> tuple[Tensor, ...]:
        x = self.act(self.bn1(self.conv_stem(x)))
        maps = []
        for index in range(len(self.blocks)):
            x = self.blocks[index](x)
            if index in self.ends:
                maps.append(x)
        return tuple(maps)


def ghostnet_1x(num_classes: int = 1000, drop_rate: float = 0.2, width: float = 1.0) -> GhostNet:
    """GhostNet: 5.18 M parameters and 141 M multiply-adds at 224×224 with 1000 classes."""
    return GhostNet(widened(GHOSTNET_1X, width), num_classes, drop_rate)


def ghostnet_nose_1x(
    num_classes: int = 1000, drop_rate: float = 0.2, width: float = 1.0
) -> GhostNet:
    """GhostNet without squeeze-excite: 139.7 M multiply-adds at 224×224 with 1000 classes."""
    return GhostNet(widened(GHOSTNET_NOSE_1X, width), num_classes, drop_rate)


def ghostnet_600m(num_classes: int = 1000, drop_rate: float = 0.2) -> GhostNet:
    """GhostNet-600: 11.9 M parameters and 588 M multiply-adds at 240×240 with 1000 classes."""
    return GhostNet(GHOSTNET_600M, num_classes, drop_rate)


def create_network(*args: Any, **kwargs: Any) -> GhostNet:
    """The hub's entry point, in each of the ways that it is called.

    ``create_network(37)``, ``create_network(num_classes=37)`` and, as the hub client does,
    ``create_network("ghostnet", num_classes=37)``; names as in `ARCHITECTURES`, in any case.
    Other arguments are those of `GhostNet`.

    Raises:
        ValueError: a model name that is not known.
    """
    name, args = (args[0], args[1:]) if args and isinstance(args[0], str) else ("ghostnet", args)
    if name.lower() not in ARCHITECTURES:
        raise ValueError(f"model {name!r} is not one of {', '.join(ARCHITECTURES)}")
    return GhostNet(ARCHITECTURES[name.lower()], *args, **kwargs)
