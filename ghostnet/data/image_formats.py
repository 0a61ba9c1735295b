"""Formats of image files: how their first bytes tell them, and what decodes them."""

import re
from functools import cache

from PIL import Image

from ghostnet.data import camera_raw

FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
"""Formats that are always decoded, by Pillow's names; Pillow knows more, some by programs."""

CAMERA_RAW = "RAW"
"""Formats of cameras that are not TIFF files, or that tell what they are at once."""

HEAD_BYTES = 256
"""Length of the part of a file that tells its format."""

SIGNATURES = {
    CAMERA_RAW: rb"II\*\0.{4}CR|II[RU][OS\0]|MMOR|II\x1a\0\0\0HEAP|\0MRM|FOVb|FUJIFILMCCD-RAW"
    rb"|.{4}ftypcrx ",
    "BMP": rb"BM.{12}[\x0c\x10\x28\x34\x38\x40\x6c\x7c]\0\0\0",
    "GIF": rb"GIF8[79]a",
    "JPEG": rb"\xff\xd8\xff",
    "PNG": rb"\x89PNG\r\n\x1a\n",
    "PPM": rb"P[1-6]\s+(?:#[^\n]*\n\s*)*\d+\s+(?:#[^\n]*\n\s*)*\d+\s",
    "TIFF": rb"II\*\0|MM\0\*|II\+\0|MM\0\+",
    "WEBP": rb"RIFF.{4}WEBP",
    "AVIF": rb".{4}ftyp(?:.{4})*?avi[fs]",
    "HEIF": rb".{4}ftyp(?:hei[cmsx]|hev[cmsx]|mif1|msf1)",
}
"""The beginning of a file of each format."""

_HEAD = re.compile(
    b"|".join(b"(?P<%s>%s)" % (name.encode(), sign) for name, sign in SIGNATURES.items()),
    re.DOTALL,
)


def identify(head: bytes) -> str | None:
    """Return the format of a file that begins with ``head``, or None if unsupported."""
    match = _HEAD.match(head)
    return match.lastgroup if match else None


@cache
def missing(format: str) -> str:
    """Say why a format cannot be decoded, such as for want of a package; empty if it can be."""
    if format == CAMERA_RAW:
        return camera_raw.REASON
    if format == "HEIF":
        try:
            from pillow_heif import register_heif_opener
        except ImportError:
            return "HEIC, which needs pillow-heif: pip install 'mindspore-ghostnet[heif]'"
        register_heif_opener()
    if format == "AVIF":
        from PIL import features

        if not features.check("avif"):
            return "AVIF, which needs a Pillow that was built with it, as its wheels are"
    return ""


def content_of(image: Image.Image) -> bytes:
    """Return the content of the file of an image; empty once the pixels are loaded."""
    file = getattr(image, "fp", None)
    if file is None:
        return b""
    position = file.tell()
    file.seek(0)
    content = bytes(file.read())
    file.seek(position)
    return content
