"""GhostNet in PyTorch, for comparison: same tables, parameter names and weights."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from ghostnet.models import Architecture, Block
from ghostnet.packages import needs

with needs("torch", extra="torch"):
    import torch
    from torch import Tensor, nn

BATCH_NORM = {
    "gamma": "weight",
    "beta": "bias",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
}


def activation_of(architecture: Architecture) -> nn.Module:
    """Make the activation of an architecture."""
    if architecture.activation == "hard_swish":
        return nn.Hardswish(inplace=True)
    return nn.ReLU(inplace=True)


class ConvUnit(nn.Module):
    """Convolution, batch norm and an optional activation."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int = 1,
        *,
        stride: int = 1,
        groups: int = 1,
        activation: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(
            in_channels,
            out_channels,
            kernel_size,
            stride,
            kernel_size // 2,
            groups=groups,
            bias=False,
        )
        self.bn = nn.BatchNorm2d(out_channels)
        self.act = activation or nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return self.act(self.bn(self.conv(x)))


class SqueezeExcite(nn.Module):
    """Scale each channel by a gate computed from the channels' means."""

    def __init__(self, channels: int, reduced_channels: int) -> None:
        super().__init__()
        self.conv_reduce = nn.Conv2d(channels, reduced_channels, 1)
        self.conv_expand = nn.Conv2d(reduced_channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        squeezed = self.conv_reduce(x.mean((2, 3), keepdim=True)).relu_()
        return x * nn.functional.hardsigmoid(self.conv_expand(squeezed))


class GhostModule(nn.Module):
    """Compute half of the channels by a pointwise convolution, the rest by a depthwise one."""

    def __init__(
        self, in_channels: int, out_channels: int, activation: nn.Module | None = None
    ) -> None:
        super().__init__()
        half = out_channels // 2
        self.primary_conv = ConvUnit(in_channels, half, activation=activation)
        self.cheap_operation = ConvUnit(half, half, 3, groups=half, activation=activation)

    def forward(self, x: Tensor) -> Tensor:
        primary = self.primary_conv(x)
        return torch.cat((primary, self.cheap_operation(primary)), dim=1)


class GhostBottleneck(nn.Module):
    """Two Ghost modules with a shortcut."""

    def __init__(self, in_channels: int, block: Block, activation: nn.Module) -> None:
        super().__init__()

        def depthwise(channels: int) -> ConvUnit:
            return ConvUnit(
                channels, channels, block.kernel_size, stride=block.stride, groups=channels
            )

        expanded = block.expansion_channels
        self.ghost1 = GhostModule(in_channels, expanded, activation)
        self.dw = depthwise(expanded) if block.stride > 1 else nn.Identity()
        self.se: nn.Module = nn.Identity()
        if block.se_channels:
            self.se = SqueezeExcite(expanded, block.se_channels)
        self.ghost2 = GhostModule(expanded, block.out_channels)
        self.shortcut: nn.Module = nn.Identity()
        if block.stride > 1 or in_channels != block.out_channels:
            self.shortcut = nn.Sequential(
                depthwise(in_channels), ConvUnit(in_channels, block.out_channels)
            )

    def forward(self, x: Tensor) -> Tensor:
        return self.ghost2(self.se(self.dw(self.ghost1(x)))) + self.shortcut(x)


class GhostNet(nn.Module):
    """Map (batch, 3, height, width) images to (batch, num_classes) logits."""

    def __init__(
        self, architecture: Architecture, num_classes: int, drop_rate: float = 0.2
    ) -> None:
        super().__init__()
        stem, last = architecture.stem_channels, architecture.last_channels
        self.act = activation_of(architecture)
        self.conv_stem = nn.Conv2d(3, stem, 3, 2, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(stem)
        blocks = [
            GhostBottleneck(in_channels, block, self.act)
            for in_channels, block in architecture.inputs_and_blocks
        ]
        out_channels = architecture.blocks[-1].out_channels
        self.blocks = nn.Sequential(*blocks, ConvUnit(out_channels, last, activation=self.act))
        self.conv_head = nn.Conv2d(last, architecture.head_channels, 1)
        self.dropout = nn.Dropout(drop_rate)
        self.classifier = nn.Linear(architecture.head_channels, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.blocks(self.act(self.bn1(self.conv_stem(x)))).mean((2, 3), keepdim=True)
        return self.classifier(self.dropout(self.act(self.conv_head(x)).flatten(1)))

    def load_parameters(self, parameters: Mapping[str, NDArray[np.float32]]) -> None:
        """Load parameters by released name."""
        state = dict(self.state_dict())  # keeps the counters of batch norm, which MindSpore lacks
        for name, values in parameters.items():
            owner, _, leaf = name.rpartition(".")
            state[f"{owner}.{BATCH_NORM.get(leaf, leaf)}"] = torch.tensor(values)
        self.load_state_dict(state)
