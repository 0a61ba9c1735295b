"""Labeled images in archives: by folders in an archive, or by labels beside the images."""

import json
from collections.abc import Callable, Container, Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from ghostnet.data.archives import open_archive, problem_of, split_path, version_of
from ghostnet.data.image_files import Walk
from ghostnet.data.left_out import LeftOut
from ghostnet.errors import DatasetError
from ghostnet.files import raising

LABEL_KEYS = ("label", "class", "cls")
"""Fields of a ``.json`` file that may hold the class of its image."""

MAX_LABEL_BYTES = 64 * 1024
"""Longest file that is read for a label."""


@dataclass(frozen=True)
class Shard:
    """The images of an archive.

    Attributes:
        archive: The archive.
        images: Their paths, in the order of the archive.
        labels: Classes by the names of the samples, without suffix; empty if there are none.
        left_out: What else there is.
    """

    archive: Path
    images: tuple[Path, ...]
    labels: dict[str, str]
    left_out: LeftOut

    def label_of(self, image: Path) -> str:
        """Return the class of an image; empty if it has none."""
        sample, _ = _sample(image.relative_to(self.archive).as_posix())
        return self.labels.get(sample, "")


def folders_in(root: Path) -> list[Path]:
    """List the folders of images in an archive.

    Args:
        root: ``ARCHIVE`` or ``ARCHIVE/FOLDER``; a folder with all others in it is entered.

    Raises:
        DatasetError: The archive cannot be read.
    """
    images = _below(root, read_shard(root).images)
    top = _entered(root, images)
    folders = {_first(image, top) for image in images} - {""}
    return [top / name for name in sorted(folders)]


def labeled_images(root: Path, left_out: LeftOut, name: str = "") -> list[tuple[Path, str]]:
    """List the images of an archive with their classes, in its order.

    A class is the content of a ``.cls`` file or a field of a ``.json`` file beside the image, as
    WebDataset has them; or else its folder in the archive; or else the content of a ``.txt`` file.

    Args:
        root: As for `folders_in`.
        left_out: Counts images without a class.
        name: Class of all images where none has one.

    Raises:
        DatasetError: The archive cannot be read.
    """
    shard = read_shard(root)
    images = _below(root, shard.images)
    top = _entered(root, images)
    labels = [shard.label_of(image) if shard.labels else _first(image, top) for image in images]
    if not any(labels):
        labels = [name] * len(images)
    for image in (image for image, label in zip(images, labels, strict=True) if not label):
        left_out.add(image, "without a class")
    return [(image, label) for image, label in zip(images, labels, strict=True) if label]


def read_shard(root: Path) -> Shard:
    """Read the images and the labels of an archive.

    Args:
        root: As for `folders_in`.

    Raises:
        DatasetError: It cannot be read.
    """
    found = split_path(root)
    if found is None:
        raise DatasetError(f"{root}: there is no such archive")
    return _read(found[0], version_of(found[0]))


@lru_cache(1)
def _read(archive: Path, version: tuple[int, ...]) -> Shard:
    left_out = LeftOut()
    images = tuple(Walk(archive, left_out).members(archive))
    if archive in images:
        raise DatasetError(f"{archive}: {problem_of(archive)}")
    has_folders = any(_first(image, archive) for image in images)
    kinds: dict[str, dict[str, str]] = {
        suffix: {} for suffix in READERS if not (has_folders and suffix == CAPTION)
    }
    with raising(DatasetError, f"{archive}: labels cannot be read"):
        for name, content in _texts(archive, kinds):
            sample, suffix = _sample(name)
            if label := READERS[suffix](content):
                kinds[suffix][sample] = label
    labels = next((found for found in kinds.values() if found), {})
    return Shard(archive, images, labels, left_out)


def _texts(archive: Path, suffixes: Container[str]) -> Iterator[tuple[str, bytes]]:
    """Yield the names and contents of files with labels."""
    opened = open_archive(archive)
    for member in opened.members():
        _, suffix = _sample(member.name)
        if not member.problem and suffix in suffixes and member.place.size <= MAX_LABEL_BYTES:
            yield member.name, opened.content_at(member.place, member.place.size)


def _text(content: bytes) -> str:
    """Return the class in a text; empty if there is none."""
    return content.decode("utf-8-sig", "replace").strip()


def _field(content: bytes) -> str:
    """Return the class in a JSON object; empty if there is none."""
    try:
        values = json.loads(content)
    except (ValueError, RecursionError):
        return ""
    if not isinstance(values, dict):
        return ""
    found = (values[key] for key in LABEL_KEYS if isinstance(values.get(key), str | int))
    return str(next(found, "")).strip()


CAPTION = ".txt"
"""Suffix of a text that may also describe its image."""

READERS: dict[str, Callable[[bytes], str]] = {".cls": _text, ".json": _field, CAPTION: _text}
"""What reads the class from the content of a file beside an image, by suffix; the first counts."""


def _sample(name: str) -> tuple[str, str]:
    """Split a name where WebDataset does: at the first dot after the folders."""
    folder, slash, file = name.rpartition("/")
    stem, dot, suffix = file.partition(".")
    return folder + slash + stem, dot + suffix.lower()


def _below(root: Path, images: Iterable[Path]) -> list[Path]:
    return [image for image in images if root in image.parents]


def _first(image: Path, top: Path) -> str:
    """Return the first folder below another one on the way to an image; empty if there is none."""
    first, *rest = image.relative_to(top).parts
    return first if rest else ""


def _entered(root: Path, images: Iterable[Path]) -> Path:
    """Enter folders that hold everything, as long as there are others in them."""
    names = [image.relative_to(root).parts for image in images]
    while names and len({parts[0] for parts in names}) == 1 and min(map(len, names)) > 2:
        root /= names[0][0]
        names = [parts[1:] for parts in names]
    return root
