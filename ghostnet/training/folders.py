"""Pictures sorted into folders, one folder a class."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ghostnet.errors import DatasetError
from ghostnet.transforms import find_images


@dataclass(frozen=True)
class ImageFolder:
    """A folder with a sub-folder of pictures for each class.

    Attributes:
        classes: names of the sub-folders, in case-insensitive alphabetical order.
        files: every picture with the index of its class.
    """

    classes: tuple[str, ...]
    files: tuple[tuple[Path, int], ...]


def read_folder(root: Path) -> ImageFolder:
    """List the pictures under ``root``; hidden folders do not count.

    Raises:
        DatasetError: no such folder, no class in it, or a class without pictures.
    """
    if not root.is_dir():
        raise DatasetError(f"{root}: no such folder; expected one with a sub-folder for each class")
    folders = [entry for entry in root.iterdir() if entry.is_dir() and entry.name[0] != "."]
    folders.sort(key=lambda folder: (folder.name.lower(), folder.name))
    if not folders:
        raise DatasetError(f"{root}: has no sub-folders; expected one for each class")
    files = [(file, i) for i, folder in enumerate(folders) for file in find_images([folder])]
    filled = {index for _, index in files}
    empty = [folder.name for index, folder in enumerate(folders) if index not in filled]
    if empty:
        raise DatasetError(f"{root}: no pictures in {', '.join(empty)}; add some or remove them")
    return ImageFolder(tuple(folder.name for folder in folders), tuple(files))


def hold_out(folder: ImageFolder, fraction: float) -> tuple[ImageFolder, ImageFolder]:
    """The folder in two: what to learn from, and ``fraction`` of each class to measure with.

    The same folder is always split alike; each class keeps at least one picture to learn from,
    and of two or more gives at least one.
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
