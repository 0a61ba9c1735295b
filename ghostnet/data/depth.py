"""Pixels of any depth, as 8 bits a channel: a network sees the image, not the unused bits.

A 16-bit file often holds 12 bits, and a 32-bit file 8. The depth is the one that the file states;
where it states none, the smallest usual one that holds the largest value.
"""

import re
import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ghostnet.data.image_formats import content_of
from ghostnet.data.stated_range import Range, is_negative, stated_range
from ghostnet.data.wide_colors import is_cut, whole_values
from ghostnet.errors import ImageError

DEPTHS = (8, 10, 12, 14, 16)
"""Usual depths of integers, in bits."""

COLOR_SPACE = ("icc_profile", "gamma", "srgb")
"""What Pillow knows about the color space of an image, by key of its ``info``."""

GRAY_MODES = re.compile(r"I|I;16.*|F")
"""Pillow's modes with more than 8 bits, all of which are gray."""


def eight_bits(image: Image.Image, name: str) -> Image.Image:
    """Return an image with 8 bits a channel, in a mode that `convert` understands.

    Args:
        image: Image in any mode, whose pixels need not be loaded yet.
        name: What errors call it.

    Raises:
        ImageError: The range of its values is not known.
    """
    if GRAY_MODES.fullmatch(image.mode):
        return _gray(image, name)
    if is_cut(image):
        return _wide_colors(image, name)
    image.load()
    return image


def eight_bit_pixels(
    array: NDArray[Any], name: str, stated: Range | None = None
) -> NDArray[np.uint8]:
    """Scale an image to 8 bits; opacity, in a fourth channel, by itself.

    Args:
        array: (height, width) or (height, width, channels) integers or floats.
        name: What errors call it.
        stated: The range that its file states, if any.

    Raises:
        ImageError: The range of its values is not known.
    """
    if array.dtype == np.uint8:
        return array
    if array.ndim == 2 or array.shape[2] != 4:
        return _scaled(array, name, stated)
    parts = (array[..., :3], array[..., 3:])
    return np.concatenate([_scaled(part, name, stated) for part in parts], axis=2)


def _scaled(values: NDArray[Any], name: str, stated: Range | None) -> NDArray[np.uint8]:
    """Scale values by the range that is stated, or else by the narrowest usual one."""
    low, high = float(values.min()), float(values.max())
    is_float = values.dtype.kind == "f"
    if stated and stated.holds(low, high):
        if not is_float and stated.bits and stated.bits >= DEPTHS[0]:
            return _shifted(values, stated.bits)
        scaled = values.astype(np.float32)
        scaled -= np.float32(stated.low)
        scaled *= np.float32(255 / (stated.high - stated.low))
        return _rounded(scaled)
    if is_float and low >= 0 and high <= 255:
        return _rounded(values * (255 if high <= 1 else 1))
    depth = next((bits for bits in DEPTHS if low >= 0 and high < 1 << bits), None)
    if depth is None:
        raise ImageError(
            f"{name}: its values lie between {low:g} and {high:g}; integers of up to 16 bits, and "
            "floats from 0 to 1 or from 0 to 255, can be read, so convert the image to one of them"
        )
    if depth < DEPTHS[-1]:
        warnings.warn(
            f"some images hold values of {depth} bits in a wider type and do not say so; they are "
            f"read as {depth}-bit images",
            stacklevel=1,
        )
    return _rounded(values / (1 << depth - 8)) if is_float else _shifted(values, depth)


def _shifted(values: NDArray[Any], depth: int) -> NDArray[np.uint8]:
    """Return the 8 high bits of integers."""
    high: NDArray[np.uint8] = np.right_shift(values, depth - 8).astype(np.uint8)
    return high


def _rounded(values: NDArray[Any]) -> NDArray[np.uint8]:
    rounded = np.rint(values)
    np.clip(rounded, 0, 255, out=rounded)
    pixels: NDArray[np.uint8] = rounded.astype(np.uint8)
    return pixels


def _gray(image: Image.Image, name: str) -> Image.Image:
    """Scale a gray image."""
    stated = stated_range(image, content_of(image) if image.format == "PNG" else b"")
    values = np.asarray(image)
    pixels = eight_bit_pixels(values, name, stated)
    return _replaced(image, 255 - pixels if is_negative(image) else pixels, values[..., None])


def _wide_colors(image: Image.Image, name: str) -> Image.Image:
    """Return the high bytes of 16-bit colors, or the values where those bytes say too little."""
    content = content_of(image)
    stated = stated_range(image, content)
    high = np.asarray(image)
    is_enough = high[..., :3].max() > 1 << DEPTHS[-2] - 8  # more than 14 bits are in use
    if is_enough and "transparency" not in image.info:
        return image
    values = whole_values(content, str(image.format), high)
    if values is None:
        raise ImageError(
            f"{name}: its 16-bit channels hold 14 bits or fewer, which cannot be read in this "
            "layout; convert the image to 8 bits a channel"
        )
    pixels = high if is_enough else eight_bit_pixels(values, name, stated)
    return _replaced(image, pixels, values)


def _replaced(image: Image.Image, pixels: NDArray[np.uint8], values: NDArray[Any]) -> Image.Image:
    """Return an image of 8 bits in the place of a deeper one.

    Args:
        image: The deeper image; its color space stays, its transparent value becomes a mask.
        pixels: The result.
        values: (height, width, channels) values of the deeper image.
    """
    replaced = Image.fromarray(pixels)
    replaced.info = {key: image.info[key] for key in COLOR_SPACE if key in image.info}
    clear = image.info.get("transparency")
    if clear is not None:
        opaque = (values != np.asarray(clear)).any(2)
        replaced.putalpha(Image.fromarray(opaque.astype(np.uint8) * 255))
    return replaced
