"""The building blocks of GhostNet (Han et al., CVPR 2020), as plain MindSpore cells.

Every tensor is float32 or float16 of shape (batch, channels, height, width). Attribute names are
those of the released checkpoints: renaming one breaks loading.
"""

from collections.abc import Callable, Mapping

from mindspore import Tensor, nn, ops
from mindspore.common.initializer import HeNormal

from ghostnet import runtime
from ghostnet.models import architectures
from ghostnet.models.specs import NORM_EPSILON

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
    kernel_size: int,
    *,
    stride: int = 1,
    groups: int = 1,
    bias: bool = False,
) -> nn.Conv2d:
    """Build a convolution padded by ``kernel_size // 2``, He-normal over its fan-out."""
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
    """Convolution, batch norm and an optional activation.

    Args:
        in_channels: Input channels.
        out_channels: Output channels.
        kernel_size: Height and width of the kernel, in pixels.
        stride: Step between two outputs, in pixels; divides height and width.
        groups: 1 for a convolution over all channels, ``in_channels`` for a depthwise one.
        activation: Cell class to apply last, or None.
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
        runtime.prepare_operators()
        self.conv = convolution(
            in_channels, out_channels, kernel_size, stride=stride, groups=groups
        )
        self.bn = batch_norm(out_channels)
        self.act = activation() if activation else None

    def construct(self, x: Tensor) -> Tensor:
        x = self.bn(self.conv(x))
        if self.act is not None:
            x = self.act(x)
        return x


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
    """Compute half of the channels by a pointwise convolution, the rest by a depthwise one of it.

    Maps (batch, in_channels, height, width) to (batch, out_channels, height, width). Section 3.1
    of the paper, with a ratio of 2 and a 3×3 cheap operation.

    Args:
        in_channels: Input channels.
        out_channels: Output channels, an even number.
        activation: Cell class applied after both halves, or None.

    Raises:
        ValueError: ``out_channels`` is odd.
    """

    def __init__(
        self, in_channels: int, out_channels: int, activation: Activation | None = nn.ReLU
    ) -> None:
        super().__init__()
        if out_channels % 2:
            raise ValueError(f"out_channels: expected an even number, found {out_channels}")
        primary_channels = out_channels // 2
        self.primary_conv = ConvUnit(in_channels, primary_channels, activation=activation)
        self.cheap_operation = depthwise(primary_channels, 3, activation=activation)

    def construct(self, x: Tensor) -> Tensor:
        primary = self.primary_conv(x)
        return ops.cat((primary, self.cheap_operation(primary)), axis=1)


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
