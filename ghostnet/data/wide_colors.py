"""Colors of 16 bits a channel, of which Pillow keeps the high bytes, with their low bytes."""

import re
import sys
from collections.abc import Sequence
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.ImageFile import ImageFile

CUT_MODE = re.compile(r"(?P<layout>RGB[AaX]?|LA);16(?P<order>[BLN])")
"""Pillow's raw modes that lose the low bytes of colors."""

SWAPPED_LAYOUTS = ("RGB", "RGBA", "RGBX")
"""Layouts that Pillow reads in either byte order, and does not compute with."""

OTHER_ORDER = {"B": "L", "L": "B", "N": "B" if sys.byteorder == "little" else "L"}
"""The byte order in which the low byte of a value takes the place of the high one."""

PPM_DECODERS = ("ppm", "ppm_plain")
WHOLE = 2**16 - 1
"""Pillow's decoders that scale PPM files, and the largest value of those that use all 16 bits."""


def is_cut(image: Image.Image) -> bool:
    """Whether Pillow is going to lose the low bytes of an image that is not loaded yet."""
    return any(_is_cut(tile) for tile in tiles(image))


def tiles(image: Image.Image) -> Sequence[Any]:
    """Return what Pillow is going to decode; nothing once it is loaded."""
    return getattr(image, "tile", ())


def whole_values(content: bytes, format: str, high: NDArray[np.uint8]) -> NDArray[np.uint16] | None:
    """Return (height, width, channels) values with all their bits.

    Args:
        content: Content of the file.
        format: Its format.
        high: The high bytes, which Pillow has read.

    Returns:
        None where Pillow cannot read the low bytes.
    """
    image = Image.open(BytesIO(content), formats=[format])
    assert isinstance(image, ImageFile)
    codec, _, offset, _ = image.tile[0]
    if codec == "ppm":
        return np.frombuffer(content, ">u2", high.size, offset).astype("u2").reshape(high.shape)
    swapped = [_swapped(tile) for tile in image.tile]
    if None in swapped:
        return None
    image.tile = swapped
    values = high.astype(np.uint16)
    values <<= 8
    values |= np.asarray(image)
    return values


def _is_cut(tile: Any) -> bool:
    is_whole_ppm = tile.codec_name in PPM_DECODERS and tile.args[1] == WHOLE
    return is_whole_ppm or CUT_MODE.fullmatch(_raw_mode(tile)) is not None


def _raw_mode(tile: Any) -> str:
    return tile.args if isinstance(tile.args, str) else str(next(iter(tile.args or ()), ""))


def _swapped(tile: Any) -> Any:
    """Return a tile that is decoded in the other byte order; None where there is no such way."""
    mode = CUT_MODE.fullmatch(_raw_mode(tile))
    if mode is None or mode["layout"] not in SWAPPED_LAYOUTS:
        return None
    raw_mode = f"{mode['layout']};16{OTHER_ORDER[mode['order']]}"
    args = raw_mode if isinstance(tile.args, str) else (raw_mode, *tile.args[1:])
    return tile._replace(args=args)
