"""Architecture tables: all that tells one network from another, as data.

Sources: tables 1 and 7 of the paper (Han et al., CVPR 2020) for GhostNet-1x, the MindSpore model
zoo for GhostNet-600, Tang et al. (NeurIPS 2022) for the attention of GhostNetV2, Liu et al.
(arXiv:2404.11202) for the branches of GhostNetV3, Chen et al. (arXiv:2211.06088) for RepGhost,
table 2 of Sandler et al. (CVPR 2018) for MobileNetV2.
"""

from dataclasses import dataclass, replace
from itertools import accumulate
from operator import mul
from typing import Literal, NamedTuple, TypeAlias

from ghostnet.errors import ModelError

Activation: TypeAlias = Literal["relu", "relu6", "hard_swish"]

Family: TypeAlias = Literal["ghostnet", "repghost", "mobilenet_v2"]
"""What the blocks are made of: Ghost modules, RepGhost modules or inverted residuals."""

Form: TypeAlias = Literal["plain", "branched", "merged"]
"""Whether layers are single convolutions, sums of parallel branches to train, or these sums merged
into single convolutions for inference."""

Upsampling: TypeAlias = Literal["nearest", "bilinear"]
"""How the gates of GhostNetV2's attention grow to the size of the map. The authors' code and timm
take the nearest gate; the MindSpore model zoo interpolates, with aligned corners."""


class Block(NamedTuple):
    """One block: a row of an architecture table, in channels."""

    kernel_size: int
    expansion_channels: int
    out_channels: int
    se_channels: int
    stride: int
    attention: bool = False


@dataclass(frozen=True)
class Architecture:
    """The table of one network.

    Attributes:
        stem_channels: Output channels of the first convolution.
        blocks: Blocks of the family, in order.
        last_channels: Output channels of the pointwise convolution before pooling.
        head_channels: Features that the classifier reads; MobileNetV2 has no head before it, and so
            they are the last channels.
        activation: Activation of every layer that has one, but for squeeze-excite's.
        image_size: Height and width of the images that the network was designed for, in pixels.
        quantized: Whether its convolutions quantize their inputs and weights to 8 bits.
        family: The kind of network.
        form: How its layers stand for branches.
        upsampling: How the gates of its attention grow to the size of the map.
    """

    stem_channels: int
    blocks: tuple[Block, ...]
    last_channels: int
    head_channels: int
    activation: Activation
    image_size: int
    quantized: bool = False
    family: Family = "ghostnet"
    form: Form = "plain"
    upsampling: Upsampling = "nearest"

    @property
    def merged(self) -> "Architecture":
        """The architecture with its branches merged, for inference."""
        return replace(self, form="merged") if self.form == "branched" else self

    @property
    def attends(self) -> bool:
        """Whether any block has attention."""
        return any(block.attention for block in self.blocks)

    @property
    def min_side(self) -> int:
        """The least height and width of an image, in pixels: attention pools the smallest map."""
        if not self.attends:
            return 1
        reductions = accumulate((block.stride for block in self.blocks), mul, initial=2)
        attending = zip(reductions, self.blocks, strict=False)
        return max(reduction for reduction, block in attending if block.attention) + 1

    def check_image(self, height: int, width: int) -> None:
        """Check that attention can pool every map that it meets of an image.

        Args:
            height: Height of the image, in pixels.
            width: Its width.

        Raises:
            ModelError: The height or the width is below `min_side`.
        """
        if min(height, width) < self.min_side:
            raise ModelError(
                f"images of {height}×{width} pixels are too small for the attention of GhostNetV2 "
                f"and V3, which averages over 2×2 pixels of each map; use images of at least "
                f"{self.min_side}×{self.min_side} pixels"
            )

    @property
    def inputs_and_blocks(self) -> tuple[tuple[int, Block], ...]:
        """Pair the channels of each block's input with the block."""
        outputs = (block.out_channels for block in self.blocks)
        return tuple(zip((self.stem_channels, *outputs), self.blocks, strict=False))


GHOSTNET_1X = Architecture(
    stem_channels=16,
    blocks=(
        Block(3, 16, 16, 0, 1),
        Block(3, 48, 24, 0, 2),
        Block(3, 72, 24, 0, 1),
        Block(5, 72, 40, 20, 2),
        Block(5, 120, 40, 32, 1),
        Block(3, 240, 80, 0, 2),
        Block(3, 200, 80, 0, 1),
        Block(3, 184, 80, 0, 1),
        Block(3, 184, 80, 0, 1),
        Block(3, 480, 112, 120, 1),
        Block(3, 672, 112, 168, 1),
        Block(5, 672, 160, 168, 2),
        Block(5, 960, 160, 0, 1),
        Block(5, 960, 160, 240, 1),
        Block(5, 960, 160, 0, 1),
        Block(5, 960, 160, 240, 1),
    ),
    last_channels=960,
    head_channels=1280,
    activation="relu",
    image_size=224,
)

