"""Images in archives: listed in a stream, and read at any place without unpacking."""

import errno
import io
import os
import re
from functools import lru_cache, partial
from pathlib import Path
from typing import IO

from ghostnet.data.archives.archive import Archive, Member
from ghostnet.data.archives.content import content_of_file
from ghostnet.data.archives.gzip_content import SIGNATURE, GzipContent
from ghostnet.data.archives.tar import Tar
from ghostnet.data.archives.zip import Zip
from ghostnet.files import open_regular, sha256_of_rest

__all__ = [
    "Archive",
    "Member",
    "image_sha256",
    "image_version",
    "is_archive",
    "is_other_archive",
    "open_archive",
    "open_image",
    "problem_of",
    "sequential_archive",
    "split_path",
    "version_of",
]

SUFFIXES = (".tar", ".tar.gz", ".tgz", ".zip")
"""Suffixes of archives, in lower case; the first bytes tell the kind."""

MARKS = re.compile("|".join(map(re.escape, SUFFIXES)), re.IGNORECASE)
"""What a path that leads into an archive has somewhere."""

OTHER_SUFFIXES = (".7z", ".rar", ".tar.bz2", ".tbz2", ".tar.xz", ".txz", ".tar.zst", ".tzst")
"""Suffixes of archives that are not read."""

ZIP = b"PK"
"""First bytes of a zip file."""

MAX_OPEN = 1024
"""Archives whose places are kept, each with 32 bytes for a member."""

MAX_GZIP = 2
"""Compressed files that are kept open, each with some 100 MiB."""


def is_archive(path: Path) -> bool:
    """Whether a file is called an archive."""
    return path.name.lower().endswith(SUFFIXES)


def is_other_archive(path: Path) -> bool:
    """Whether a file is called an archive of a kind that is not read."""
    return path.name.lower().endswith(OTHER_SUFFIXES)


def open_archive(path: Path) -> Archive:
    """Return an archive, whose places are remembered until the file changes.

    Raises:
        OSError: The file cannot be read.
    """
    return _opened(path, version_of(path), os.getpid())


def sequential_archive(path: Path) -> Path | None:
    """Return the archive that a path leads into, if that is fast to read in its own order only."""
    found = split_path(path)
    return found[0] if found and open_archive(found[0]).is_sequential else None


def split_path(path: Path) -> tuple[Path, str] | None:
    """Split a path into an archive and the name of what is in it; None if it leads into none.

    The name is empty for the archive itself.
    """
    if not MARKS.search(str(path)):
        return None
    for place in (*reversed(path.parents), path):
        if is_archive(place) and place.is_file():
            return place, "" if place == path else path.relative_to(place).as_posix()
    return None


def version_of(path: Path) -> tuple[int, ...]:
    """Return numbers that change with a file.

    Raises:
        OSError: There is no such file.
    """
    status = os.stat(path)
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


def open_image(path: Path) -> IO[bytes]:
    """Open a regular file, or ``ARCHIVE/NAME``, whose content is then in memory.

    Raises:
        OSError: There is no such file, or it cannot be read.
    """
    try:
        return open_regular(path)
    except NotADirectoryError:
        archive, name = _found(path)
        return io.BytesIO(archive.read(name))


def image_version(path: Path) -> tuple[int, int]:
    """Return the size of a file in bytes, and when it was modified, in nanoseconds since 1970.

    ``ARCHIVE/NAME`` was modified when the archive was.

    Raises:
        OSError: As `open_image`.
    """
    try:
        status = path.stat()
    except NotADirectoryError:
        archive, name = _found(path)
        modified = next(parent for parent in path.parents if parent.is_file()).stat().st_mtime_ns
        return archive.place(name).size, modified
    return status.st_size, status.st_mtime_ns


def image_sha256(path: Path) -> str:
    """Hash a file, or ``ARCHIVE/NAME``.

    Returns:
        The SHA-256 as 64 hexadecimal digits.

    Raises:
        OSError: As `open_image`.
    """
    with open_image(path) as file:
        return sha256_of_rest(file)


def problem_of(path: Path) -> str:
    """Say why an archive is no image; empty for the name of another file."""
    if is_other_archive(path):
        return "an archive of a kind that is not read; pack its images as .tar or .zip"
    if not is_archive(path):
        return ""
    if not path.is_file():
        return "an archive in an archive, which is not opened; unpack it first"
    try:
        open_archive(path).check()
    except OSError as error:
        return f"an archive that cannot be read to its end ({error.strerror}); pack it again"
    return "an archive rather than an image; name its images ARCHIVE/NAME"


def _found(path: Path) -> tuple[Archive, str]:
    """Return the archive that a path leads into, and the name of its member.

    Raises:
        NotADirectoryError: There is no such archive.
    """
    found = split_path(path)
    if found is None:
        raise NotADirectoryError(errno.ENOTDIR, "not a folder or an archive", str(path.parent))
    return open_archive(found[0]), found[1]


@lru_cache(MAX_OPEN)
def _opened(path: Path, version: tuple[int, ...], process: int) -> Archive:
    """Open a version of a file in a process: a fork shares no locks with its parent."""
    head = content_of_file(path, 0, len(ZIP))
    if head == ZIP:
        return Zip(partial(content_of_file, path), path.stat().st_size)
    if head == SIGNATURE:
        return Tar(partial(_content_of_gzip, path, version, process), is_sequential=True)
    return Tar(partial(content_of_file, path))


def _content_of_gzip(
    path: Path, version: tuple[int, ...], process: int, offset: int, length: int
) -> bytes:
    return _gzip(path, version, process).read(offset, length)


@lru_cache(MAX_GZIP)
def _gzip(path: Path, version: tuple[int, ...], process: int) -> GzipContent:
    return GzipContent(path)
