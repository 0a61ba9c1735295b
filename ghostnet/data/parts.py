"""The parts of a data set whose root holds a folder for each, such as ``train`` and ``val``."""

import os
import warnings
from dataclasses import dataclass
from pathlib import Path

from ghostnet.data.archives import split_path
from ghostnet.data.image_files import Walk
from ghostnet.data.shards import folders_in
from ghostnet.errors import DatasetError

HELD_OUT = 0.2
"""Fraction that is held out of a data set without held-out images of its own."""

TRAIN = ("train", "training")
VAL = ("val", "valid", "validation")
TEST = ("test", "testing")
"""Names of the folders of parts, in lower case; the first one that is found counts."""


@dataclass(frozen=True)
class Parts:
    """The folders of a data set's parts, each with a sub-folder of images for each class.

    Attributes:
        train: Training images; the root itself where the data set has no such parts.
        val: Images to choose by; None where there are none.
        test: Images to measure with; None where there are none.
    """

    train: Path
    val: Path | None = None
    test: Path | None = None

    @property
    def held_out(self) -> Path | None:
        """The images that a training is measured with."""
        return self.val or self.test

    @property
    def measured(self) -> Path:
        """The images that a finished model is measured with."""
        return self.test or self.val or self.train


def find_parts(root: Path) -> Parts:
    """Look for folders named ``train`` and, say, ``val`` in a data set's root, in any case.

    A root whose folders have other names is one part: its folders are the classes. A part for
    evaluation that has no classes, such as a test set without labels, does not count.

    Raises:
        DatasetError: The training part has no folders of classes.
    """
    if not (os.path.isdir(root) or split_path(root)):
        return Parts(root)
    folders = {path.name.lower(): path for path in _folders(root)}

    def first(names: tuple[str, ...]) -> Path | None:
        return next((folders[name] for name in names if name in folders), None)

    train, val, test = first(TRAIN), first(VAL), first(TEST)
    if train is None or not (val or test or len(folders) == 1):
        return Parts(root)
    if not _has_classes(train):
        raise DatasetError(
            f"{train} holds the training part of a data set, but no folder for each class; sort "
            "its images into folders named after their classes"
        )
    return Parts(
        train,
        val if val and _has_classes(val) else None,
        test if test and _has_classes(test) else None,
    )


def _folders(root: Path) -> list[Path]:
    return folders_in(root) if split_path(root) else Walk(root).folders()


def _has_classes(part: Path) -> bool:
    return bool(_folders(part) or (part.is_dir() and Walk(part).archives()))


def training_part(root: Path, *, with_held_out: bool) -> tuple[Path, Path | None]:
    """Return the folders of the training and of the held-out images; a warning names them.

    Args:
        root: Root of the data set.
        with_held_out: Whether the data set's own held-out images are wanted.

    Returns:
        The second is None where the data set has no such folder, or none is wanted.

    Raises:
        DatasetError: As `find_parts`.
    """
    parts = find_parts(root)
    held_out = parts.held_out if with_held_out else None
    if parts.train != root:
        measured = f", held-out images from {held_out.name}" if held_out else ""
        warnings.warn(
            f"{root}: training images are taken from {parts.train.name}{measured}", stacklevel=3
        )
    return parts.train, held_out


def measured_part(root: Path) -> Path:
    """Return the folder of the images to measure a model with; a warning names it.

    Args:
        root: Root of the data set.

    Raises:
        DatasetError: As `find_parts`.
    """
    measured = find_parts(root).measured
    if measured != root:
        warnings.warn(f"{root}: the model is measured with {measured.name}", stacklevel=3)
    return measured
