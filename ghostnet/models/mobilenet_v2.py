"""MobileNetV2-1x (Sandler et al., CVPR 2018, table 2), which hub cards compare GhostNet with."""

from collections.abc import Iterator
from typing import NamedTuple

from ghostnet.models.specs import LayerSpec

IMAGE_SIZE = 224

STEM_CHANNELS, LAST_CHANNELS = 32, 1280


class Stage(NamedTuple):
    """A row of the paper's table: inverted residuals alike but for the stride of the first."""

    expansion: int
    out_channels: int
    repeats: int
    stride: int


STAGES = (
    Stage(1, 16, 1, 1),
    Stage(6, 24, 2, 2),
    Stage(6, 32, 3, 2),
    Stage(6, 64, 4, 2),
    Stage(6, 96, 3, 1),
    Stage(6, 160, 3, 2),
    Stage(6, 320, 1, 1),
)


def layers(num_classes: int) -> Iterator[LayerSpec]:
    """Yield the layers of MobileNetV2-1x in order, from an image of 3 channels to the logits."""
    yield _convolution("stem", 3, STEM_CHANNELS, 2)._replace(kernel_size=3, stride=2)
    channels, reduction = STEM_CHANNELS, 2
    for number, stage in enumerate(STAGES):
        for repeat in range(stage.repeats):
            stride = stage.stride if repeat == 0 else 1
            name, hidden = f"stage{number}.{repeat}", channels * stage.expansion
            if stage.expansion > 1:
                yield _convolution(f"{name}.expand", channels, hidden, reduction)
            reduction *= stride
            depthwise = _convolution(f"{name}.depthwise", hidden, hidden, reduction)
            yield depthwise._replace(kernel_size=3, stride=stride, kind="depthwise")
            project = _convolution(f"{name}.project", hidden, stage.out_channels, reduction)
            yield project._replace(activation=None)
            channels = stage.out_channels
    yield _convolution("last", channels, LAST_CHANNELS, reduction)
    yield LayerSpec("classifier", LAST_CHANNELS, num_classes, kind="dense")


def _convolution(name: str, in_channels: int, out_channels: int, reduction: int) -> LayerSpec:
    """A pointwise convolution with batch norm and ReLU6."""
    return LayerSpec(
        name,
        in_channels,
        out_channels,
        norm=f"{name}.bn",
        activation="relu6",
        reduction=reduction,
    )
