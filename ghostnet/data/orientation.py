"""Which way up an image is, by its metadata."""

import re

from PIL import ExifTags, Image

from ghostnet.data.image_formats import content_of

TRANSPOSES = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""How to turn an image upright, by its EXIF orientation."""

TURNS = (b"irot", b"imir")
"""Properties of a HEIC or AVIF image by which its decoder turns it; EXIF then repeats them."""

AVIF_EXIF = re.compile(rb"Exif\0\0(?:MM\0\*|II\*\0)")
"""The beginning of EXIF data in an AVIF file."""


def upright(image: Image.Image, orientation: int | None) -> Image.Image:
    """Turn an image upright by its orientation; an unknown one does not matter."""
    transpose = TRANSPOSES.get(orientation) if orientation else None
    return image if transpose is None else image.transpose(transpose)


def exif_orientation(image: Image.Image) -> int | None:
    """Return the EXIF orientation; other metadata, however odd, does not matter."""
    try:
        orientation = image.getexif().get(ExifTags.Base.Orientation)
    except Exception:  # Pillow's parser raises almost anything on broken bytes
        return None
    return orientation if isinstance(orientation, int) else None


def hidden_orientation(image: Image.Image) -> int | None:
    """Return the EXIF orientation of a HEIC or AVIF image that its decoder does not turn.

    Args:
        image: Image whose pixels are not loaded yet; their decoders hide the orientation.
    """
    if image.format not in ("AVIF", "HEIF"):
        return None
    content = content_of(image)
    properties = _properties(content)
    if any(turn in properties for turn in TURNS):
        return None
    if image.format == "AVIF":
        return _avif_orientation(content)
    orientation = image.info.get("original_orientation")
    return orientation if isinstance(orientation, int) else None


def _avif_orientation(content: bytes) -> int | None:
    found = AVIF_EXIF.search(content)
    if found is None:
        return None
    exif = Image.Exif()
    exif.load(content[found.start() :])
    orientation = exif.get(ExifTags.Base.Orientation)
    return orientation if isinstance(orientation, int) else None


def _properties(content: bytes) -> bytes:
    """Return the box of a HEIC or AVIF file that holds the properties of its images."""
    start = content.find(b"ipco")
    length = int.from_bytes(content[max(start - 4, 0) : max(start, 0)], "big")
    return content[start : start + length] if start > 0 else b""
