"""Camera raw files, whose first image is a thumbnail: they are refused, never labeled by it."""

from PIL import Image

from ghostnet.data.tiff_fields import TAGS, tiff_fields

SUFFIXES = frozenset(
    {
        *(".3fr", ".arw", ".cr2", ".cr3", ".crw", ".dcr", ".dng", ".erf", ".fff", ".gpr", ".iiq"),
        *(".kdc", ".mef", ".mos", ".mrw", ".nef", ".nrw", ".orf", ".pef", ".raf", ".rw2", ".rwl"),
        *(".sr2", ".srf", ".srw", ".x3f"),
    }
)
"""Suffixes of camera raw files, in lower case; most are TIFF files inside."""

REASON = "camera raw, which is not developed here; export it as JPEG, or extract its preview"

RAW_TAGS = {"DNGVersion": 50706, "TIFF/EPStandardID": 37398, "CFAPattern": 33422}
"""Fields by which a TIFF file is known to be raw, whatever its suffix."""

REDUCED = 1
"""Bit of the field NewSubfileType: the image is a smaller version of another one in the file."""


def refusal(image: Image.Image) -> str:
    """Say why an image as Pillow opens it is not the one that its file is about; empty if it is."""
    tags = tiff_fields(image)
    if any(tag in tags for tag in RAW_TAGS.values()):
        return REASON
    if tags.get(TAGS["NewSubfileType"], 0) & REDUCED and _has_others(image):
        return "a TIFF file that begins with a thumbnail; save the image itself as a file"
    return ""


def _has_others(image: Image.Image) -> bool:
    return TAGS["SubIFDs"] in tiff_fields(image) or getattr(image, "n_frames", 1) > 1
