"""GhostNet as a MindSpore cell, and the builders of all networks."""

from collections.abc import Mapping
from typing import Any

from mindspore import Tensor, nn

from ghostnet.models.architectures import (
    GHOSTNET_1X,
    GHOSTNET_600M,
    GHOSTNET_INT8_1X,
    GHOSTNET_NOSE_1X,
    MOBILENET_V2_1X,
    Architecture,
    Family,
    scale_width,
)
from ghostnet.models.classification import ClassificationNetwork, SerialCell, dropout
from ghostnet.models.layers import (
    ACTIVATIONS,
    ConvUnit,
    GhostBottleneck,
    batch_norm,
    convolution,
)
from ghostnet.models.mobilenet_v2 import MobileNetV2
from ghostnet.models.quantization import quantize
from ghostnet.models.registry import find_model


def bottlenecks(architecture: Architecture) -> list[GhostBottleneck]:
    """Build the Ghost bottlenecks of an architecture, in order."""
    return [
        GhostBottleneck(
            in_channels,
            block.expansion_channels,
            block.out_channels,
            kernel_size=block.kernel_size,
            stride=block.stride,
            se_channels=block.se_channels,
            activation=ACTIVATIONS[architecture.activation],
            family=architecture.family,
            form=architecture.form,
            attention=architecture.upsampling if block.attention else None,
        )
        for in_channels, block in architecture.inputs_and_blocks
    ]


class GhostNet(ClassificationNetwork):
    """A GhostNet of any version: (batch, 3, height, width) images to (batch, num_classes) logits.

    Images are float32, normalized by `ghostnet.transforms`. Height and width may be any from 32
    pixels up, with attention from ``architecture.min_side``, which is 33; below that, a call is a
    `ghostnet.ModelError`. ``architecture.image_size`` is what the network was designed for.

    Args:
        architecture: One of the tables of `ghostnet.models.architectures`, or your own.
        num_classes: Length of the logits.
        drop_rate: Share of the head's features that dropout clears in training, in [0, 1).
    """

    def __init__(
        self, architecture: Architecture, num_classes: int = 1000, drop_rate: float = 0.2
    ) -> None:
        super().__init__(architecture, num_classes)
        activation = ACTIVATIONS[architecture.activation]
        out_channels = architecture.blocks[-1].out_channels
        last = ConvUnit(out_channels, architecture.last_channels, activation=activation)
        self.conv_stem = convolution(3, architecture.stem_channels, 3, stride=2)
        self.bn1 = batch_norm(architecture.stem_channels)
        self.act = activation()
        self.blocks = nn.SequentialCell(*bottlenecks(architecture), last)
        self.conv_head = convolution(
            architecture.last_channels, architecture.head_channels, 1, bias=True
        )
        self.dropout = dropout(drop_rate)
        self.classifier = self.new_classifier(num_classes)
        if architecture.quantized:
            quantize(self)

    def stem(self, x: Tensor) -> Tensor:
        """Map (batch, 3, height, width) to (batch, stem_channels, ⌈height/2⌉, ⌈width/2⌉)."""
        return self.act(self.bn1(self.conv_stem(x)))

    def features(self, x: Tensor) -> Tensor:
        """Map (batch, 3, height, width) to the (batch, num_features) that the classifier reads."""
        x = self.blocks(self.stem(x)).mean((2, 3), keep_dims=True)
        return self.act(self.conv_head(x)).flatten(start_dim=1)


class StageFeatures(SerialCell):
    """The feature maps of a GhostNet, one for each resolution, sharing its parameters.

    Maps (batch, 3, height, width) to five tensors of shape (batch, channels, ⌈height / r⌉,
    ⌈width / r⌉) for r = 2, 4, 8, 16, 32: the last feature map of each resolution.

    Attributes:
        channels: Channels of each feature map.
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


class HeadFeatures(SerialCell):
    """The features that the classifier of a network reads, sharing its parameters.

    Maps (batch, 3, height, width) to (batch, num_features).
    """

    def __init__(self, network: ClassificationNetwork) -> None:
        super().__init__(auto_prefix=False)
        self.network = network

    def construct(self, x: Tensor) -> Tensor:
        return self.network.features(x)


def ghostnet_1x(num_classes: int = 1000, drop_rate: float = 0.2, width: float = 1.0) -> GhostNet:
    """Build GhostNet-1x: 5.18 M parameters and 141 M multiply-adds at 224×224."""
    return GhostNet(scale_width(GHOSTNET_1X, width), num_classes, drop_rate)


def ghostnet_nose_1x(
    num_classes: int = 1000, drop_rate: float = 0.2, width: float = 1.0
) -> GhostNet:
    """Build GhostNet-1x without squeeze-excite: 139.7 M multiply-adds at 224×224."""
    return GhostNet(scale_width(GHOSTNET_NOSE_1X, width), num_classes, drop_rate)


def ghostnet_int8_1x(num_classes: int = 1000, drop_rate: float = 0.2) -> GhostNet:
    """Build GhostNet-1x with convolutions on 8 bits, for inference; it cannot be fused."""
    return GhostNet(GHOSTNET_INT8_1X, num_classes, drop_rate)


def ghostnet_600m(num_classes: int = 1000, drop_rate: float = 0.2) -> GhostNet:
    """Build GhostNet-600: 11.9 M parameters and 588 M multiply-adds at 240×240."""
    return GhostNet(GHOSTNET_600M, num_classes, drop_rate)


def mobilenet_v2_1x(num_classes: int = 1000, drop_rate: float = 0.2) -> MobileNetV2:
    """Build MobileNetV2 of width 1: 3.5 M parameters and 301 M multiply-adds at 224×224."""
    return MobileNetV2(MOBILENET_V2_1X, num_classes, drop_rate)


NETWORKS: Mapping[Family, type[GhostNet | MobileNetV2]] = {
    "ghostnet": GhostNet,
    "repghost": GhostNet,
    "mobilenet_v2": MobileNetV2,
}
"""The cell of each family."""


def build_network(architecture: Architecture, *args: Any, **kwargs: Any) -> ClassificationNetwork:
    """Build the network of an architecture; further arguments are those of `GhostNet`."""
    return NETWORKS[architecture.family](architecture, *args, **kwargs)


def create_network(*args: Any, **kwargs: Any) -> ClassificationNetwork:
    """Build a network: the hub's entry point, in each of the ways that it is called.

    ``create_network(37)``, ``create_network(num_classes=37)`` and, as the hub client does,
    ``create_network("ghostnet", num_classes=37)``.

    Args:
        *args: A registered name, in any case (by default ``ghostnet``), then `GhostNet`'s arguments
            from ``num_classes`` on.
        **kwargs: Arguments of `GhostNet`.

    Raises:
        ModelError: The name is not registered.
    """
    name, args = (args[0], args[1:]) if args and isinstance(args[0], str) else ("ghostnet", args)
    return build_network(find_model(name).architecture, *args, **kwargs)
