"""The Ghost networks in PyTorch, for comparison: same tables, parameter names and weights."""

from collections.abc import Callable, Mapping
from functools import partial, reduce

import numpy as np
from numpy.typing import NDArray

from ghostnet.models import Architecture, Block
from ghostnet.models.architectures import Form, Upsampling
from ghostnet.models.specs import ATTENTIONS, PARALLEL
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
    """Convolution, batch norm or bias, and an optional activation."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | tuple[int, int] = 1,
        *,
        stride: int = 1,
        groups: int = 1,
        activation: nn.Module | None = None,
        norm: bool = True,
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(
            in_channels, out_channels, kernel_size, stride, groups=groups, bias=not norm
        )
        self.conv.padding = tuple(size // 2 for size in self.conv.kernel_size)
        self.bn = nn.BatchNorm2d(out_channels) if norm else nn.Identity()
        self.act = activation or nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return self.act(self.bn(self.conv(x)))


class BranchedUnit(nn.Module):
    """The sum of parallel branches, each with a batch norm, and an optional activation."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int = 1,
        *,
        stride: int = 1,
        groups: int = 1,
        activation: nn.Module | None = None,
        skip: bool = False,
    ) -> None:
        super().__init__()
        unit = partial(ConvUnit, in_channels, out_channels, stride=stride, groups=groups)
        self.branches = nn.ModuleList(unit(kernel_size) for _ in range(PARALLEL))
        self.scale = unit() if kernel_size > 1 else None
        self.skip = nn.BatchNorm2d(out_channels) if skip else None
        self.act = activation or nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        others = [branch for branch in (self.scale, self.skip) if branch is not None]
        outputs = (branch(x) for branch in (*self.branches, *others))
        return self.act(reduce(torch.add, outputs))


UNITS: Mapping[Form, Callable[..., nn.Module]] = {
    "plain": ConvUnit,
    "branched": BranchedUnit,
    "merged": partial(ConvUnit, norm=False),
}


class SqueezeExcite(nn.Module):
    """Scale each channel by a gate computed from the channels' means."""

    def __init__(self, channels: int, reduced_channels: int) -> None:
        super().__init__()
        self.conv_reduce = nn.Conv2d(channels, reduced_channels, 1)
        self.conv_expand = nn.Conv2d(reduced_channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        squeezed = self.conv_reduce(x.mean((2, 3), keepdim=True)).relu_()
        return x * nn.functional.hardsigmoid(self.conv_expand(squeezed))


class Attention(nn.Sequential):
    """The gates of GhostNetV2's attention, grown to the size of what they scale."""

    def __init__(self, in_channels: int, out_channels: int, upsampling: Upsampling) -> None:
        super().__init__(
            ConvUnit(in_channels, out_channels),
            ConvUnit(out_channels, out_channels, (1, 5), groups=out_channels),
            ConvUnit(out_channels, out_channels, (5, 1), groups=out_channels),
        )
        self.corners = True if upsampling == "bilinear" else None
        self.upsampling = upsampling

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        gates = super().forward(nn.functional.avg_pool2d(x, 2)).sigmoid_()
        size, corners = y.shape[2:], self.corners
        return y * nn.functional.interpolate(gates, size, None, self.upsampling, corners)


class GhostModule(nn.Module):
    """Compute half of the channels by a pointwise convolution, the rest by a depthwise one."""

    def __init__(
        self,
        architecture: Architecture,
        in_channels: int,
        out_channels: int,
        activation: nn.Module | None = None,
        *,
        attends: bool = False,
    ) -> None:
        super().__init__()
        half, form = out_channels // 2, architecture.form
        cheap = partial(BranchedUnit, skip=True) if form == "branched" else UNITS[form]
        self.primary_conv = UNITS[form](in_channels, half, activation=activation)
        self.cheap_operation = cheap(half, half, 3, groups=half, activation=activation)
        self.attention = None
        if attends:
            upsampling = architecture.upsampling
            self.attention = ATTENTIONS[upsampling]
            self.add_module(self.attention, Attention(in_channels, out_channels, upsampling))

    def forward(self, x: Tensor) -> Tensor:
        primary = self.primary_conv(x)
        y = torch.cat((primary, self.cheap_operation(primary)), dim=1)
        return self.get_submodule(self.attention)(x, y) if self.attention else y


class RepGhostModule(nn.Module):
    """A Ghost module that adds where the original concatenates."""

    def __init__(
        self,
        architecture: Architecture,
        in_channels: int,
        out_channels: int,
        activation: nn.Module | None = None,
    ) -> None:
        super().__init__()
        branched = architecture.form == "branched"
        self.primary_conv = ConvUnit(in_channels, out_channels, activation=activation)
        self.cheap_operation = ConvUnit(
            out_channels, out_channels, 3, groups=out_channels, norm=branched
        )
        self.fusion_bn = nn.BatchNorm2d(out_channels) if branched else None
        self.act = activation or nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        x = self.primary_conv(x)
        y = self.cheap_operation(x)
        return self.act(y if self.fusion_bn is None else y + self.fusion_bn(x))


class GhostBottleneck(nn.Module):
    """Two Ghost modules with a shortcut."""

    def __init__(
        self, architecture: Architecture, in_channels: int, block: Block, activation: nn.Module
    ) -> None:
        super().__init__()
        expanded, adds = block.expansion_channels, architecture.family == "repghost"
        module = partial(RepGhostModule if adds else GhostModule, architecture)
        expand = partial(module, attends=True) if block.attention else module
        unit = ConvUnit if adds else UNITS[architecture.form]
        kernel, stride = block.kernel_size, block.stride
        self.ghost1 = expand(in_channels, expanded, activation)
        self.dw: nn.Module = nn.Identity()
        if stride > 1:
            self.dw = unit(expanded, expanded, kernel, stride=stride, groups=expanded)
        self.se: nn.Module = nn.Identity()
        if block.se_channels:
            self.se = SqueezeExcite(expanded, block.se_channels)
        self.ghost2 = module(expanded, block.out_channels)
        self.shortcut: nn.Module = nn.Identity()
        if stride > 1 or in_channels != block.out_channels:
            self.shortcut = nn.Sequential(
                ConvUnit(in_channels, in_channels, kernel, stride=stride, groups=in_channels),
                ConvUnit(in_channels, block.out_channels),
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
            GhostBottleneck(architecture, in_channels, block, self.act)
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
