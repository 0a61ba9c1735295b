"""Files with a promised SHA-256: read, copied and stored whole, or not at all.

Bytes are hashed on their way to a temporary file in the folder of the target. That file gets its
name in one atomic step, only if the hash is right, so a killed process leaves no wrong file under a
right name.
"""

import hashlib
import logging
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path

from ghostnet.checkpoints.budget import MAX_BYTES
from ghostnet.errors import FetchError, IntegrityError
from ghostnet.files import CHUNK_BYTES, open_regular, raising, read_whole, replacing, sha256_of
from ghostnet.system.files import copy_permissions, lock, open_itself, rename_closed

log = logging.getLogger(__name__)


def found_hash(path: Path) -> str | None:
    """Hash a file.

    Returns:
        The SHA-256, ``unreadable`` if the file cannot be read, or None if there is none.
    """
    try:
        return sha256_of(path)
    except FileNotFoundError:
        return None
    except OSError:
        return "unreadable"


def matches(found: str | None, expected: str) -> bool:
    """Whether a SHA-256 is the expected one, or starts with the digits that a card gives."""
    return found is not None and found.startswith(expected)


def check_file(path: Path, expected: str) -> None:
    """Compare the SHA-256 of a file with the expected one.

    Raises:
        FetchError: There is no such file.
        IntegrityError: Its SHA-256 is another.
    """
    found = found_hash(path)
    if found is None:
        raise FetchError(f"{path}: the file that the card names is missing")
    if not matches(found, expected):
        raise mismatch(str(path), expected, found)


def read_verified(path: Path, sha256: str) -> bytes:
    """Read a file once, so that the bytes that were hashed are the bytes that are used.

    Raises:
        FetchError: The file cannot be read.
        IntegrityError: The SHA-256 of its bytes does not start with ``sha256``.
    """
    with raising(FetchError, f"{path}: cannot be read"):
        content = read_whole(path, MAX_BYTES)
    found = hashlib.sha256(content).hexdigest()
    if not matches(found, sha256):
        raise mismatch(str(path), sha256, found)
    return content


def copy_verified(source: Path, target: Path, sha256: str) -> None:
    """Copy a file if its SHA-256 is right.

    Raises:
        FetchError: A file cannot be read or written.
        IntegrityError: The SHA-256 of ``source`` is another.
    """
    with raising(FetchError, f"{source}: cannot be read"):
        file = open_regular(source)
    with file, locked(target.parent):
        store(iter(lambda: file.read(CHUNK_BYTES), b""), target, sha256, str(source))


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the exclusive right to write in a folder of the cache, made if need be."""
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        file = open_itself(folder / ".lock")
        with suppress(OSError):  # another user's, or a file system without permissions
            copy_permissions(file, folder.stat().st_mode & 0o666)  # for all who may write here
    with file:
        lock(file, wait=True)
        yield


def set_aside(target: Path, expected: str) -> str | None:
    """Rename a file whose SHA-256 is wrong.

    Returns:
        What was found, for a message; None if the right file is there.
    """
    found = found_hash(target)
    if matches(found, expected):
        return None
    if found is None:
        return "no file"
    aside = target.with_name(f"{target.name}.wrong-{found[:12]}")
    with writing(target.parent):
        rename_closed(target, aside)
    log.warning("%s: SHA-256 %s is not %s; set aside as %s", target, found, expected, aside.name)
    return f"SHA-256 {found}, now set aside as {aside.name}"


def store(chunks: Iterable[bytes], target: Path, expected: str, origin: str) -> None:
    """Write chunks to a file, if their SHA-256 is the expected one.

    Args:
        chunks: Content of the file.
        target: File to write.
        expected: SHA-256 of the content.
        origin: What errors call the source of the chunks.

    Raises:
        FetchError: The file cannot be written.
        IntegrityError: The SHA-256 of the chunks is another.
    """
    digest = hashlib.sha256()
    with writing(target.parent), replacing(target) as file:
        for chunk in chunks:
            file.write(chunk)
            digest.update(chunk)
        if not matches(digest.hexdigest(), expected):
            raise mismatch(origin, expected, digest.hexdigest())


def writing(folder: Path) -> AbstractContextManager[None]:
    """Turn an `OSError` inside the block into a `FetchError` about a folder of the cache."""
    advice = "name another folder with --cache-dir or GHOSTNET_CACHE"
    return raising(FetchError, f"{folder}: cannot be written", advice)


def mismatch(name: str, expected: str, found: str) -> IntegrityError:
    """Make the error for a wrong SHA-256."""
    return IntegrityError(f"{name} has the SHA-256 {found} instead of {expected}")
