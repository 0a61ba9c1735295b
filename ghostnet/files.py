"""Files read and written whole: what stands under a name is complete, whatever stops a process."""

import errno
import fcntl
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from glob import escape
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import IO

PART = ".part"

MAX_BYTES = 2 * 1024**3
"""Of a file that is fetched or read whole: as many as a checkpoint, a protobuf message, can have.
"""


@contextmanager
def replacing(path: Path) -> Iterator[IO[bytes]]:
    """A file to write: it takes the name ``path`` when the block ends, and goes if that fails.

    Until then the old file stays as it is; the new one is on the disk before it gets the name. A
    process that is killed leaves a hidden file, which the next to write ``path`` removes.

    Raises:
        OSError: the folder cannot be made or written, or the disk is full.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    _remove_leftovers(path)
    with _temporary(path) as file:
        try:
            yield file
            file.flush()
            os.fchmod(file.fileno(), 0o644)
            os.fsync(file.fileno())
            os.replace(file.name, path)
            _sync(path.parent)
        finally:
            Path(file.name).unlink(missing_ok=True)


def open_regular(path: Path) -> IO[bytes]:
    """Open a file to read, but no folder, device or pipe that would never end.

    Raises:
        OSError: there is no such file, or it cannot be read.
    """
    file = open(path, "rb", opener=_without_waiting)  # noqa: SIM115
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise OSError(errno.EINVAL, "not a regular file")
    return file


def read_whole(path: Path, max_bytes: int = MAX_BYTES) -> bytes:
    """The bytes of a regular file, read once.

    Raises:
        OSError: as `open_regular`, or the file is longer than ``max_bytes``.
    """
    with open_regular(path) as file:
        content = file.read(max_bytes + 1)
    if len(content) > max_bytes:
        raise OSError(errno.EFBIG, f"more than {max_bytes:,} bytes")
    return content


def _temporary(path: Path) -> IO[bytes]:
    """A new hidden file beside ``path``, locked for as long as it is open."""
    while True:
        file = NamedTemporaryFile(  # noqa: SIM115
            prefix=f".{path.name}.", suffix=PART, dir=path.parent, delete=False
        )
        fcntl.flock(file, fcntl.LOCK_EX)
        if os.fstat(file.fileno()).st_nlink:
            return file
        file.close()  # another process took it for a leftover before it was locked


def _remove_leftovers(path: Path) -> None:
    """Remove the hidden files of processes that died while they wrote ``path``."""
    for leftover in path.parent.glob(f".{escape(path.name)}.*{PART}"):
        with suppress(OSError), open_regular(leftover) as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # fails while its writer lives
            leftover.unlink()


def _sync(folder: Path) -> None:
    """Make a new name in ``folder`` survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)
