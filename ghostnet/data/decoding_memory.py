"""How much memory an image takes while it is decoded, known from its header."""

from PIL import Image

from ghostnet.data.transforms import Content, reduce_early
from ghostnet.data.wide_colors import is_cut

MODES = {"1": 7, "L": 7, "P": 7, "RGB": 9, "CMYK": 13, "LAB": 13, "I": 15, "F": 22}
"""Most bytes a pixel of an image in each of Pillow's modes, up to the upright RGB image."""

DEEP_GRAY = 9
TRANSPARENT = 18
WIDE = 29
"""The same for gray images of 16 bits, whose modes have several names; for modes with
transparency; and for colors of 16 bits a channel."""

MASKED = 12
CONVERTED = 4
"""What a transparent color adds, a pixel, and what a color profile adds."""

DECODERS = {"BMP": 3, "TIFF": 8, "WEBP": 13, "AVIF": 13, "HEIF": 13}
"""What the decoder of a format keeps beside the image, a pixel."""

JPEG = ("JPEG", "MPO")
COEFFICIENT = 2
"""Bytes of each value that a JPEG decoder keeps of an image in several scans."""

START_OF_SCAN = 0xDA
WITHOUT_LENGTH = (0x01, *range(0xD0, 0xD8), 0xFF)
"""Markers in a JPEG file: the one of a scan, and those that no length follows."""

COPIES = 2
"""How often the content of a file is copied to decode it."""

STRIP = 8
"""Bytes that resizing takes for each pixel of the longer side and of the result's short side."""

FIXED = 8 * 2**20
"""What any image takes, such as for tables and metadata."""


def decoding_bytes(image: Image.Image, content: Content, short_side: int) -> int:
    """Return the most bytes that preprocessing an image takes, by its header.

    Args:
        image: The image, whose pixels are not loaded yet.
        content: Content of its file.
        short_side: Length that the short side is going to be resized to, in pixels.
    """
    scans = _coefficients(image, content)
    reduce_early(image, short_side)
    width, height = image.size
    resizing = STRIP * short_side * max(width, height)
    pixels = width * height * (_mode_bytes(image) + DECODERS.get(image.format or "", 0))
    return FIXED + COPIES * len(content) + scans + pixels + resizing


def _mode_bytes(image: Image.Image) -> int:
    """Return what an image takes for each pixel from its decoder to the upright RGB image."""
    if is_cut(image):
        most = WIDE
    elif image.mode.startswith("I;16"):
        most = DEEP_GRAY
    else:
        most = MODES.get(image.mode, TRANSPARENT)
    if "transparency" in image.info:
        most += MASKED
    if "icc_profile" in image.info or "gamma" in image.info:
        most += CONVERTED
    return most


def _coefficients(image: Image.Image, content: Content) -> int:
    """Return what a JPEG decoder keeps of a whole image in several scans, whatever its scale."""
    if image.format not in JPEG:
        return 0
    layers: int = getattr(image, "layers", 0)
    if "progressive" not in image.info and _layers_of_first_scan(content) == layers:
        return 0
    width, height = image.size
    return COEFFICIENT * layers * width * height


def _layers_of_first_scan(content: Content) -> int:
    """Return how many layers the first scan of a JPEG file has; 0 in an unusual layout."""
    position = 2
    while content[position : position + 1] == b"\xff" and position + 4 < len(content):
        marker = content[position + 1]
        if marker == START_OF_SCAN:
            return content[position + 4]
        if marker in WITHOUT_LENGTH:
            return 0
        position += 2 + int.from_bytes(content[position + 2 : position + 4], "big")
    return 0
