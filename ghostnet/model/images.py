"""What people call an image: a file, its bytes, a Pillow image or an array."""

import io
import os
import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, TypeAlias, TypeGuard

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ghostnet.data.depth import eight_bit_pixels
from ghostnet.data.image_folder import holds_images, walk_images
from ghostnet.data.left_out import LeftOut
from ghostnet.data.remote import URL, read_remote
from ghostnet.data.transforms import OFFSET, SCALE, Preprocess, upright_rgb
from ghostnet.errors import ImageError

NORMALIZED_RANGE = float(OFFSET.min()) - 0.1, float((255 * SCALE + OFFSET).max()) + 0.1
"""Range of the values of normalized images, which rounding may exceed a little."""

THUMBNAIL = 160
"""Longest side of a thumbnail, in pixels."""

_loading = threading.Lock()
"""Held while Pillow reads the pixels of an image that another thread may read, too."""


@dataclass(frozen=True)
class ImageSource:
    """An image under the name that results give it.

    Attributes:
        name: Name of the image.
        source: One of

            - the path of an image file, which may be ``ARCHIVE/NAME``;
            - a URL, as text, or a `Future` of what is there;
            - the content of an image file, as bytes;
            - a Pillow image;
            - a (height, width, 3) array: an RGB image, of integers of any depth, or of floats
              from 0 to 1 or from 0 to 255; (height, width) is a gray one, and a fourth channel is
              its opacity;
            - a (3, image_size, image_size) array of floats: an image that `Preprocess` has
              normalized. Values that all lie between 0 and 1 are refused, since they are most
              likely not normalized.
    """

    name: str
    source: Any

    def put(self, preprocess: Preprocess, place: NDArray[Any]) -> None:
        """Preprocess the image into its place in a batch.

        Raises:
            ImageError: It cannot be decoded, or is nothing that this class takes.
        """
        if _is_normalized(self.source):
            np.copyto(place, self._checked(self.source, place.shape))
        else:
            preprocess.put(self.decode(preprocess), place)

    def decode(self, preprocess: Preprocess) -> Image.Image:
        """Return the image upright in RGB, at no smaller a size than preprocessing needs.

        Raises:
            ImageError: As `put`.
        """
        match self.source:
            case str() as url if URL.match(url):
                return preprocess.decode(read_remote(url), self.name)
            case Future() as download:
                return preprocess.decode(download.result(), self.name)
            case str() | os.PathLike() as path:
                return preprocess.decode(Path(path))
            case bytes() | bytearray() | memoryview() as content:
                return preprocess.decode(content)
            case Image.Image() as image:
                with _loading:
                    return upright_rgb(image, self.name)
            case np.ndarray() as array if array.dtype.kind in "uif":
                return upright_rgb(self._from_array(array), self.name)
        raise ImageError(
            f"{self.name}: {_described(self.source)} is not an image. Pass a path, bytes, a Pillow "
            "image, a (height, width, 3) array in RGB, or a normalized (3, size, size) array of "
            "floats."
        )

    def crop(self, preprocess: Preprocess) -> Image.Image:
        """Return what the network sees of the image, in RGB.

        Raises:
            ImageError: As `put`.
        """
        if _is_normalized(self.source):
            size = preprocess.image_size
            return _denormalized(self._checked(self.source, (3, size, size)))
        return preprocess.crop(self.decode(preprocess))

    def thumbnail(self) -> bytes | None:
        """Return a small JPEG image, or None where the image cannot be decoded."""
        try:
            if _is_normalized(self.source):
                image = _denormalized(self.source)
            else:
                image = self.decode(Preprocess(THUMBNAIL))
        except (ImageError, ValueError):
            return None
        image.thumbnail((THUMBNAIL, THUMBNAIL))
        content = io.BytesIO()
        image.save(content, "JPEG", quality=80)
        return content.getvalue()

    def _from_array(self, array: NDArray[Any]) -> Image.Image:
        if not _is_channels_last(array) or 0 in array.shape:
            raise ImageError(
                f"{self.name}: an array must be an image of shape (height, width, 3), or "
                f"(height, width) if it is gray, but this one has shape {array.shape}."
            )
        if array.shape[2:] == (1,):
            array = array[..., 0]
        return Image.fromarray(np.ascontiguousarray(eight_bit_pixels(array, self.name)))

    def _checked(self, array: NDArray[Any], shape: tuple[int, ...]) -> NDArray[Any]:
        if array.shape != shape:
            raise ImageError(
                f"{self.name}: an array of floats must be a normalized image of shape {shape}, but "
                f"this one has shape {array.shape}. Pass a (height, width, 3) array to have it "
                "resized and normalized."
            )
        low, high = float(array.min()), float(array.max())
        least, most = NORMALIZED_RANGE
        if not least <= low <= high <= most or 0 <= low <= high <= 1:
            raise ImageError(
                f"{self.name}: the values of this array lie between {low:g} and {high:g}, so it "
                "seems not to be normalized. Pass a (height, width, 3) array, or normalize with "
                "`model.preprocess(image)`."
            )
        return array


ImageLike: TypeAlias = (
    str
    | os.PathLike[str]
    | bytes
    | bytearray
    | memoryview
    | IO[bytes]
    | Image.Image
    | NDArray[Any]
    | ImageSource
)
"""What stands for an image; see `ImageSource`."""


def is_one(images: object) -> TypeGuard[ImageLike]:
    """Whether this is one image, rather than a folder, an archive, a batch or another iterable."""
    match images:
        case str() | os.PathLike():
            return not holds_images(images)
        case np.ndarray():
            return images.ndim != 4
    kinds = (bytes, bytearray, memoryview, Image.Image, ImageSource)
    return isinstance(images, kinds) or hasattr(images, "read") or not isinstance(images, Iterable)


def named(images: Iterable[Any]) -> Iterator[ImageSource]:
    """Yield images under their names, and those below a folder or in an archive in its place.

    Args:
        images: What stands for images, possibly without end.
    """
    for number, image in enumerate(images):
        match image:
            case ImageSource():
                yield image
            case str() | os.PathLike():
                files = walk_images([os.fspath(image)], LeftOut())
                yield from (ImageSource(name, name) for name in files)
            case _ if hasattr(image, "read"):
                yield ImageSource(str(getattr(image, "name", f"image {number}")), image.read())
            case _:
                name = getattr(image, "filename", "") or f"image {number}"
                yield ImageSource(str(name), image)


def _is_normalized(source: object) -> TypeGuard[NDArray[Any]]:
    """Whether this is an array in the layout of the network's input."""
    return (
        isinstance(source, np.ndarray)
        and source.dtype.kind == "f"
        and not _is_channels_last(source)
    )


def _is_channels_last(array: NDArray[Any]) -> bool:
    """Whether an array has the layout of an image: channels last, or none."""
    return array.ndim == 2 or (array.ndim == 3 and array.shape[2] in (1, 3, 4))


def _denormalized(array: NDArray[Any]) -> Image.Image:
    pixels = ((array - OFFSET) / SCALE).round().clip(0, 255).astype(np.uint8)
    return Image.fromarray(np.ascontiguousarray(pixels.transpose(1, 2, 0)))


def _described(source: object) -> str:
    if isinstance(source, np.ndarray):
        return f"an array of {source.dtype}"
    return f"an object of type {type(source).__name__}"
