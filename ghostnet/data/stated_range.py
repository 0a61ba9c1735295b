"""The range of values that an image file states: which of them are black and white."""

import struct
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from ghostnet.data.tiff_fields import TAGS, tiff_fields
from ghostnet.data.wide_colors import PPM_DECODERS, is_cut, tiles

WHITE_IS_ZERO = 0
"""The photometric interpretation of a negative."""

WIDEST = 16
"""Bits of the widest integers that are usual."""

WHOLE_TYPES = (2**15 - 1, 2**16 - 1, 2**31 - 1, 2**32 - 1, float(np.finfo(np.float32).max))
"""Largest values of types: to state one of them says nothing about an image."""


class Range(NamedTuple):
    """The values that stand for black and for white."""

    low: float
    high: float

    def holds(self, low: float, high: float) -> bool:
        """Whether values from ``low`` to ``high`` lie within."""
        return self.low <= low and high <= self.high

    @property
    def bits(self) -> int | None:
        """The bits of the unsigned integers that have this range; None for other ranges."""
        values = int(self.high) + 1
        is_whole = self.low == 0 and self.high + 1 == values and values & (values - 1) == 0
        return values.bit_length() - 1 if is_whole else None


def stated_range(image: Image.Image, content: bytes) -> Range | None:
    """Return the range that the file of an image states, if it is narrower than its type.

    Args:
        image: Image whose pixels are not loaded yet.
        content: Content of the file, if it is a PNG file.
    """
    if image.format == "PPM":
        return _pgm_range(image)
    if image.format == "PNG":
        significant = (data[:1] for kind, data in _chunks(content) if kind == b"sBIT")
        return _range_of(int.from_bytes(next(significant, b""), "big"))
    tags = tiff_fields(image)
    high = _number(tags.get(TAGS["SMaxSampleValue"]), max)
    if high is None or high in WHOLE_TYPES:
        return _range_of(_number(tags.get(TAGS["BitsPerSample"]), max))
    low = _number(tags.get(TAGS["SMinSampleValue"]), min) or 0
    return Range(low, high) if low < high else None


def is_negative(image: Image.Image) -> bool:
    """Whether a TIFF file calls its lowest value white."""
    return tiff_fields(image).get(TAGS["PhotometricInterpretation"]) == WHITE_IS_ZERO


def _range_of(bits: float | None) -> Range | None:
    """Return the range of unsigned integers that are narrower than usual types."""
    return Range(0, (1 << int(bits)) - 1) if bits and bits < WIDEST else None


def _pgm_range(image: Image.Image) -> Range | None:
    """Return the range of gray values that Pillow has scaled from the one that the file states."""
    is_scaled = any(tile.codec_name in PPM_DECODERS for tile in tiles(image))
    return Range(0, (1 << WIDEST) - 1) if is_scaled and not is_cut(image) else None


def _number(value: Any, choose: Callable[[Any], Any]) -> float | None:
    """Return the one number of a field, or the chosen one of several."""
    return None if value is None else float(choose(np.ravel(value)))


def _chunks(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield the chunks before the pixels of a PNG file."""
    position, kind = 8, b""
    while position + 8 < len(content) and kind != b"IDAT":
        length, kind = struct.unpack_from(">I4s", content, position)
        yield kind, content[position + 8 : position + 8 + length]
        position += 12 + length
