"""Read and write files atomically."""

import errno
import hashlib
import os
import stat
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from glob import escape
from pathlib import Path
from secrets import token_hex
from typing import IO

from ghostnet.errors import GhostNetError
from ghostnet.system.files import (
    lock,
    open_without_waiting,
    remove_abandoned,
    remove_open,
    rename_open,
    sync,
    sync_folder,
)

PART = ".part"

CHUNK_BYTES = 1024 * 1024
"""Bytes read at a time when a file is hashed or copied."""


@contextmanager
def replacing(path: Path) -> Iterator[IO[bytes]]:
    """Open a file that takes the name ``path`` when the block ends without an error.

    Until then the old file stays as it is. The new file is on the disk before it gets the name, and
    has the permissions that the umask gives. A killed process leaves a hidden file, which the next
    writer of ``path`` removes; on Windows, the next that comes after an hour.

    Raises:
        OSError: The folder cannot be made or written, or the disk is full.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    remove_abandoned(path.parent.glob(f".{escape(path.name)}.*{PART}"))
    file = _temporary(path)
    try:
        with file:
            yield file
            file.flush()
            sync(file)
            rename_open(file, path)
            sync_folder(path.parent)
    finally:
        Path(file.name).unlink(missing_ok=True)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a lock, which is a file that exists as long as a process holds it.

    On a file system without locks, it only warns.

    Raises:
        BlockingIOError: Another process holds it.
        OSError: The file cannot be written.
    """
    while True:
        with open(path, "ab") as file:
            try:
                lock(file, wait=False)
            except BlockingIOError:
                raise
            except OSError as error:
                warnings.warn(f"{path}: no lock is possible here ({error.strerror})", stacklevel=3)
            if os.fstat(file.fileno()).st_nlink == 0:
                continue  # another process removed it before it was locked
            try:
                yield
            finally:
                remove_open(file)
            return


def write_whole(path: Path, content: bytes) -> None:
    """Write a file atomically.

    Raises:
        OSError: As `replacing`.
    """
    with replacing(path) as file:
        file.write(content)


@contextmanager
def raising(error: type[GhostNetError], problem: str, advice: str = "") -> Iterator[None]:
    """Turn an `OSError` inside the block into an error of this package.

    Args:
        error: Class of the error.
        problem: What went wrong, such as ``/data/x.ckpt: cannot be read``.
        advice: What to do about it.
    """
    try:
        yield
    except OSError as cause:
        remedy = f"; {advice}" if advice else ""
        raise error(f"{problem} ({cause.strerror}){remedy}") from cause


def open_regular(path: Path) -> IO[bytes]:
    """Open a regular file for reading: a device or a pipe might never end.

    Raises:
        OSError: There is no such file, or it cannot be read.
    """
    file = open(path, "rb", opener=open_without_waiting)  # noqa: SIM115
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise OSError(errno.EINVAL, "not a regular file")
    return file


def read_whole(path: Path, max_bytes: int) -> bytes:
    """Read a regular file.

    Raises:
        OSError: As `open_regular`, or the file is longer than ``max_bytes``.
    """
    with open_regular(path) as file:
        size = os.fstat(file.fileno()).st_size
        if size > max_bytes:
            raise OSError(errno.EFBIG, f"{size:,} bytes are more than the {max_bytes:,} allowed")
        return file.read(size)


def sha256_of(path: Path) -> str:
    """Hash a regular file.

    Returns:
        The SHA-256 as 64 hexadecimal digits.

    Raises:
        OSError: As `open_regular`.
    """
    with open_regular(path) as file:
        return sha256_of_rest(file)


def sha256_of_rest(file: IO[bytes]) -> str:
    """Hash what is left to read of an open file, as `sha256_of`.

    Raises:
        OSError: It cannot be read.
    """
    digest = hashlib.sha256()
    while chunk := file.read(CHUNK_BYTES):
        digest.update(chunk)
    return digest.hexdigest()


def _temporary(path: Path) -> IO[bytes]:
    """Make a hidden file beside ``path``, locked for as long as it is open."""
    while True:
        file = open(path.with_name(f".{path.name}.{token_hex(8)}{PART}"), "x+b")  # noqa: SIM115
        lock(file, wait=True)
        if os.fstat(file.fileno()).st_nlink:
            return file
        file.close()  # another process removed it as a leftover before it was locked
