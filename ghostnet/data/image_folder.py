"""Images sorted into folders, one folder a class."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ghostnet.errors import DatasetError

SUFFIXES = frozenset({".bmp", ".gif", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp"})
"""Suffixes of image files, in lower case."""


@dataclass(frozen=True)
class ImageFolder:
    """Labeled images.

    Attributes:
        classes: Names of the classes, in case-insensitive alphabetical order.
        files: Every image file with the index of its class.
    """

    classes: tuple[str, ...]
    files: tuple[tuple[Path, int], ...]


def find_images(paths: list[Path]) -> list[Path]:
    """List image files: paths to files as given, folders searched in sorted order."""
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            found += sorted(
                file
                for file in path.rglob("*")
                if file.suffix.lower() in SUFFIXES and file.is_file()
            )
        else:
            found.append(path)
    return found


def read_folder(root: Path) -> ImageFolder:
    """List the images of a folder with a sub-folder for each class; hidden folders do not count.

    Raises:
        DatasetError: There is no such folder, no class in it, or a class without images.
    """
    if not root.is_dir():
        raise DatasetError(
            f"{root}: expected a folder with a sub-folder for each class, found none"
        )
    folders = [entry for entry in root.iterdir() if entry.is_dir() and entry.name[0] != "."]
    folders.sort(key=lambda folder: (folder.name.lower(), folder.name))
    if not folders:
        raise DatasetError(f"{root}: expected a sub-folder for each class, found none")
    files = [(file, i) for i, folder in enumerate(folders) for file in find_images([folder])]
    filled = {index for _, index in files}
    empty = [folder.name for index, folder in enumerate(folders) if index not in filled]
    if empty:
        raise DatasetError(
            f"{root}: expected images in every class, found none in {', '.join(empty)}; add some "
            "or remove the folders"
        )
    return ImageFolder(tuple(folder.name for folder in folders), tuple(files))


def hold_out(folder: ImageFolder, fraction: float) -> tuple[ImageFolder, ImageFolder]:
    """Split a folder into a training part and a held-out part, always in the same way.

    Each class keeps at least one image for training, and gives at least one where it has two.

    Args:
        folder: What to split.
        fraction: Share of each class to hold out, in (0, 1).
    """
    kept: list[tuple[Path, int]] = []
    held: list[tuple[Path, int]] = []
    for index in range(len(folder.classes)):
        files = [file for file, truth in folder.files if truth == index]
        count = min(len(files) - 1, max(1, round(fraction * len(files))))
        order = np.random.default_rng(index).permutation(len(files))
        chosen = set(order[:count].tolist())
        for place, file in enumerate(files):
            (held if place in chosen else kept).append((file, index))
    return ImageFolder(folder.classes, tuple(kept)), ImageFolder(folder.classes, tuple(held))
