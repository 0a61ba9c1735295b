"""Locks, and open files that are opened, renamed and removed safely."""

import errno
import os
import time
from collections.abc import Iterable
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import IO, Any

try:
    import fcntl
except ImportError:  # Windows
    IS_POSIX = False
    _msvcrt: Any = import_module("msvcrt")
else:
    IS_POSIX = True

LOCKED_BYTE = 0x7FFF_FFFE
"""The byte that is locked on Windows: other processes can neither read nor write it."""

POLL_SECONDS = 0.05
"""How often Windows is asked for a lock or a name that another process holds."""

MOST_POLLS = 100
"""How often a name is asked for at most: for five seconds."""

ABANDONED_SECONDS = 3600
"""Age of a file that no process is about to rename, on Windows."""


def lock(file: IO[bytes], *, wait: bool) -> None:
    """Lock an open file, which other processes then cannot lock until it is closed.

    Raises:
        BlockingIOError: Another process has locked it, and ``wait`` is false.
        OSError: The file system has no locks.
    """
    if IS_POSIX:
        fcntl.flock(file, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
        return
    while not _locks_byte(file.fileno()):
        if not wait:
            raise BlockingIOError(errno.EAGAIN, "another process has locked it")
        time.sleep(POLL_SECONDS)


def _locks_byte(descriptor: int) -> bool:
    """Lock a byte of a file on Windows, unless another process has locked it."""
    position = os.lseek(descriptor, 0, os.SEEK_CUR)
    os.lseek(descriptor, LOCKED_BYTE, os.SEEK_SET)
    try:
        _msvcrt.locking(descriptor, _msvcrt.LK_NBLCK, 1)
    except PermissionError:
        return False
    finally:
        os.lseek(descriptor, position, os.SEEK_SET)
    return True


def rename_open(file: IO[bytes], target: Path) -> None:
    """Give an open and locked file another name in one step, replacing what had that name.

    Windows renames no open file, nor one to a name that another process has open. The file is
    closed there, and the name asked for until it is free.

    Raises:
        OSError: The folder cannot be written, or the name stays in use.
    """
    if IS_POSIX:
        os.replace(file.name, target)
        return
    file.close()
    rename_closed(Path(file.name), target)


def rename_closed(source: Path, target: Path) -> None:
    """Give a closed file another name in one step, as `rename_open`.

    Raises:
        OSError: As `rename_open`.
    """
    for _ in range(0 if IS_POSIX else MOST_POLLS):
        with suppress(PermissionError):
            os.replace(source, target)
            return
        time.sleep(POLL_SECONDS)
    os.replace(source, target)


def remove_open(file: IO[bytes]) -> None:
    """Remove a file that is open and locked, and close it.

    Windows removes no open file. It is closed first there, and stays if another process has opened
    it meanwhile, which then removes it.
    """
    if IS_POSIX:
        Path(file.name).unlink(missing_ok=True)
        file.close()
        return
    file.close()
    with suppress(OSError):
        Path(file.name).unlink()


def remove_abandoned(leftovers: Iterable[Path]) -> None:
    """Remove files whose writers have died, each of which had its own locked and open.

    On Windows, where a writer closes its file before it renames it, only old files are removed.
    """
    for leftover in leftovers:
        with suppress(OSError):
            if IS_POSIX:
                with open(leftover, "rb", opener=open_without_waiting) as file:
                    lock(file, wait=False)
                    leftover.unlink()
            elif time.time() - leftover.stat().st_mtime > ABANDONED_SECONDS:
                leftover.unlink()


def sync(file: IO[bytes]) -> None:
    """Make what was written to an open file survive a power cut.

    Raises:
        OSError: The disk is full or broken.
    """
    if IS_POSIX and hasattr(fcntl, "F_FULLFSYNC"):  # macOS, where fsync leaves it to the drive
        with suppress(OSError):  # a file system that cannot
            fcntl.fcntl(file, fcntl.F_FULLFSYNC)
    os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Make a new name in a folder survive a power cut; Windows opens no folders to be synced.

    Raises:
        OSError: The disk is broken.
    """
    if not IS_POSIX:
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def open_without_waiting(path: str, flags: int) -> int:
    """Open a file as `os.open` does, but return at once if it is a pipe."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def open_itself(path: Path) -> IO[bytes]:
    """Open a file for reading and writing, made if need be, but not the target of a link.

    Raises:
        OSError: It is a symbolic link, or cannot be opened.
    """
    no_link = getattr(os, "O_NOFOLLOW", 0)
    if not no_link and path.is_symlink():
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path))
    return os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | no_link, 0o666), "r+b")


def copy_permissions(file: IO[bytes], mode: int) -> None:
    """Give an open file the permissions of another; Windows has them in the folder.

    Raises:
        OSError: It belongs to another user, or the file system has no permissions.
    """
    if IS_POSIX:
        os.fchmod(file.fileno(), mode)
