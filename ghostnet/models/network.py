"""GhostNet as a MindSpore cell, and its builders."""

from typing import Any

from mindspore import Tensor, nn
from mindspore.common.initializer import Normal

from ghostnet.models.architectures import (
    GHOSTNET_1X,
    GHOSTNET_600M,
    GHOSTNET_INT8_1X,
    GHOSTNET_NOSE_1X,
    Architecture,
    scale_width,
)
from ghostnet.models.layers import (
    ACTIVATIONS,
    ConvUnit,
    GhostBottleneck,
    batch_norm,
    convolution,
)
from ghostnet.models.quantization import quantize
from ghostnet.models.registry import find_model
from ghostnet.models.specs import NetworkSpec, network_spec
from ghostnet.models.turns import MINDSPORE


def bottlenecks(architecture: Architecture) -> list[GhostBottleneck]:
    """Build the Ghost bottlenecks of an architecture, in order."""
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
                activation=ACTIVATIONS[architecture.activation],
            )
        )
        in_channels = block.out_channels
    return cells


class SerialCell(nn.Cell):
    """A cell that several threads may call: its calls, and those of all like it, take turns."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        with MINDSPORE.lock:
            return super().__call__(*args, **kwargs)


class GhostNet(SerialCell):
    """GhostNet: (batch, 3, height, width) images to (batch, num_classes) logits.

    Images are float32, normalized by `ghostnet.transforms`. Height and width may be any from 32
    pixels up; ``architecture.image_size`` is what the network was designed for.

    Args:
        architecture: One of the tables of `ghostnet.models.architectures`, or your own.
        num_classes: Length of the logits.
        drop_rate: Share of the head's features that dropout clears in training, in [0, 1).
    """

    def __init__(
        self, architecture: Architecture, num_classes: int = 1000, drop_rate: float = 0.2
    ) -> None:
        super().__init__()
        self.architecture = architecture
        self.num_classes = num_classes
        self.num_features = architecture.head_channels
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
        self.dropout = nn.Dropout(p=drop_rate)
        self.classifier = classifier(architecture.head_channels, num_classes)
        if architecture.quantized:
            quantize(self)

    @property
    def spec(self) -> NetworkSpec:
        """The layers of the network as data."""
        return network_spec(self.architecture, self.num_classes)

    def stem(self, x: Tensor) -> Tensor:
        """Map (batch, 3, height, width) to (batch, stem_channels, ⌈height/2⌉, ⌈width/2⌉)."""
        return self.act(self.bn1(self.conv_stem(x)))

    def features(self, x: Tensor) -> Tensor:
        """Map (batch, 3, height, width) to the (batch, num_features) that the classifier reads."""
        x = self.blocks(self.stem(x)).mean((2, 3), keep_dims=True)
        return self.act(self.conv_head(x)).flatten(start_dim=1)

    def construct(self, x: Tensor) -> Tensor:
        return self.classifier(self.dropout(self.features(x)))

    def reset_classifier(self, num_classes: int) -> None:
        """Replace the classifier by a freshly initialized one for ``num_classes`` classes."""
        self.num_classes = num_classes
        self.classifier = classifier(self.num_features, num_classes)
        self.classifier.update_parameters_name("classifier.")


def classifier(in_features: int, num_classes: int) -> nn.Dense:
    """Build the last dense layer, its weight drawn from N(0, 0.01) and its bias zero."""
    if num_classes < 1:
        raise ValueError(f"num_classes: expected at least 1, found {num_classes}")
    return nn.Dense(in_features, num_classes, weight_init=Normal(0.01), bias_init="zeros")


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
    """The features that the classifier of a GhostNet reads, sharing its parameters.

    Maps (batch, 3, height, width) to (batch, num_features).
    """

    def __init__(self, network: GhostNet) -> None:
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


def create_network(*args: Any, **kwargs: Any) -> GhostNet:
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
    return GhostNet(find_model(name).architecture, *args, **kwargs)
