"""Files that are what their SHA-256 says: read whole, written whole, or not at all.

Bytes go to a temporary file in the folder of the target and are hashed on the way; only when the
hash is right does the file get its name, in one atomic step. So a process killed at any byte
leaves no wrong file under a right name.
"""

import fcntl
import hashlib
import logging
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from ghostnet.errors import FetchError, IntegrityError
from ghostnet.files import open_regular, read_whole, replacing

log = logging.getLogger(__name__)

BLOCK_BYTES = 1024 * 1024


def file_hash(path: Path) -> str | None:
    """The SHA-256 of a file; None where there is none, and a word where it cannot be read."""
    digest = hashlib.sha256()
    try:
        with open_regular(path) as file:
            while block := file.read(BLOCK_BYTES):
                digest.update(block)
    except FileNotFoundError:
        return None
    except OSError:
        return "unreadable"
    return digest.hexdigest()


def check_file(path: Path, expected: str) -> None:
    """Compare a file's SHA-256 with what it should be.

    Raises:
        FetchError: there is no file.
        IntegrityError: its SHA-256 is another.
    """
    found = file_hash(path)
    if found is None:
        raise FetchError(f"{path}: expected the file that the card names, found none")
    if found != expected:
        raise _mismatch(str(path), expected, found)


def read_verified(path: Path, sha256: str) -> bytes:
    """The bytes of `path`, read once, so that what was hashed is what gets used.

    Raises:
        FetchError: the file cannot be read.
        IntegrityError: the SHA-256 of the bytes is not `sha256`.
    """
    try:
        content = read_whole(path)
    except OSError as error:
        raise _unreadable(path, error) from None
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        raise _mismatch(str(path), sha256, found)
    return content


def copy_verified(source: Path, target: Path, sha256: str) -> None:
    """Copies `source` to `target` if its SHA-256 is right.

    Raises:
        FetchError: a file cannot be read or written.
        IntegrityError: the SHA-256 is another.
    """
    try:
        file = open_regular(source)
    except OSError as error:
        raise _unreadable(source, error) from None
    with file, locked(target.parent):
        store(iter(lambda: file.read(BLOCK_BYTES), b""), target, sha256, str(source))


def write_text(path: Path, text: str) -> None:
    """Writes a small file whole.

    Raises:
        FetchError: the folder cannot be written.
    """
    try:
        with replacing(path) as file:
            file.write(text.encode())
    except OSError as error:
        raise _unwritable(path.parent, error) from None


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Holds the only right to write in `folder`, made if need be."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        lock = os.fdopen(os.open(folder / ".lock", flags, 0o644))
    except OSError as error:
        raise _unwritable(folder, error) from None
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def set_aside(target: Path, expected: str) -> str | None:
    """Renames a wrong file and says what was found; None where the right one is there."""
    found = file_hash(target)
    if found == expected:
        return None
    if found is None:
        return "no file"
    aside = target.with_name(f"{target.name}.wrong-{found[:12]}")
    try:
        os.replace(target, aside)
    except OSError as error:
        raise _unwritable(target.parent, error) from None
    log.warning("%s: SHA-256 %s is not %s; set aside as %s", target, found, expected, aside.name)
    return f"SHA-256 {found}, now set aside as {aside.name}"


def store(chunks: Iterable[bytes], target: Path, expected: str, origin: str) -> None:
    """Writes `chunks` as `target` if their SHA-256 is the expected one, and else nothing."""
    digest = hashlib.sha256()
    try:
        with replacing(target) as file:
            for chunk in chunks:
                file.write(chunk)
                digest.update(chunk)
            if digest.hexdigest() != expected:
                raise _mismatch(origin, expected, digest.hexdigest())
    except OSError as error:
        raise _unwritable(target.parent, error) from None


def _mismatch(name: str, expected: str, found: str) -> IntegrityError:
    return IntegrityError(f"{name}: expected SHA-256 {expected}, found {found}")


def _unreadable(path: Path, error: OSError) -> FetchError:
    return FetchError(f"{path}: cannot be read: {error.strerror}")


def _unwritable(folder: Path, error: OSError) -> FetchError:
    return FetchError(
        f"{folder}: cannot be written: {error.strerror}; "
        "--cache-dir or GHOSTNET_CACHE name another folder"
    )
