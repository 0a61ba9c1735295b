"""MobileNetV2 (Sandler et al., CVPR 2018) as a MindSpore cell, a baseline to compare GhostNet with.

Attribute names and the order of the cells are those of MindCV's checkpoints.
"""

from collections import OrderedDict

from mindspore import Tensor, nn

from ghostnet.models.architectures import Architecture
from ghostnet.models.classification import ClassificationNetwork, classifier, dropout
from ghostnet.models.layers import ACTIVATIONS, Activation, batch_norm, convolution


class InvertedResidual(nn.Cell):
    """Expand, filter each channel, project; the input is added where it has the output's shape.

    Args:
        in_channels: Channels of the input.
        expansion_channels: Channels of the depthwise convolution; there is no expansion where they
            are ``in_channels``.
        out_channels: Channels of the output.
        kernel_size: Kernel of the depthwise convolution, in pixels.
        stride: 1 or 2; divides height and width.
        activation: Activation of all but the projection.
    """

    def __init__(
        self,
        in_channels: int,
        expansion_channels: int,
        out_channels: int,
        *,
        kernel_size: int = 3,
        stride: int = 1,
        activation: Activation = nn.ReLU6,
    ) -> None:
        super().__init__()
        expanded = expansion_channels
        layers: list[nn.Cell] = []
        if expanded != in_channels:
            layers += unit(convolution(in_channels, expanded, 1), activation)
        depthwise = convolution(expanded, expanded, kernel_size, stride=stride, groups=expanded)
        layers += unit(depthwise, activation)
        layers += unit(convolution(expanded, out_channels, 1))
        self.layers = nn.SequentialCell(layers)
        self.has_residual = stride == 1 and in_channels == out_channels

    def construct(self, x: Tensor) -> Tensor:
        y = self.layers(x)
        return x + y if self.has_residual else y


class MobileNetV2(ClassificationNetwork):
    """MobileNetV2: (batch, 3, height, width) images to (batch, num_classes) logits.

    Args:
        architecture: Its table, such as `ghostnet.models.architectures.MOBILENET_V2_1X`.
        num_classes: Length of the logits.
        drop_rate: Share of the features that dropout clears in training, in [0, 1).
    """

    def __init__(
        self, architecture: Architecture, num_classes: int = 1000, drop_rate: float = 0.2
    ) -> None:
        super().__init__(architecture, num_classes)
        activation = ACTIVATIONS[architecture.activation]
        cells = unit(convolution(3, architecture.stem_channels, 3, stride=2), activation)
        cells += [
            InvertedResidual(
                in_channels,
                block.expansion_channels,
                block.out_channels,
                kernel_size=block.kernel_size,
                stride=block.stride,
                activation=activation,
            )
            for in_channels, block in architecture.inputs_and_blocks
        ]
        channels = architecture.blocks[-1].out_channels
        cells += unit(convolution(channels, architecture.last_channels, 1), activation)
        self.features = PooledChain(cells)
        self.dropout = dropout(drop_rate)
        self.classifier = self.new_classifier(num_classes)

    def new_classifier(self, num_classes: int) -> nn.SequentialCell:
        """Build the last layer, named as if dropout came before it in the same chain."""
        dense = classifier(self.num_features, num_classes)
        return nn.SequentialCell(OrderedDict({"1": dense}))


class PooledChain(nn.SequentialCell):
    """Cells to run one after the other, and the mean of what the last one gives."""

    def construct(self, x: Tensor) -> Tensor:
        for cell in self.cell_list:
            x = cell(x)
        return x.mean((2, 3))


def unit(convolution: nn.Conv2d, activation: Activation | None = None) -> list[nn.Cell]:
    """List a convolution, its batch norm and its activation, if there is one."""
    cells = [convolution, batch_norm(convolution.out_channels)]
    return [*cells, activation()] if activation else cells
