"""Preprocessing: from an image file to the normalized array that the networks take.

Decode (upright, any depth and colors to sRGB), resize the short side (bicubic), crop the center,
normalize: the evaluation protocol of the released checkpoints and of timm's GhostNet.
"""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from ghostnet.data import camera_raw
from ghostnet.data.archives import open_image, problem_of
from ghostnet.data.colors import to_srgb
from ghostnet.data.depth import eight_bits
from ghostnet.data.image_formats import FORMATS, HEAD_BYTES, identify, missing
from ghostnet.data.orientation import exif_orientation, hidden_orientation, upright
from ghostnet.errors import ImageError

MEAN = np.array([0.485, 0.456, 0.406], np.float32)
STD = np.array([0.229, 0.224, 0.225], np.float32)
"""Mean and standard deviation of ImageNet's red, green and blue on [0, 1]."""

SCALE = (1 / (255 * STD)).reshape(3, 1, 1)
OFFSET = (-MEAN / STD).reshape(3, 1, 1)
"""Normalization of a channel value of 0 to 255: ``value * SCALE + OFFSET``."""

MAX_PIXELS = 100_000_000
MAX_ASPECT = 50
"""Larger or narrower images are refused: decoding or resizing them could exhaust memory."""

DECODED_SHARE = 2
"""Least ratio of a short side as decoded to the length it is resized to; see docs/scaling.md."""


Content: TypeAlias = bytes | bytearray | memoryview
"""The bytes of an image file."""


def decode(
    source: Path | Content, short_side: int | None = None, name: str | None = None
) -> Image.Image:
    """Decode an image file, or its bytes, to an upright RGB image.

    Args:
        source: The file, which may be ``ARCHIVE/NAME``, or its content.
        short_side: Length that the short side is going to be resized to, in pixels. A JPEG image
            is then decoded at a half, a quarter or an eighth of its size, as long as its short
            side stays `DECODED_SHARE` times as long.
        name: What errors call the image; by default, its path.

    Raises:
        ImageError: The file is not an image, is truncated, or is too large to decode safely.
    """
    name = name or _name(source)
    with read_header(source, name) as image:
        if short_side is not None:
            reduce_early(image, short_side)
        return upright_rgb(image, name)


@contextmanager
def read_header(source: Path | Content, name: str | None = None) -> Iterator[Image.Image]:
    """Read the header of an image file, or of its bytes; the file is open until the block ends.

    Args:
        source: The file, or its content.
        name: As for `decode`.

    Raises:
        ImageError: The file is not an image, or the block fails to decode it.
    """
    name = name or _name(source)
    if isinstance(source, Path) and source.suffix.lower() in camera_raw.SUFFIXES:
        raise ImageError(f"{name}: {camera_raw.REASON}")
    try:
        opened = io.BytesIO(source) if isinstance(source, Content) else open_image(source)
        with opened as file, _open(file, name) as image:
            yield image
    except ImageError:
        raise
    except Image.DecompressionBombError as error:
        raise ImageError(f"{name}: too large to decode safely ({error})") from error
    except UnidentifiedImageError as error:
        problem = isinstance(source, Path) and problem_of(source)
        kinds = f"not an image ({', '.join(FORMATS)})"
        raise ImageError(f"{name}: {problem or kinds}") from error
    except FileNotFoundError as error:
        raise ImageError(f"{name}: there is no such file") from error
    except Exception as error:  # Pillow's parsers raise almost anything on broken bytes
        reason = getattr(error, "strerror", None) or error
        raise ImageError(f"{name}: cannot be decoded ({reason})") from error


def reduce_early(image: Image.Image, short_side: int) -> None:
    """Have a JPEG image decoded at a part of its size that `decode` allows for a short side."""
    image.draft(None, (DECODED_SHARE * short_side, DECODED_SHARE * short_side))


def _name(source: Path | Content) -> str:
    return "these bytes" if isinstance(source, Content) else str(source)


def upright_rgb(image: Image.Image, name: str) -> Image.Image:
    """Turn an image upright by its EXIF orientation, and convert it to sRGB of 8 bits a channel.

    Values of any depth are scaled to 8 bits, colors with an embedded profile are converted, and
    what is transparent becomes white.

    Args:
        image: Image in any mode, whose pixels need not be loaded yet.
        name: What errors call it.

    Raises:
        ImageError: It cannot be decoded, or is too large to decode safely.
    """
    _check_size(image, name)
    try:
        if reason := camera_raw.refusal(image):
            raise ImageError(f"{name}: {reason}")
        hidden = hidden_orientation(image)
        pixels = eight_bits(image, name)
        return to_srgb(upright(pixels, hidden or exif_orientation(image)))
    except ImageError:
        raise
    except Exception as error:  # Pillow's decoders raise almost anything on broken bytes
        raise ImageError(f"{name}: cannot be decoded ({error})") from error


