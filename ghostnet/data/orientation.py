"""Which way up an image is, by its metadata."""

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
"""Properties of a HEIC image by which its decoder turns it; EXIF then repeats them."""


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


def heif_orientation(image: Image.Image) -> int | None:
    """Return the EXIF orientation of a HEIC image that its decoder does not turn.

    Args:
        image: Image whose pixels are not loaded yet; pillow-heif hides its EXIF orientation.
    """
    orientation = image.info.get("original_orientation")
    if image.format != "HEIF" or not isinstance(orientation, int):
        return None
    return None if any(turn in _properties(content_of(image)) for turn in TURNS) else orientation


def _properties(content: bytes) -> bytes:
    """Return the box of a HEIC file that holds the properties of its images."""
    start = content.find(b"ipco")
    length = int.from_bytes(content[max(start - 4, 0) : max(start, 0)], "big")
    return content[start : start + length] if start > 0 else b""
