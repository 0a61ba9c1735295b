"""Images that take far longer to decode than their size lets expect, known before they are."""

from PIL import Image

from ghostnet.data.transforms import Content
from ghostnet.errors import ImageError

PIXELS_IN_PYTHON = 640 * 480
"""Most pixels of a layout that Pillow decodes in Python, at up to 3 µs each."""

PIXELS_IN_SCANS = 10**9
"""Most pixels of a JPEG image, counted in each of its scans; 10 scans are usual."""

START_OF_SCAN = b"\xff\xda"


def refuse_slow(image: Image.Image, content: Content) -> None:
    """Refuse an image that would take more than a few seconds to decode.

    Args:
        image: The image, whose pixels are not loaded yet.
        content: Content of its file.

    Raises:
        ImageError: It would.
    """
    width, height = image.size
    codecs = {tile[0] for tile in getattr(image, "tile", ())}
    if width * height > PIXELS_IN_PYTHON and not codecs.isdisjoint(Image.DECODERS):
        raise ImageError(
            f"these bytes: a {image.format} image in a layout that is slow to decode may have at "
            f"most {PIXELS_IN_PYTHON:,} pixels, and this one has {width}×{height}; convert it to "
            "PNG"
        )
    scans = bytes(content).count(START_OF_SCAN) if "progressive" in image.info else 1
    if width * height * scans > PIXELS_IN_SCANS:
        raise ImageError(
            f"these bytes: {scans:,} scans of {width}×{height} pixels are slow to decode; save the "
            "image again, with fewer scans"
        )
