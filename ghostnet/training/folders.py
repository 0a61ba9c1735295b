"""Pictures sorted into folders, one folder a class."""

from dataclasses import dataclass
from pathlib import Path

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
