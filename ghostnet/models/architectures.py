"""Architecture tables: all that tells one network from another, as data.

Sources: tables 1 and 7 of the paper (Han et al., CVPR 2020) for GhostNet-1x, the MindSpore model
zoo for GhostNet-600, table 2 of Sandler et al. (CVPR 2018) for MobileNetV2.
"""

from dataclasses import dataclass, replace
from typing import Literal, NamedTuple, TypeAlias

Activation: TypeAlias = Literal["relu", "relu6", "hard_swish"]

Family: TypeAlias = Literal["ghostnet", "mobilenet_v2"]
"""What the blocks are, Ghost bottlenecks or inverted residuals, and what the layers are called."""


class Block(NamedTuple):
    """One block: a row of an architecture table, in channels."""

    kernel_size: int
    expansion_channels: int
    out_channels: int
    se_channels: int
    stride: int


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
    """

    stem_channels: int
    blocks: tuple[Block, ...]
    last_channels: int
    head_channels: int
    activation: Activation
    image_size: int
    quantized: bool = False
    family: Family = "ghostnet"

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
        raise ValueError(f"width: expected a number above 0, found {width}")
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
