"""Colors as a screen shows them: in sRGB, on white where an image is transparent."""

import io
import warnings
from collections.abc import Callable
from functools import cache, lru_cache
from typing import TypeAlias

import numpy as np
from PIL import Image, ImageCms

Convert: TypeAlias = Callable[[Image.Image], Image.Image]

PROFILE_MODES = {"RGB": "RGB", "GRAY": "L", "CMYK": "CMYK", "Lab": "LAB"}
"""Pillow's mode of the images that a profile describes, by the profile's color space."""

COLOR_MODES = {"1": "L", "L": "L", "CMYK": "CMYK", "LAB": "LAB"}
"""The mode of the colors of an image without transparency, where it is not RGB."""

GRAY_WITH_ALPHA = ("L", "La", "LA", "1")

SRGB_GAMMA = 1 / 2.2
NEAR_SRGB = 0.05
"""The gamma by which PNG files state sRGB, and the share by which others are still taken as it."""

SAME = 2
"""Largest difference, of 255, of colors that need no conversion."""


def to_srgb(image: Image.Image) -> Image.Image:
    """Convert an image of 8 bits a channel to sRGB, and put it on white where it is transparent.

    An embedded profile says what the colors mean, or else the gamma of a PNG file. Without either,
    or with a profile that is broken or of another color space, they are taken as sRGB.
    """
    if not image.has_transparency_data:
        return _colors(image)
    image = image.convert("LA" if image.mode in GRAY_WITH_ALPHA else "RGBA")
    alpha = image.getchannel("A")
    colors = _colors(image.convert(image.mode[:-1]))
    if alpha.getextrema() == (255, 255):
        return colors
    white = Image.new("RGB", image.size, "white")
    white.paste(colors, mask=alpha)
    return white


def _colors(image: Image.Image) -> Image.Image:
    """Convert an image without transparency."""
    profile, gamma = image.info.get("icc_profile"), image.info.get("gamma")
    mode = COLOR_MODES.get(image.mode, "RGB")
    image = image if image.mode == mode else image.convert(mode)
    if gamma and not profile and "srgb" not in image.info:
        return _brightened(image.convert("RGB"), gamma)
    convert = _conversion(profile, mode) if profile else None
    if convert:
        return convert(image)
    if mode == "LAB":
        lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB"))
        return _transform(lab, mode).apply(image)
    return image if mode == "RGB" else image.convert("RGB")


def _brightened(image: Image.Image, gamma: float) -> Image.Image:
    """Convert an RGB image whose values are light to the power of gamma."""
    if abs(gamma / SRGB_GAMMA - 1) <= NEAR_SRGB:
        return image
    light = np.linspace(0, 1, 256) ** (1 / gamma)
    curve = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    return image.point([round(value) for value in 255 * curve] * 3)


@lru_cache(maxsize=8)
def _conversion(profile: bytes, mode: str) -> Convert | None:
    """Return what converts images with a profile; None where their colors are sRGB anyway."""
    try:
        opened = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        space = opened.profile.xcolor_space.strip()
        wanted = PROFILE_MODES.get(space)
        if wanted is None or (wanted != mode and (wanted, mode) != ("RGB", "L")):
            raise ValueError(f"it is for {space}, and the image has the mode {mode}")
        transform = _transform(opened, wanted)
    except Exception as error:  # Pillow raises almost anything on broken bytes
        warnings.warn(
            f"an embedded color profile does not apply and is ignored ({error})", stacklevel=1
        )
        return None
    if _is_srgb(transform):
        return None
    return lambda image: transform.apply(image if wanted == mode else image.convert(wanted))


def _transform(profile: ImageCms.ImageCmsProfile, mode: str) -> ImageCms.ImageCmsTransform:
    return ImageCms.buildTransform(profile, _srgb(), mode, "RGB")


@cache
def _srgb() -> ImageCms.ImageCmsProfile:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))


def _is_srgb(transform: ImageCms.ImageCmsTransform) -> bool:
    """Whether a conversion changes no color visibly, as of the many profiles that are sRGB."""
    if transform.input_mode not in ("RGB", "L"):
        return False
    steps = np.linspace(0, 255, 18).astype(np.uint8)
    cube = np.stack(np.meshgrid(steps, steps, steps), -1).reshape(18, -1, 3)
    colors = Image.fromarray(cube if transform.input_mode == "RGB" else cube[..., 0])
    converted = np.asarray(transform.apply(colors)).astype(int)
    return bool(np.abs(converted - np.asarray(colors.convert("RGB"))).max() <= SAME)
