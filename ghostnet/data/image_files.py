"""Image files below folders and in archives, and what is left out there, with the reason."""

import errno
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

from ghostnet.data import camera_raw
from ghostnet.data.archives import Archive, Member, is_archive, is_other_archive, open_archive
from ghostnet.data.image_formats import HEAD_BYTES, identify, missing
from ghostnet.data.left_out import LeftOut
from ghostnet.files import open_regular

SUFFIXES = frozenset({".bmp", ".gif", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp"})
"""Suffixes of image files, in lower case; the first bytes of other files tell what they are."""

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

LABEL_SUFFIXES = frozenset({".cls", ".json", ".txt"})
"""Suffixes of what WebDataset puts beside an image, in lower case."""

REASONS = {errno.ENOENT: "dangling link", errno.ELOOP: "link to itself"}
"""Reasons for which a path cannot be read, where the system's own words are misleading."""

RESULTS = {
    "ghostnet.ckpt": "result of a training",
    "state.ckpt": "result of a training",
    "confusion.json": "result of an evaluation",
    "part-000000.parquet": "result of a prediction",
}
"""Files by which a folder is known that this package wrote, and which may hold a plot."""


class Walk:
    """A search for image files below one folder, also in the archives there.

    Hidden names and those of the operating system do not count. Links are followed, but each folder
    is entered once, and none that holds the root. Folders are told apart by their paths without
    links, because some file systems repeat the numbers of inodes.

    Args:
        root: Folder to search.
        left_out: Counts what is left out; by default, a new one.

    Attributes:
        left_out: What was left out so far.
    """

    def __init__(self, root: Path, left_out: LeftOut | None = None) -> None:
        self.root = root
        self.left_out = LeftOut() if left_out is None else left_out
        real = os.path.realpath(root)
        self._owners = {str(parent): parent for parent in Path(real).parents}
        self._owners[real] = root

    def folders(self) -> list[Path]:
        """List the folders in the root; later searches enter each of them under this path only."""
        found = []
        for path in self._entries(self.root):
            status = self._status(path)
            if status and stat.S_ISDIR(status.st_mode):
                if self._is_result(path):
                    continue
                self._own(path, os.path.realpath(path))
                found.append(path)
            elif status:
                self.left_out.add(path, "not in the folder of a class")
        return found

    def archives(self) -> list[Path]:
        """List the archives in the root, in sorted order."""
        return [path for path in self._entries(self.root) if is_archive(path) and path.is_file()]

    def images(self, folder: Path) -> Iterator[Path]:
        """Yield the image files below a folder, in sorted order; those of archives in theirs."""
        waiting = [("", iter([folder]))]
        while waiting:
            parent, entries = waiting[-1]
            path = next(entries, None)
            if path is None:
                waiting.pop()
                continue
            status = self._status(path)
            if status and stat.S_ISDIR(status.st_mode):
                if path != folder and self._is_result(path):
                    continue
                real = _real(path, parent)
                if self._own(path, real):
                    waiting.append((real, self._entries(path)))
                else:
                    self.left_out.add(path, "link to a folder that is met elsewhere")
            elif status and is_archive(path) and status.st_size and stat.S_ISREG(status.st_mode):
                yield from self.members(path)
            elif status and self._is_image(path, status):
                yield path

    def members(self, archive: Path, folder: str = "") -> Iterator[Path]:
        """Yield the images in an archive, as ``ARCHIVE/NAME``, in its order.

        What cannot be read to its end ends with the name of the archive, and decoding that says
        why.

        Args:
            archive: The archive.
            folder: Folder in the archive; by default, all of it.
        """
        try:
            opened = open_archive(archive)
            for member in opened.members(folder):
                path = archive / member.name
                if reason := member.problem or self._member_reason(opened, member):
                    self.left_out.add(path, reason)
                else:
                    yield path
        except OSError:
            yield archive

    def _own(self, folder: Path, real: str) -> bool:
        """Whether this path is the one under which its folder is entered."""
        return self._owners.setdefault(real, folder) == folder

    def _entries(self, folder: Path) -> Iterator[Path]:
        """Yield the content of a folder in sorted order, without hidden and system files."""
        try:
            names = sorted(os.listdir(folder))
        except OSError as error:
            self._fail(folder, error)
            return
        for name in names:
            if name.startswith("."):
                self.left_out.add(folder / name, "hidden")
            elif name.lower() in SYSTEM_NAMES:
                self.left_out.add(folder / name, "of the operating system")
            else:
                yield folder / name

    def _is_result(self, folder: Path) -> bool:
        """Whether a folder holds a result of this package, which is then left out."""
        reason = next(
            (reason for name, reason in RESULTS.items() if os.path.lexists(folder / name)), None
        )
        if reason:
            self.left_out.add(folder, reason)
        return reason is not None

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
            self.left_out.add(path, reason)
        return not reason

    def _member_reason(self, archive: Archive, member: Member) -> str:
        """Say why a member of an archive is no image that counts; empty if it may be one."""
        path = Path(member.name)
        parts = {part.lower() for part in path.parts} - {".."}
        if any(part.startswith(".") for part in parts):
            return "hidden"
        if not SYSTEM_NAMES.isdisjoint(parts):
            return "of the operating system"
        if member.place.size == 0:
            return "empty"
        if path.suffix.lower() in LABEL_SUFFIXES:
            return "label or text"
        if is_archive(path):
            return "archive in an archive"
        length = min(member.place.size, HEAD_BYTES)
        try:
            return _format_reason(path, lambda: archive.content_at(member.place, length))
        except OSError as error:
            self.left_out.is_partial = True
            return str(error.strerror)

    def _fail(self, path: Path, error: OSError) -> None:
        leads_nowhere = REASONS.get(error.errno or 0)
        self.left_out.add(path, leads_nowhere or str(error.strerror).lower())
        self.left_out.is_partial |= not leads_nowhere


def _real(folder: Path, parent: str) -> str:
    """Return the path of a folder without links.

    Args:
        folder: The folder.
        parent: The path without links of the folder that it is in; empty where that is not known.
    """
    if parent and not folder.is_symlink():
        return os.path.join(parent, folder.name)
    return os.path.realpath(folder)


def _reason(path: Path, status: os.stat_result) -> str:
    """Say why a file is no image that can be decoded; empty where it may be one."""
    if not stat.S_ISREG(status.st_mode):
        return "not a regular file"
    if status.st_size == 0:
        return "empty"
    return _format_reason(path, lambda: _head(path))


def _format_reason(path: Path, head: Callable[[], bytes]) -> str:
    """Say why a file of some size is no image that can be decoded; empty where it may be one.

    Args:
        path: The file.
        head: Reads its first bytes.
    """
    suffix = path.suffix.lower()
    if suffix in SUFFIXES:
        return ""
    if suffix in camera_raw.SUFFIXES:
        return camera_raw.REASON
    if is_other_archive(path):
        return "archive of a kind that is not read"
    format = identify(head())
    return missing(format) if format else "not an image"


def _head(path: Path) -> bytes:
    with open_regular(path) as file:
        return file.read(HEAD_BYTES)
