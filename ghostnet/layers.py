"""The building blocks of GhostNet (Han et al., CVPR 2020), as plain MindSpore cells.

Every tensor is float32 or float16 of shape (batch, channels, height, width). Attribute names are
those of the released checkpoints, so renaming one breaks loading.
"""

from collections.abc import Callable

from mindspore import Tensor, nn, ops
from mindspore.common.initializer import HeNormal

Activation = Callable[[], nn.Cell]


class HardSigmoid(nn.Cell):
    """``relu6(x + 3) / 6``, the gate of squeeze-excite."""

    def __init__(self) -> None:
        super().__init__()
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
    kernel_size: int,
    *,
    stride: int = 1,
    groups: int = 1,
    bias: bool = False,
) -> nn.Conv2d:
    """A convolution padded by ``kernel_size // 2``, He-normal over its fan-out."""
    return nn.Conv2d(
        in_channels,
        out_channels,
        kernel_size,
        stride,
        pad_mode="pad",
        padding=kernel_size // 2,
        group=groups,
        has_bias=bias,
        weight_init=HeNormal(mode="fan_out", nonlinearity="relu"),
        bias_init="zeros",
    )


class ConvUnit(nn.Cell):
    """Convolution, batch norm and, if one is given, an activation.

    Args:
        in_channels: channels in.
        out_channels: channels out.
        kernel_size: of the convolution, in pixels.
        stride: in pixels; height and width shrink by it.
        groups: 1 for a dense convolution, ``in_channels`` for a depthwise one.
        activation: the cell class to apply last, or None.
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
    ) -> None:
        super().__init__()
        self.conv = convolution(
            in_channels, out_channels, kernel_size, stride=stride, groups=groups
        )
        self.bn = nn.BatchNorm2d(out_channels)
        self.act = activation() if activation else None

    def construct(self, x: Tensor) -> Tensor:
        x = self.bn(self.conv(x))
        if self.act is not None:
            x = self.act(x)
        return x


def depthwise(
    channels: int, kernel_size: int, *, stride: int = 1, activation: Activation | None = None
) -> ConvUnit:
    """A `ConvUnit` with one filter a channel."""
    return ConvUnit(
        channels, channels, kernel_size, stride=stride, groups=channels, activation=activation
    )


class SqueezeExcite(nn.Cell):
    """Scales each channel by a gate computed from the channels' spatial means (Hu et al., 2018).

    Args:
        channels: channels in and out.
        reduced_channels: width of the bottleneck between the two 1×1 convolutions.
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
    """Half the channels by a pointwise convolution, the other half by a cheap depthwise one of it.

    (batch, in_channels, height, width) becomes (batch, out_channels, height, width); section 3.1
    of the paper with ratio 2 and a 3×3 cheap operation.

    Args:
        in_channels: channels in.
        out_channels: channels out, an even number.
        activation: applied after both halves, or None.

    Raises:
        ValueError: ``out_channels`` is odd.
    """

    def __init__(
        self, in_channels: int, out_channels: int, activation: Activation | None = nn.ReLU
    ) -> None:
        super().__init__()
        if out_channels % 2:
            raise ValueError(f"a Ghost module has an even number of out channels: {out_channels}")
        primary_channels = out_channels // 2
        self.primary_conv = ConvUnit(in_channels, primary_channels, activation=activation)
        self.cheap_operation = depthwise(primary_channels, 3, activation=activation)

    def construct(self, x: Tensor) -> Tensor:
        primary = self.primary_conv(x)
        return ops.cat((primary, self.cheap_operation(primary)), axis=1)


class GhostBottleneck(nn.Cell):
    """Two Ghost modules with a shortcut (figure 3 of the paper).

    The first expands; a depthwise convolution follows where ``stride`` is above 1, and
    squeeze-excite where it is asked for; the second projects without an activation.

    Args:
        in_channels: channels before the first Ghost module.
        expansion_channels: between the two.
        out_channels: after the second.
        kernel_size: of the depthwise convolutions between the Ghost modules and in the shortcut.
        stride: 1 or 2; height and width shrink by it.
        se_channels: reduced channels of squeeze-excite; 0 leaves it out.
        activation: of the first Ghost module.
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
    ) -> None:
        super().__init__()
        self.ghost1 = GhostModule(in_channels, expansion_channels, activation)
        self.dw = depthwise(expansion_channels, kernel_size, stride=stride) if stride > 1 else None
        self.se = SqueezeExcite(expansion_channels, se_channels) if se_channels else None
        self.ghost2 = GhostModule(expansion_channels, out_channels, activation=None)
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
