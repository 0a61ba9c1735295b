"""The building blocks of GhostNet and its successors, as plain MindSpore cells.

Every tensor is float32 or float16 of shape (batch, channels, height, width). Attribute names are
those of the released checkpoints: renaming one breaks loading.
"""

from collections.abc import Callable, Mapping
from functools import partial

from mindspore import Tensor, nn, ops
from mindspore.common.initializer import HeNormal

from ghostnet import runtime
from ghostnet.errors import ModelError
from ghostnet.models import architectures
from ghostnet.models.specs import NORM_EPSILON, PARALLEL

Activation = Callable[[], nn.Cell]


class HardSigmoid(nn.Cell):
    """``relu6(x + 3) / 6``, the gate of squeeze-excite."""

    def __init__(self) -> None:
        super().__init__()
        runtime.prepare_operators()
        self.relu6 = nn.ReLU6()

    def construct(self, x: Tensor) -> Tensor:
        return self.relu6(x + 3.0) / 6.0


class HardSwish(nn.Cell):
    """``x * relu6(x + 3) / 6``, composed from ReLU6 because ONNX export has no hard swish."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = HardSigmoid()

    def construct(self, x: Tensor) -> Tensor:
        return x * self.gate(x)


def convolution(
    in_channels: int,
    out_channels: int,
    kernel_size: int | tuple[int, int],
    *,
    stride: int = 1,
    groups: int = 1,
    bias: bool = False,
) -> nn.Conv2d:
    """Build a convolution padded by half of its kernel, He-normal over its fan-out."""
    height, width = kernel_size if isinstance(kernel_size, tuple) else (kernel_size, kernel_size)
    return nn.Conv2d(
        in_channels,
        out_channels,
        kernel_size,
        stride,
        pad_mode="pad",
        padding=(height // 2, height // 2, width // 2, width // 2),
        group=groups,
        has_bias=bias,
        weight_init=HeNormal(mode="fan_out", nonlinearity="relu"),
        bias_init="zeros",
    )


ACTIVATIONS: Mapping[architectures.Activation, Activation] = {
    "relu": nn.ReLU,
    "relu6": nn.ReLU6,
    "hard_swish": HardSwish,
}
"""The cell for each activation that an architecture names."""


def batch_norm(channels: int) -> nn.BatchNorm2d:
    """Build a batch norm with the momentum and epsilon of the released checkpoints."""
    return nn.BatchNorm2d(channels, eps=NORM_EPSILON, momentum=0.9)


class ConvUnit(nn.Cell):
    """Convolution, batch norm or bias, and an optional activation.

    Args:
        in_channels: Input channels.
        out_channels: Output channels.
        kernel_size: Height and width of the kernel, in pixels; one number stands for both.
        stride: Step between two outputs, in pixels; divides height and width.
        groups: 1 for a convolution over all channels, ``in_channels`` for a depthwise one.
        activation: Cell class to apply last, or None.
        norm: Whether a batch norm follows the convolution; without it, the convolution has a bias.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | tuple[int, int] = 1,
        *,
        stride: int = 1,
        groups: int = 1,
        activation: Activation | None = None,
        norm: bool = True,
    ) -> None:
        super().__init__()
        runtime.prepare_operators()
        self.conv = convolution(
            in_channels, out_channels, kernel_size, stride=stride, groups=groups, bias=not norm
        )
        self.bn = batch_norm(out_channels) if norm else nn.Identity()
        self.act = activation() if activation else None

    def construct(self, x: Tensor) -> Tensor:
        x = self.bn(self.conv(x))
        if self.act is not None:
            x = self.act(x)
        return x


