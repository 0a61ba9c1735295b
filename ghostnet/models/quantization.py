"""Convolutions on 8 bits: those of the int8 checkpoint that the hub released.

The parameters that this adds to a convolution have the names of that checkpoint, and are not
trained: rounding has no gradient.
"""

from mindspore import Parameter, Tensor, nn, ops

INPUT_RANGE = (0, 255)
WEIGHT_RANGE = (-129, 128)
"""Bounds of the released code; a weight takes one step more on either side than 8 bits hold."""


class QuantizedConvolution(nn.Conv2d):
    """A convolution of an input and a weight that were rounded to steps.

    The input is rounded to multiples of ``scale_a``, of which it takes 256 from ``zp_a`` up; the
    weight to multiples of ``scale_w``, one number for each output channel.

    Args:
        convolution: Its counterpart without rounding, whose weight and bias it takes over.
    """

    def __init__(self, convolution: nn.Conv2d) -> None:
        super().__init__(
            convolution.in_channels,
            convolution.out_channels,
            convolution.kernel_size,
            convolution.stride,
            pad_mode=convolution.pad_mode,
            padding=convolution.padding,
            group=convolution.group,
            has_bias=convolution.has_bias,
        )
        self.weight, self.bias = convolution.weight, convolution.bias
        self.scale_a = Parameter(ops.ones(1), requires_grad=False)
        self.scale_w = Parameter(ops.ones(convolution.out_channels), requires_grad=False)
        self.zp_a = Parameter(ops.zeros(1), requires_grad=False)

    def construct(self, x: Tensor) -> Tensor:
        steps = ops.floor(x / self.scale_a - self.zp_a + 0.5)
        x = (ops.clamp(steps, *INPUT_RANGE) + self.zp_a) * self.scale_a
        scale = self.scale_w.reshape((-1, 1, 1, 1))
        weight = ops.clamp(ops.floor(self.weight / scale + 0.5), *WEIGHT_RANGE) * scale
        output = self.conv2d(x, weight)
        return self.bias_add(output, self.bias) if self.has_bias else output


def quantize(network: nn.Cell) -> None:
    """Replace every convolution of a network by a `QuantizedConvolution` with its weights."""
    for owner, cell in list(network.cells_and_names()):
        for name, child in cell.name_cells().items():
            if type(child) is nn.Conv2d:
                quantized = QuantizedConvolution(child)
                setattr(cell, name, quantized)
                quantized.update_parameters_name(f"{owner}.{name}." if owner else f"{name}.")