GHOSTNET_NOSE_1X = replace(
    GHOSTNET_1X, blocks=tuple(block._replace(se_channels=0) for block in GHOSTNET_1X.blocks)
)

GHOSTNET_INT8_1X = replace(GHOSTNET_1X, quantized=True)

GHOSTNETV2_1X = replace(
    GHOSTNET_1X,
    blocks=(
        *GHOSTNET_1X.blocks[:2],
        *(block._replace(attention=True) for block in GHOSTNET_1X.blocks[2:]),
    ),
)

GHOSTNETV2_ZOO_1X = replace(GHOSTNETV2_1X, upsampling="bilinear")

GHOSTNETV3_1X = replace(GHOSTNETV2_1X, form="branched")

REPGHOSTNET_1X = replace(
    GHOSTNET_1X,
    blocks=(
        Block(3, 8, 16, 0, 1),
        Block(3, 24, 24, 0, 2),
        Block(3, 36, 24, 0, 1),
        Block(5, 36, 40, 12, 2),
        Block(5, 60, 40, 16, 1),
        Block(3, 120, 80, 0, 2),
        Block(3, 100, 80, 0, 1),
        Block(3, 120, 80, 0, 1),
        Block(3, 120, 80, 0, 1),
        Block(3, 240, 112, 60, 1),
        Block(3, 336, 112, 84, 1),
        Block(5, 336, 160, 84, 2),
        Block(5, 480, 160, 0, 1),
        Block(5, 480, 160, 120, 1),
        Block(5, 480, 160, 0, 1),
        Block(5, 480, 160, 120, 1),
    ),
    family="repghost",
    form="branched",
)

# The width of 1.75 is multiplied in: output channels in multiples of 4, expansion in multiples of
# 8, squeeze-excite a tenth of the expansion in multiples of 8.
GHOSTNET_600M = Architecture(
    stem_channels=28,
    blocks=(
        Block(3, 32, 28, 8, 1),
        Block(3, 88, 44, 8, 2),
        Block(3, 136, 44, 16, 1),
        Block(5, 136, 72, 16, 2),
        Block(3, 216, 72, 24, 1),
        Block(3, 216, 72, 24, 1),
        Block(3, 432, 140, 40, 2),
        Block(3, 352, 140, 32, 1),
        Block(3, 352, 140, 32, 1),
        Block(3, 352, 140, 32, 1),
        Block(3, 840, 196, 88, 1),
        Block(3, 1176, 196, 120, 1),
        Block(3, 1176, 196, 120, 1),
        Block(5, 1176, 280, 120, 2),
        *(Block(3, 1680, 280, 168, 1),) * 5,
    ),
    last_channels=1680,
    head_channels=1400,
    activation="hard_swish",
    image_size=240,
)

MOBILENET_V2_1X = Architecture(
    stem_channels=32,
    blocks=(
        Block(3, 32, 16, 0, 1),
        Block(3, 96, 24, 0, 2),
        Block(3, 144, 24, 0, 1),
        Block(3, 144, 32, 0, 2),
        *(Block(3, 192, 32, 0, 1),) * 2,
        Block(3, 192, 64, 0, 2),
        *(Block(3, 384, 64, 0, 1),) * 3,
        Block(3, 384, 96, 0, 1),
        *(Block(3, 576, 96, 0, 1),) * 2,
        Block(3, 576, 160, 0, 2),
        *(Block(3, 960, 160, 0, 1),) * 2,
        Block(3, 960, 320, 0, 1),
    ),
    last_channels=1280,
    head_channels=1280,
    activation="relu6",
    image_size=224,
    family="mobilenet_v2",
)


def make_divisible(channels: float, divisor: int) -> int:
    """Round to the nearest multiple of ``divisor``, but never below 90 % of ``channels``."""
    rounded = max(divisor, int(channels + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * channels else rounded


def scale_width(architecture: Architecture, width: float) -> Architecture:
    """Multiply the channels of an architecture by ``width``, in multiples of 4.

    Squeeze-excite keeps a quarter of the expansion; the head keeps its channels.

    Raises:
        ValueError: The width is not above 0.
    """
    if width <= 0:
        raise ValueError(f"width: {width} is not above 0")
    if width == 1.0:
        return architecture

    def scaled(channels: int) -> int:
        return make_divisible(channels * width, 4)

    def scaled_block(block: Block) -> Block:
        expansion = scaled(block.expansion_channels)
        return block._replace(
            expansion_channels=expansion,
            out_channels=scaled(block.out_channels),
            se_channels=make_divisible(expansion // 4, 4) if block.se_channels else 0,
        )

    return replace(
        architecture,
        stem_channels=scaled(architecture.stem_channels),
        blocks=tuple(scaled_block(block) for block in architecture.blocks),
        last_channels=scaled(architecture.last_channels),
    )