class BranchedUnit(nn.Cell):
    """The sum of parallel branches, each with a batch norm, and an optional activation.

    A unit of GhostNetV3 in training: three convolutions of one shape; beside kernels above 1 × 1, a
    factor for each channel; where asked for, the input itself. `ghostnet.merge_branches` makes a
    `ConvUnit` without a batch norm of it.

    Args:
        in_channels: Input channels.
        out_channels: Output channels.
        kernel_size: Height and width of the kernel, in pixels.
        stride: As in `ConvUnit`.
        groups: As in `ConvUnit`.
        activation: Cell class to apply to the sum, or None.
        skip: Whether the input is one of the branches.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int = 1,
        *,
        stride: int = 1,
        groups: int = 1,
        activation: Activation | None = None,
        skip: bool = False,
    ) -> None:
        super().__init__()
        self.branches = nn.CellList(
            [
                ConvUnit(in_channels, out_channels, kernel_size, stride=stride, groups=groups)
                for _ in range(PARALLEL)
            ]
        )
        self.scale = None
        if kernel_size > 1:
            self.scale = ConvUnit(in_channels, out_channels, stride=stride, groups=groups)
        self.skip = batch_norm(out_channels) if skip else None
        self.act = activation() if activation else None

    def construct(self, x: Tensor) -> Tensor:
        y = self.branches[0](x)
        for index in range(1, PARALLEL):
            y = y + self.branches[index](x)
        if self.scale is not None:
            y = y + self.scale(x)
        if self.skip is not None:
            y = y + self.skip(x)
        if self.act is not None:
            y = self.act(y)
        return y


merged_unit = partial(ConvUnit, norm=False)
"""What the branches of a unit merge into: a convolution with a bias."""

UNITS: Mapping[architectures.Form, Callable[..., nn.Cell]] = {
    "plain": ConvUnit,
    "branched": BranchedUnit,
    "merged": merged_unit,
}
"""The cell for each form of a unit."""


def depthwise(
    channels: int, kernel_size: int, *, stride: int = 1, activation: Activation | None = None
) -> ConvUnit:
    """Build a `ConvUnit` with one filter a channel."""
    return ConvUnit(
        channels, channels, kernel_size, stride=stride, groups=channels, activation=activation
    )


class SqueezeExcite(nn.Cell):
    """Scale each channel by a gate computed from the channels' means (Hu et al., CVPR 2018).

    Args:
        channels: Input and output channels.
        reduced_channels: Channels between the two pointwise convolutions.
    """

    def __init__(self, channels: int, reduced_channels: int) -> None:
        super().__init__()
        self.conv_reduce = convolution(channels, reduced_channels, 1, bias=True)
        self.act = nn.ReLU()
        self.conv_expand = convolution(reduced_channels, channels, 1, bias=True)
        self.gate = HardSigmoid()

    def construct(self, x: Tensor) -> Tensor:
        squeezed = x.mean((2, 3), keep_dims=True)
        return x * self.gate(self.conv_expand(self.act(self.conv_reduce(squeezed))))


class GhostModule(nn.Cell):
    """Compute half of the channels by a pointwise convolution, and the rest from those, depthwise.

    Maps (batch, in_channels, height, width) to (batch, out_channels, height, width). Section 3.1
    of the paper (Han et al., CVPR 2020), with a ratio of 2 and a 3×3 cheap operation.

    Args:
        in_channels: Input channels.
        out_channels: Output channels, an even number.
        activation: Cell class applied after both halves, or None.
        form: Whether both convolutions are single ones, sums of branches (GhostNetV3; Liu et al.,
            2024), or such sums merged.
        attention: How the gates of GhostNetV2's attention grow to the size of the output; None for
            a module without attention.

    Raises:
        ValueError: ``out_channels`` is odd.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        activation: Activation | None = nn.ReLU,
        *,
        form: architectures.Form = "plain",
        attention: architectures.Upsampling | None = None,
    ) -> None:
        super().__init__()
        if out_channels % 2:
            raise ValueError(
                f"a Ghost module has an even number of output channels, not {out_channels}"
            )
        half = out_channels // 2
        unit = UNITS[form]
        cheap = partial(unit, skip=True) if form == "branched" else unit
        self.primary_conv = unit(in_channels, half, activation=activation)
        self.cheap_operation = cheap(half, half, 3, groups=half, activation=activation)
        channels = (in_channels, out_channels)
        self.gates = Attention(*channels) if attention == "nearest" else None
        self.short_conv = Attention(*channels) if attention == "bilinear" else None

    def without_attention(self, x: Tensor) -> Tensor:
        """Compute both halves of the channels."""
        primary = self.primary_conv(x)
        return ops.cat((primary, self.cheap_operation(primary)), axis=1)

    def construct(self, x: Tensor) -> Tensor:
        y = self.without_attention(x)
        if self.gates is not None:
            gates = ops.interpolate(self.gates(x), size=y.shape[2:], mode="nearest")
            y = y * gates
        if self.short_conv is not None:
            y = y * ops.interpolate(
                self.short_conv(x), size=y.shape[2:], mode="bilinear", align_corners=True
            )
        return y


