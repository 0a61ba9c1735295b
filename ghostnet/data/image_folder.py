"""Images sorted into folders, one folder a class, also in archives."""

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from unicodedata import normalize

from ghostnet.data.archives import open_archive, split_path
from ghostnet.data.image_files import SUFFIXES, Walk
from ghostnet.data.left_out import LeftOut
from ghostnet.data.path_set import PathSet
from ghostnet.data.remote import URL
from ghostnet.data.shards import labeled_images, read_shard
from ghostnet.errors import DatasetError, listed

BELOW = "below a folder that is listed before it"
"""Why a name is left out that its folder stands for."""


@dataclass(frozen=True)
class ImageFolder:
    """Labeled images.

    Attributes:
        classes: Names of the classes in Unicode NFC, in case-insensitive alphabetical order.
        files: Every image file with the index of its class or, if images may have several labels,
            of their combination.
        left_out: What else was found, with the reason why it does not count.
        combinations: Indices of labels that images have together; None if each image has one class.
    """

    classes: tuple[str, ...]
    files: tuple[tuple[Path, int], ...]
    left_out: LeftOut = field(default_factory=LeftOut, compare=False)
    combinations: tuple[tuple[int, ...], ...] | None = None

    @property
    def label_sets(self) -> tuple[tuple[int, ...], ...]:
        """The labels that each index in `files` stands for."""
        if self.combinations is None:
            return tuple((index,) for index in range(len(self.classes)))
        return self.combinations

    @property
    def without_images(self) -> list[str]:
        """The classes that have no image."""
        sets = self.label_sets
        filled = {label for _, index in self.files for label in sets[index]}
        return [name for label, name in enumerate(self.classes) if label not in filled]

    def with_files(self, files: tuple[tuple[Path, int], ...]) -> "ImageFolder":
        """Return a folder of the same classes with other files."""
        return ImageFolder(self.classes, files, self.left_out, self.combinations)


def find_images(paths: Iterable[Path], left_out: LeftOut | None = None) -> list[Path]:
    """List image files: paths to files as given, folders searched in sorted order.

    Args:
        paths: Files and folders.
        left_out: Counts what is left out below the folders.
    """
    left_out = LeftOut() if left_out is None else left_out
    return [Path(name) for name in walk_images(map(str, paths), left_out)]


def walk_images(names: Iterable[str], left_out: LeftOut) -> Iterator[str]:
    """Yield the names of image files as they are found.

    Files keep the names that they were given, and those below a folder or in an archive follow its
    own. `find` lists a folder and then all that is in it, or with ``-depth`` first what is in it;
    what is met again through its folder is left out.

    Args:
        names: Files, folders, archives and URLs of images.
        left_out: Counts what is left out.
    """
    searched: set[str] = set()
    with closing(PathSet()) as listed_files:
        for name in names:
            path = os.path.abspath(name)
            if URL.match(name):
                yield name
            elif _is_below(path, searched):
                left_out.add(name, BELOW)
            elif holds_images(name):
                for file in _images_in(name, left_out):
                    if reason := _met_before(file, searched, listed_files):
                        left_out.add(file, reason)
                    else:
                        yield file
                searched.add(path)
            else:
                listed_files.add(path)
                yield name


def _images_in(name: str, left_out: LeftOut) -> Iterator[str]:
    """Yield the names of the images in a folder or an archive, which follow its own."""
    root = Path(name)
    walk, packed = Walk(root, left_out), split_path(root)
    for file in walk.members(*packed) if packed else walk.images(root):
        is_below = root in file.parents
        yield os.path.join(name, file.relative_to(root)) if is_below else str(file)


def _met_before(name: str, searched: set[str], listed_files: PathSet) -> str:
    """Say how an image in a folder was met before; empty if it was not."""
    if not searched and not listed_files:
        return ""
    path = os.path.abspath(name)
    if _is_below(path, searched):
        return BELOW
    return "listed before the folder that it is in" if path in listed_files else ""


def _is_below(path: str, folders: set[str]) -> bool:
    return bool(folders) and not folders.isdisjoint(map(str, Path(path).parents))


def holds_images(name: str | os.PathLike[str]) -> bool:
    """Whether a name is that of a folder, of an archive, or of a folder in one."""
    if os.path.isdir(name):
        return True
    packed = split_path(Path(name))
    if not packed or Path(name).suffix.lower() in SUFFIXES:
        return False
    archive, folder = packed
    try:
        return not folder or any(open_archive(archive).members(folder))
    except OSError:
        return False


def read_folder(root: Path) -> ImageFolder:
    """List the images of a folder with a sub-folder for each class, or of archives.

    Args:
        root: The folder, which may hold archives in place of sub-folders; or an archive, or a
            folder in one, as ``ARCHIVE/FOLDER``. See `ghostnet.data.shards.labeled_images`.

    Raises:
        DatasetError: There is no such folder, no class in it, or a class without images; or an
            archive is broken.
    """
    if split_path(root):
        return _read_archives(root, {root: ""})
    if not os.path.isdir(root):
        raise DatasetError(f"{root} is not a folder; name one with a sub-folder for each class")
    walk = Walk(root)
    folders = [(normalize("NFC", folder.name), folder) for folder in walk.folders()]
    if not folders and (archives := Walk(root).archives()):
        return _read_archives(root, {path: path.name.partition(".")[0] for path in archives})
    folders.sort(key=lambda pair: (pair[0].lower(), pair[0]))
    classes = tuple(name for name, _ in folders)
    files = [(file, i) for i, (_, folder) in enumerate(folders) for file in walk.images(folder)]
    folder = ImageFolder(classes, tuple(files), walk.left_out)
    _check(folder, root)
    return folder


def _read_archives(root: Path, archives: Mapping[Path, str]) -> ImageFolder:
    """List the images of archives, whose names are the classes of images without another.

    Raises:
        DatasetError: An archive cannot be read, or there is no class.
    """
    pairs, unlabeled = [], LeftOut()
    parts = [unlabeled]
    for archive, name in archives.items():
        pairs += labeled_images(archive, unlabeled, name)
        parts.append(read_shard(archive).left_out)
    left_out = LeftOut.joined(*parts)
    if not pairs:
        raise DatasetError(
            f"{root}: no image in it is in a folder named after its class, or has a .cls file "
            f"beside it (left out: {left_out or 'nothing'})"
        )
    labels = [normalize("NFC", label) for _, label in pairs]
    classes = tuple(sorted(set(labels), key=lambda label: (label.lower(), label)))
    place = {name: index for index, name in enumerate(classes)}
    files = [(image, place[label]) for (image, _), label in zip(pairs, labels, strict=True)]
    return ImageFolder(classes, tuple(files), left_out)


def _check(folder: ImageFolder, root: Path) -> None:
    """Check that there are classes, each under one name and with images.

    Raises:
        DatasetError: It is not so.
    """
    left_out = f" (left out: {folder.left_out})" if folder.left_out else ""
    if not folder.classes:
        raise DatasetError(f"{root}: there is no sub-folder for any class{left_out}")
    twice = {name for name in folder.classes if folder.classes.count(name) > 1}
    if twice:
        raise DatasetError(
            f"{root}: {listed(sorted(twice))} has two sub-folders, whose names differ only in "
            "Unicode's normal form; join them"
        )
    if folder.without_images:
        raise DatasetError(
            f"{root}: there are no images in {listed(folder.without_images)}; add some or remove "
            f"the folders{left_out}"
        )