def _open(file: IO[bytes], name: str) -> Image.Image:
    """Read the header of an image in a format that can be decoded here."""
    format = identify(file.read(HEAD_BYTES))
    file.seek(0)
    if format and missing(format):
        raise ImageError(f"{name}: {missing(format)}")
    try:
        return Image.open(file, formats=(format, *FORMATS) if format else FORMATS)
    except UnidentifiedImageError as error:
        if format is None:
            raise
        raise ImageError(
            f"{name}: not an image that can be read: a {format} file that is damaged, or in an "
            "unusual layout; convert it to 8 bits a channel"
        ) from error


def _check_size(image: Image.Image, name: str) -> None:
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise ImageError(
            f"{name}: {width}×{height} are more than {MAX_PIXELS:,} pixels; make a smaller copy"
        )
    if max(width, height) > MAX_ASPECT * min(width, height):
        raise ImageError(
            f"{name}: of {width}×{height} pixels, one side is more than {MAX_ASPECT} times the "
            "other; crop the image first"
        )


def normalize(image: Image.Image, out: NDArray[np.float32] | None = None) -> NDArray[np.float32]:
    """Normalize an RGB image by `MEAN` and `STD`.

    Args:
        image: RGB image.
        out: (3, height, width) float32 to write to; by default a new array.

    Returns:
        (3, height, width) float32.
    """
    pixels = np.asarray(image).transpose(2, 0, 1)
    out = np.multiply(pixels, SCALE, out=out, dtype=np.float32, order="C")
    out += OFFSET
    return out


@dataclass(frozen=True)
class Preprocess:
    """Map an RGB image to (3, image_size, image_size) float32, normalized by `MEAN` and `STD`.

    The short side is resized to 8/7 of ``image_size`` (256 for 224, 274 for 240) before the
    center is cropped.

    Attributes:
        image_size: Height and width of the result, in pixels.

    Examples:
        >>> from ghostnet.data.transforms import Preprocess, decode
        >>> Preprocess(224)(decode(Path("cat.jpg"))).shape
        (3, 224, 224)
    """

    image_size: int = 224

    @property
    def resize_size(self) -> int:
        """Length of the short side before the crop, in pixels."""
        return round(self.image_size * 8 / 7)

    def decode(self, source: Path | Content, name: str | None = None) -> Image.Image:
        """Decode an image file, or its bytes, at no larger a size than this needs.

        Raises:
            ImageError: As `ghostnet.data.transforms.decode`.
        """
        return decode(source, self.resize_size, name)

    def crop(self, image: Image.Image) -> Image.Image:
        """Resize the short side (bicubic) and crop the center square.

        Rows are resized first, then columns, with 8 bits in between, as Pillow does by itself
        before 13.0; newer versions start with the columns of tall images. Cropping between the two
        passes changes no pixel and saves a quarter of the time.
        """
        scale = self.resize_size / min(image.size)
        width, height = (
            self.resize_size if side == min(image.size) else int(side * scale)
            for side in image.size
        )
        left = round((width - self.image_size) / 2)
        top = round((height - self.image_size) / 2)
        wide = image.resize((width, image.height), Image.Resampling.BICUBIC)
        strip = wide.crop((left, 0, left + self.image_size, image.height))
        resized = strip.resize((self.image_size, height), Image.Resampling.BICUBIC)
        return resized.crop((0, top, self.image_size, top + self.image_size))

    def __call__(self, image: Image.Image) -> NDArray[Any]:
        """Preprocess an image."""
        batch = self.blank(1)
        self.put(image, batch[0])
        return batch.squeeze(0)

    def blank(self, count: int) -> NDArray[Any]:
        """Make a batch of ``count`` zeros, to be filled by `put`."""
        return np.zeros((count, 3, self.image_size, self.image_size), np.float32)

    def put(self, image: Image.Image, out: NDArray[Any]) -> None:
        """Preprocess an image into its place in a batch."""
        normalize(self.crop(image), out=out)

    def dataset_operation(self, encoded: NDArray[np.uint8]) -> NDArray[Any]:
        """Preprocess the bytes of a file, for the ``map`` of ``mindspore.dataset``.

        Args:
            encoded: Content of an image file, as a uint8 vector.

        Examples:
            >>> ImageFolderDataset(folder).map(Preprocess().dataset_operation, "image")
        """
        return self(self.decode(encoded.tobytes()))