class Attention(nn.SequentialCell):
    """The gates of GhostNetV2's attention (Tang et al., NeurIPS 2022), in (0, 1).

    Maps (batch, in_channels, height, width) to (batch, out_channels, ⌊height/2⌋, ⌊width/2⌋).

    Args:
        in_channels: Channels of the Ghost module's input.
        out_channels: Channels of its output, which the gates scale.

    Raises:
        ModelError: When called, if the height or width is 1.
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(
            ConvUnit(in_channels, out_channels),
            ConvUnit(out_channels, out_channels, (1, 5), groups=out_channels),
            ConvUnit(out_channels, out_channels, (5, 1), groups=out_channels),
        )
        self.pool = ops.AvgPool(kernel_size=2, strides=2, pad_mode="valid")

    def construct(self, x: Tensor) -> Tensor:
        check_pooling(x.shape)
        x = self.pool(x)
        for cell in self.cell_list:
            x = cell(x)
        return ops.sigmoid(x)


@ops.constexpr(check=False)
def check_pooling(shape: tuple[int, ...]) -> None:
    """Check that a map can be averaged over 2×2 pixels.

    Raises:
        ModelError: Its height or width is 1.
    """
    if 1 in shape[2:]:
        raise ModelError(
            "the attention of GhostNetV2 and V3 averages over 2×2 pixels, and these images leave "
            f"it a map of {shape[2]}×{shape[3]}; use images of at least 33×33 pixels"
        )


class RepGhostModule(nn.Cell):
    """A Ghost module that adds where the original concatenates (Chen et al., 2022).

    Maps (batch, in_channels, height, width) to (batch, out_channels, height, width): a pointwise
    convolution, then the sum of its output and a 3×3 depthwise convolution of it.

    Args:
        in_channels: Input channels.
        out_channels: Output channels.
        activation: Cell class applied after the pointwise convolution and after the sum, or None.
        form: ``branched``, or ``merged``, in which the depthwise convolution includes the sum.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        activation: Activation | None = nn.ReLU,
        *,
        form: architectures.Form = "branched",
    ) -> None:
        super().__init__()
        self.primary_conv = ConvUnit(in_channels, out_channels, activation=activation)
        self.fusion_bn = None
        if form == "merged":
            self.cheap_operation = merged_unit(out_channels, out_channels, 3, groups=out_channels)
        else:
            self.cheap_operation = depthwise(out_channels, 3)
            self.fusion_bn = batch_norm(out_channels)
        self.act = activation() if activation else None

    def construct(self, x: Tensor) -> Tensor:
        x = self.primary_conv(x)
        y = self.cheap_operation(x)
        if self.fusion_bn is not None:
            y = y + self.fusion_bn(x)
        if self.act is not None:
            y = self.act(y)
        return y


MODULES: Mapping[architectures.Family, Callable[..., nn.Cell]] = {
    "ghostnet": GhostModule,
    "repghost": RepGhostModule,
}
"""The module that the bottlenecks of a family are made of."""


class GhostBottleneck(nn.Cell):
    """Two Ghost modules and a shortcut (figure 3 of the paper).

    The first module expands. A depthwise convolution follows where ``stride`` is above 1, then
    squeeze-excite where ``se_channels`` is above 0. The second module projects, without an
    activation.

    Args:
        in_channels: Channels before the first Ghost module.
        expansion_channels: Channels between the two Ghost modules.
        out_channels: Channels after the second Ghost module.
        kernel_size: Kernel of the depthwise convolutions between the Ghost modules and in the
            shortcut, in pixels.
        stride: 1 or 2; divides height and width.
        se_channels: Reduced channels of squeeze-excite; 0 leaves it out.
        activation: Activation of the first Ghost module.
        family: ``repghost`` for modules that add, ``ghostnet`` for modules that concatenate.
        form: As in `GhostModule`; it applies to the depthwise convolution between two of them too.
        attention: As in `GhostModule`, of the first one.
    """

    def __init__(
        self,
        in_channels: int,
        expansion_channels: int,
        out_channels: int,
        *,
        kernel_size: int = 3,
        stride: int = 1,
        se_channels: int = 0,
        activation: Activation = nn.ReLU,
        family: architectures.Family = "ghostnet",
        form: architectures.Form = "plain",
        attention: architectures.Upsampling | None = None,
    ) -> None:
        super().__init__()
        expanded = expansion_channels
        module, unit = MODULES[family], UNITS[form if family == "ghostnet" else "plain"]
        expand = partial(module, attention=attention) if attention else module
        self.ghost1 = expand(in_channels, expanded, activation, form=form)
        self.dw = None
        if stride > 1:
            self.dw = unit(expanded, expanded, kernel_size, stride=stride, groups=expanded)
        self.se = SqueezeExcite(expanded, se_channels) if se_channels else None
        self.ghost2 = module(expanded, out_channels, activation=None, form=form)
        self.shortcut = None
        if stride > 1 or in_channels != out_channels:
            self.shortcut = nn.SequentialCell(
                depthwise(in_channels, kernel_size, stride=stride),
                ConvUnit(in_channels, out_channels),
            )

    def construct(self, x: Tensor) -> Tensor:
        y = self.ghost1(x)
        if self.dw is not None:
            y = self.dw(y)
        if self.se is not None:
            y = self.se(y)
        y = self.ghost2(y)
        if self.shortcut is not None:
            x = self.shortcut(x)
        return x + y
