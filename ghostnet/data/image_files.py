"""Image files below folders, and what is left out there, with the reason."""

import errno
import os
import stat
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TypeAlias

from ghostnet.data.image_formats import HEAD_BYTES, identify, missing
from ghostnet.files import open_regular

SUFFIXES = frozenset({".bmp", ".gif", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp"})
"""Suffixes of image files, in lower case; the first bytes of other files tell what they are."""

RAW_SUFFIXES = frozenset(
    {".arw", ".cr2", ".dng", ".nef", ".nrw", ".orf", ".pef", ".raf", ".rw2", ".srw"}
)
"""Suffixes of camera raw files, most of which are TIFF files that begin with a thumbnail."""

SYSTEM_NAMES = frozenset(
    {
        "#recycle",
        "#snapshot",
        "$recycle.bin",
        "@eadir",
        "@recycle",
        "__macosx",
        "desktop.ini",
        "ehthumbs.db",
        "lost+found",
        "system volume information",
        "thumbs.db",
    }
)
"""What operating systems and file servers put among the files of their users, in lower case."""

REASONS = {errno.ENOENT: "dangling link", errno.ELOOP: "link to itself"}
"""Reasons for which a path cannot be read, where the system's own words are misleading."""

RESULTS = ("ghostnet.ckpt", "state.ckpt")
"""Files by which a folder is known that this package wrote, and which may hold a plot."""

LeftOut: TypeAlias = Mapping[Path, str]
"""Paths that were left out, with the reason."""


def count_reasons(left_out: LeftOut) -> dict[str, int]:
    """Count the paths that were left out for each reason, the commonest first."""
    return dict(Counter(left_out.values()).most_common())


def describe(left_out: LeftOut) -> str:
    """Describe in one line what was left out: for each reason a count and an example."""
    example: dict[str, Path] = {}
    for path, reason in left_out.items():
        example.setdefault(reason, path)
    counts = count_reasons(left_out).items()
    return "; ".join(f"{count:,} {reason}, such as {example[reason]}" for reason, count in counts)


class Walk:
    """A search for image files below one folder.

    Hidden names and those of the operating system do not count. Links are followed, but each folder
    is entered once, and none that holds the root.

    Args:
        root: Folder to search.

    Attributes:
        left_out: What was left out so far, with the reason.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.left_out: dict[Path, str] = {}
        self._owners: dict[tuple[int, int], Path] = {}
        for parent in Path(os.path.realpath(root)).parents:
            with suppress(OSError):
                self._own(parent, parent.stat())
        with suppress(OSError):
            self._own(root, root.stat())

    def folders(self) -> list[Path]:
        """List the folders in the root; later searches enter each of them under this path only."""
        found = []
        for path in self._entries(self.root):
            status = self._status(path)
            if status and stat.S_ISDIR(status.st_mode):
                if self._is_result(path):
                    continue
                self._own(path, status)
                found.append(path)
            elif status:
                self.left_out[path] = "not in the folder of a class"
        return found

    def images(self, folder: Path) -> Iterator[Path]:
        """Yield the image files below a folder, in sorted order."""
        waiting: list[Iterator[Path]] = [iter([folder])]
        while waiting:
            path = next(waiting[-1], None)
            if path is None:
                waiting.pop()
                continue
            status = self._status(path)
            if status and stat.S_ISDIR(status.st_mode):
                if path != folder and self._is_result(path):
                    continue
                if self._own(path, status):
                    waiting.append(self._entries(path))
                else:
                    self.left_out[path] = "link to a folder that is met elsewhere"
            elif status and self._is_image(path, status):
                yield path

    def _own(self, folder: Path, status: os.stat_result) -> bool:
        """Whether this path is the one under which its folder is entered."""
        return self._owners.setdefault((status.st_dev, status.st_ino), folder) == folder

    def _entries(self, folder: Path) -> Iterator[Path]:
        """Yield the content of a folder in sorted order, without hidden and system files."""
        try:
            names = sorted(os.listdir(folder))
        except OSError as error:
            self._fail(folder, error)
            return
        for name in names:
            if name.startswith("."):
                self.left_out[folder / name] = "hidden"
            elif name.lower() in SYSTEM_NAMES:
                self.left_out[folder / name] = "of the operating system"
            else:
                yield folder / name

    def _is_result(self, folder: Path) -> bool:
        """Whether a folder holds the result of a training, which is then left out."""
        is_result = any(os.path.lexists(folder / name) for name in RESULTS)
        if is_result:
            self.left_out[folder] = "result of a training"
        return is_result

    def _status(self, path: Path) -> os.stat_result | None:
        """Follow links to what a path stands for; None where there is nothing."""
        try:
            return path.stat()
        except OSError as error:
            self._fail(path, error)
            return None

    def _is_image(self, path: Path, status: os.stat_result) -> bool:
        try:
            reason = _reason(path, status)
        except OSError as error:
            self._fail(path, error)
            return False
        if reason:
            self.left_out[path] = reason
        return not reason

    def _fail(self, path: Path, error: OSError) -> None:
        self.left_out[path] = REASONS.get(error.errno or 0, str(error.strerror).lower())


def _reason(path: Path, status: os.stat_result) -> str:
    """Say why a file is no image that can be decoded; empty where it may be one."""
    suffix = path.suffix.lower()
    if not stat.S_ISREG(status.st_mode):
        return "not a regular file"
    if status.st_size == 0:
        return "empty"
    if suffix in SUFFIXES:
        return ""
    if suffix in RAW_SUFFIXES:
        return "camera raw"
    with open_regular(path) as file:
        format = identify(file.read(HEAD_BYTES))
    return missing(format) if format else "not an image"
