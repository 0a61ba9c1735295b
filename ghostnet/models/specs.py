"""The layers of a network as data: names, shapes and strides, without a framework.

Folding, packing, export and the counting of multiply-adds read these specifications; the cells in
`ghostnet.models.layers` are built to match them.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Literal, NamedTuple, TypeAlias

from ghostnet.models.architectures import (
    Activation,
    Architecture,
    Block,
    Family,
    Form,
    Upsampling,
)

NORM_EPSILON = 1e-5
"""Added to the variance by every batch norm."""

CLASSIFIERS: Mapping[Family, str] = {
    "ghostnet": "classifier",
    "repghost": "classifier",
    "mobilenet_v2": "classifier.1",
}
"""Name of the last layer of each family."""

ATTENTIONS: Mapping[Upsampling, str] = {"nearest": "gates", "bilinear": "short_conv"}
"""Name of a Ghost module's attention; by it, a checkpoint tells how the gates are to grow.

``short_conv`` is the name in the MindSpore model zoo, whose code interpolates.
"""

PARALLEL = 3
"""Convolutions of one shape that a branched layer of GhostNetV3 sums."""

Shape: TypeAlias = tuple[int, ...]


class LayerSpec(NamedTuple):
    """A convolution or dense layer, and the batch norm and activation that follow it.

    Attributes:
        name: Prefix of the layer's parameters: ``<name>.weight``, ``<name>.bias``.
        in_channels: Input channels.
        out_channels: Output channels.
        kernel_size: Height and width of the kernel, in pixels; one number stands for both.
        stride: Step between two outputs, in pixels.
        kind: A convolution over all channels, one filter a channel, a layer on vectors, or nothing
            but a batch norm.
        norm: Prefix of the batch norm's parameters; None where the layer has a bias instead.
        activation: What is applied last, or None.
        reduction: Side of the image over side of the output; None behind the pooling, where the
            output is one pixel.
        pooling: Side of the map over side of the output, rounded down, behind an average pooling.
        branches: Layers whose outputs are summed before the activation in place of the layer
            itself, which then has no parameters of its own.
    """

    name: str
    in_channels: int
    out_channels: int
    kernel_size: int | tuple[int, int] = 1
    stride: int = 1
    kind: Literal["convolution", "depthwise", "dense", "identity"] = "convolution"
    norm: str | None = None
    activation: Activation | None = None
    reduction: int | None = None
    pooling: int = 1
    branches: tuple["LayerSpec", ...] = ()

    @property
    def kernel_shape(self) -> tuple[int, int]:
        """Height and width of the kernel, in pixels."""
        size = self.kernel_size
        return size if isinstance(size, tuple) else (size, size)

    @property
    def weight_shape(self) -> Shape:
        """Shape of the weight."""
        if self.kind == "dense":
            return self.out_channels, self.in_channels
        inputs = self.in_channels if self.kind == "convolution" else 1
        return self.out_channels, inputs, *self.kernel_shape

    def parts(self) -> "tuple[LayerSpec, ...]":
        """The layers that have the parameters: the branches, or the layer itself."""
        return self.branches or (self,)

    def parameter_shapes(self, *, quantized: bool = False) -> dict[str, Shape]:
        """Return the shape of each parameter, in the order of the released checkpoints.

        Args:
            quantized: Include the parameters of `ghostnet.models.quantization`.
        """
        if self.branches:
            return dict(
                chain.from_iterable(branch.parameter_shapes().items() for branch in self.branches)
            )
        vector = (self.out_channels,)
        shapes = {} if self.kind == "identity" else {f"{self.name}.weight": self.weight_shape}
        if self.norm is None:
            shapes[f"{self.name}.bias"] = vector
        if quantized:
            quantization = {"scale_a": (1,), "scale_w": vector, "zp_a": (1,)}
            shapes |= {f"{self.name}.{leaf}": shape for leaf, shape in quantization.items()}
        if self.norm is None:
            return shapes
        leaves = ("moving_mean", "moving_variance", "gamma", "beta")
        return shapes | {f"{self.norm}.{leaf}": vector for leaf in leaves}


class AttentionSpec(NamedTuple):
    """The gates of a Ghost module's output in GhostNetV2 ("decoupled fully connected attention").

    They are computed from the module's input, averaged over 2×2 pixels, by three convolutions and a
    sigmoid; then they grow to the size of the output.
    """

    pointwise: LayerSpec
    horizontal: LayerSpec
    vertical: LayerSpec
    upsampling: Upsampling


class GhostModuleSpec(NamedTuple):
    """A pointwise convolution, and a depthwise one of its output.

    Attributes:
        primary: The pointwise convolution.
        cheap: The depthwise convolution of its output.
        attention: What gates the output, or None.
        is_concatenated: Whether the output is that of both layers, as in section 3.1 of the paper,
            or, as in RepGhost, only that of the second.
    """

    primary: LayerSpec
    cheap: LayerSpec
    attention: AttentionSpec | None = None
    is_concatenated: bool = True


class SqueezeExciteSpec(NamedTuple):
    """The two pointwise convolutions of squeeze-excite, on the means of the channels."""

    reduce: LayerSpec
    expand: LayerSpec


class ShortcutSpec(NamedTuple):
    """The two convolutions of a shortcut that changes the shape of its input."""

    depthwise: LayerSpec
    pointwise: LayerSpec


class BottleneckSpec(NamedTuple):
    """A Ghost bottleneck; a part that it lacks is None."""

    name: str
    ghost1: GhostModuleSpec
    downsample: LayerSpec | None
    squeeze_excite: SqueezeExciteSpec | None
    ghost2: GhostModuleSpec
    shortcut: ShortcutSpec | None


class InvertedResidualSpec(NamedTuple):
    """A block of MobileNetV2; ``expansion`` is None where the input is not expanded."""

    name: str
    expansion: LayerSpec | None
    depthwise: LayerSpec
    projection: LayerSpec

    @property
    def has_residual(self) -> bool:
        """Whether the input is added to the output: where both have the same shape."""
        first = self.expansion or self.depthwise
        same_channels = first.in_channels == self.projection.out_channels
        return same_channels and self.depthwise.stride == 1


BlockSpec: TypeAlias = BottleneckSpec | InvertedResidualSpec


class NetworkSpec(NamedTuple):
    """A network from image to logits; ``quantized`` applies to its convolutions.

    ``head`` is None where the classifier reads the means of the last layer.
    """

    stem: LayerSpec
    blocks: tuple[BlockSpec, ...]
    last: LayerSpec
    head: LayerSpec | None
    classifier: LayerSpec
    quantized: bool = False

    def layers(self) -> Iterator[LayerSpec]:
        """Yield every layer, in the order of the released checkpoints."""
        yield from layers_of(self)

    def parameter_shapes(self) -> dict[str, Shape]:
        """Return the shape of every parameter, in the order of the released checkpoints."""
        return {
            name: shape
            for layer in self.layers()
            for name, shape in layer.parameter_shapes(
                quantized=self.quantized and layer.kind != "dense"
            ).items()
        }


def network_spec(architecture: Architecture, num_classes: int) -> NetworkSpec:
    """Return the layers of an architecture.

    Args:
        architecture: One of the tables of `ghostnet.models.architectures`, or your own.
        num_classes: Length of the logits.
    """
    return _SPECS[architecture.family](architecture, num_classes)


def _ghostnet_spec(architecture: Architecture, num_classes: int) -> NetworkSpec:
    activation = architecture.activation
    channels, reduction = architecture.stem_channels, 2
    stem = LayerSpec(
        "conv_stem",
        3,
        channels,
        kernel_size=3,
        stride=2,
        norm="bn1",
        activation=activation,
        reduction=reduction,
    )
    blocks = []
    for index, block in enumerate(architecture.blocks):
        builder = _BottleneckBuilder(architecture, f"blocks.{index}", channels, block, reduction)
        blocks.append(builder.build())
        channels, reduction = block.out_channels, reduction * block.stride
    last, head = architecture.last_channels, architecture.head_channels
    name = f"blocks.{len(blocks)}"
    return NetworkSpec(
        stem,
        tuple(blocks),
        LayerSpec(
            f"{name}.conv",
            channels,
            last,
            norm=f"{name}.bn",
            activation=activation,
            reduction=reduction,
        ),
        LayerSpec("conv_head", last, head, activation=activation),
        LayerSpec(CLASSIFIERS["ghostnet"], head, num_classes, kind="dense"),
        architecture.quantized,
    )


def _mobilenet_v2_spec(architecture: Architecture, num_classes: int) -> NetworkSpec:
    """Name the layers as MindCV does: convolution, norm and activation count one each."""
    activation = architecture.activation
    channels, reduction = architecture.stem_channels, 2
    stem = _numbered("features", 0, 3, channels, reduction, activation)
    blocks = []
    for index, block in enumerate(architecture.blocks, start=3):
        blocks.append(
            _inverted_residual(f"features.{index}", channels, block, activation, reduction)
        )
        channels, reduction = block.out_channels, reduction * block.stride
    last = architecture.last_channels
    return NetworkSpec(
        stem._replace(kernel_size=3, stride=2),
        tuple(blocks),
        _numbered("features", 3 + len(blocks), channels, last, reduction, activation),
        None,
        LayerSpec(CLASSIFIERS["mobilenet_v2"], last, num_classes, kind="dense"),
    )


def _inverted_residual(
    name: str, in_channels: int, block: Block, activation: Activation, reduction: int
) -> InvertedResidualSpec:
    """Specify an inverted residual.

    Args:
        name: Prefix of its parameters.
        in_channels: Channels of its input.
        block: Its row of the architecture table.
        activation: Activation of all but the projection.
        reduction: Side of the image over side of its input.
    """
    expanded, layers = block.expansion_channels, f"{name}.layers"
    expansion = None
    if expanded != in_channels:
        expansion = _numbered(layers, 0, in_channels, expanded, reduction, activation)
    first = 3 if expansion else 0
    reduction *= block.stride
    depthwise = _numbered(layers, first, expanded, expanded, reduction, activation)
    return InvertedResidualSpec(
        name,
        expansion,
        depthwise._replace(kernel_size=block.kernel_size, stride=block.stride, kind="depthwise"),
        _numbered(layers, first + 3, expanded, block.out_channels, reduction, None),
    )


def _numbered(
    owner: str,
    index: int,
    in_channels: int,
    out_channels: int,
    reduction: int,
    activation: Activation | None,
) -> LayerSpec:
    """Specify a pointwise convolution in a chain of cells, in which its batch norm comes next."""
    return LayerSpec(
        f"{owner}.{index}",
        in_channels,
        out_channels,
        norm=f"{owner}.{index + 1}",
        activation=activation,
        reduction=reduction,
    )


_SPECS: Mapping[Family, Callable[[Architecture, int], NetworkSpec]] = {
    "ghostnet": _ghostnet_spec,
    "repghost": _ghostnet_spec,
    "mobilenet_v2": _mobilenet_v2_spec,
}


@dataclass(frozen=True)
class _BottleneckBuilder:
    """Builds the specification of one bottleneck.

    Attributes:
        architecture: The network's table.
        name: Prefix of its parameters.
        in_channels: Channels of its input.
        block: Its row of the architecture table.
        reduction: Side of the image over side of its input.
    """

    architecture: Architecture
    name: str
    in_channels: int
    block: Block
    reduction: int

    def build(self) -> BottleneckSpec:
        block = self.block
        strided = block.stride > 1
        reshaped = strided or self.in_channels != block.out_channels
        expansion = block.expansion_channels
        ghost1 = self._ghost_module("ghost1", self.in_channels, expansion)
        if block.attention:
            ghost1 = ghost1._replace(attention=self._attention())
        ghost2 = self._ghost_module("ghost2", expansion, block.out_channels, block.stride)
        return BottleneckSpec(
            self.name,
            _activated(ghost1, self.architecture.activation),
            self._downsampling() if strided else None,
            self._squeeze_excite() if block.se_channels else None,
            ghost2,
            self._shortcut() if reshaped else None,
        )

    def _ghost_module(
        self, name: str, in_channels: int, out_channels: int, stride_before: int = 1
    ) -> GhostModuleSpec:
        """Specify a Ghost or RepGhost module without its activation."""
        concatenated = self.architecture.family == "ghostnet"
        channels = out_channels // 2 if concatenated else out_channels
        reduction = self.reduction * stride_before
        primary = self._pointwise(f"{name}.primary_conv", in_channels, channels, reduction)
        cheap = self._depthwise(f"{name}.cheap_operation", channels, 3)._replace(
            reduction=reduction
        )
        if concatenated:
            primary, cheap = self._branched(primary), self._branched(cheap, skip=True)
        else:
            cheap = _with_fusion(cheap, f"{self.name}.{name}.fusion_bn", self.architecture.form)
        return GhostModuleSpec(primary, cheap, is_concatenated=concatenated)

    def _downsampling(self) -> LayerSpec:
        block = self.block
        layer = self._depthwise("dw", block.expansion_channels, block.kernel_size, block.stride)
        return self._branched(layer) if self.architecture.family == "ghostnet" else layer

    def _branched(self, layer: LayerSpec, *, skip: bool = False) -> LayerSpec:
        """Give a layer the branches of GhostNetV3, or the bias that they merge into."""
        if self.architecture.form == "plain":
            return layer
        merged = layer._replace(norm=None)
        if self.architecture.form == "merged":
            return merged
        owner = layer.name.removesuffix(".conv")
        branches = [_renamed(layer, f"{owner}.branches.{index}") for index in range(PARALLEL)]
        if layer.kind == "depthwise":
            branches.append(_renamed(layer, f"{owner}.scale")._replace(kernel_size=1))
        if skip:
            branches.append(_identity(layer, f"{owner}.skip"))
        return merged._replace(branches=tuple(branches))

    def _attention(self) -> AttentionSpec:
        channels = self.block.expansion_channels
        depthwise = LayerSpec("", channels, channels, kind="depthwise")
        return AttentionSpec(
            self._gate(0, LayerSpec("", self.in_channels, channels)),
            self._gate(1, depthwise._replace(kernel_size=(1, 5))),
            self._gate(2, depthwise._replace(kernel_size=(5, 1))),
            self.architecture.upsampling,
        )

    def _gate(self, index: int, layer: LayerSpec) -> LayerSpec:
        """Give a layer of the attention its names and the size of its output."""
        attention = ATTENTIONS[self.architecture.upsampling]
        layer = _renamed(layer, f"{self.name}.ghost1.{attention}.{index}")
        return layer._replace(reduction=self.reduction, pooling=2)

    def _squeeze_excite(self) -> SqueezeExciteSpec:
        channels, reduced = self.block.expansion_channels, self.block.se_channels
        return SqueezeExciteSpec(
            LayerSpec(f"{self.name}.se.conv_reduce", channels, reduced, activation="relu"),
            LayerSpec(f"{self.name}.se.conv_expand", reduced, channels),
        )

    def _shortcut(self) -> ShortcutSpec:
        block, channels = self.block, self.in_channels
        reduction = self.reduction * block.stride
        return ShortcutSpec(
            self._depthwise("shortcut.0", channels, block.kernel_size, block.stride),
            self._pointwise("shortcut.1", channels, block.out_channels, reduction),
        )

    def _pointwise(
        self, name: str, in_channels: int, out_channels: int, reduction: int
    ) -> LayerSpec:
        name = f"{self.name}.{name}"
        return LayerSpec(
            f"{name}.conv", in_channels, out_channels, norm=f"{name}.bn", reduction=reduction
        )

    def _depthwise(self, name: str, channels: int, kernel_size: int, stride: int = 1) -> LayerSpec:
        name = f"{self.name}.{name}"
        return LayerSpec(
            f"{name}.conv",
            channels,
            channels,
            kernel_size,
            stride,
            kind="depthwise",
            norm=f"{name}.bn",
            reduction=self.reduction * stride,
        )


def _activated(module: GhostModuleSpec, activation: Activation) -> GhostModuleSpec:
    """Apply an activation after both layers of a Ghost module."""
    return module._replace(
        primary=module.primary._replace(activation=activation),
        cheap=module.cheap._replace(activation=activation),
    )


def _renamed(layer: LayerSpec, owner: str) -> LayerSpec:
    return layer._replace(name=f"{owner}.conv", norm=f"{owner}.bn")


def _identity(layer: LayerSpec, norm: str) -> LayerSpec:
    """Return a branch that is nothing but a batch norm of the layer's input."""
    return layer._replace(name=norm, norm=norm, kind="identity", kernel_size=1)


def _with_fusion(layer: LayerSpec, norm: str, form: Form) -> LayerSpec:
    """Give a RepGhost module's second layer its two branches, or the bias that they merge into."""
    merged = layer._replace(norm=None)
    if form == "merged":
        return merged
    return merged._replace(branches=(layer, _identity(layer, norm)))


def layers_of(part: object) -> Iterator[LayerSpec]:
    """Yield the layers of a specification, depth first."""
    if isinstance(part, LayerSpec):
        yield part
    elif isinstance(part, tuple):
        for child in part:
            yield from layers_of(child)
