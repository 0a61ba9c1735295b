"""The fields of TIFF files, by name."""

from typing import Any, TypeAlias

from PIL import Image, TiffTags

TAGS = {info.name: tag for tag, info in TiffTags.TAGS_V2.items()}
"""Numbers of the fields."""

Fields: TypeAlias = dict[int, Any]


def tiff_fields(image: Image.Image) -> Fields:
    """Return the fields of a TIFF file by number; none for other files."""
    return getattr(image, "tag_v2", {})
