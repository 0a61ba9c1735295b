"""The content of a file, read at any place by any thread."""

import errno
import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

from ghostnet.files import open_regular

Content: TypeAlias = Callable[[int, int], bytes]
"""Maps an offset and a length to the bytes there; fewer only at the end."""

MAX_READ = 1024 * 1024
"""Longest header that a reader of an archive may ask for."""


def content_of_file(path: Path, offset: int, length: int) -> bytes:
    """Read a part of a regular file.

    Raises:
        OSError: It cannot be read.
    """
    with open_regular(path) as file:
        file.seek(offset)
        return file.read(length)


class Cursor(io.RawIOBase):
    """Content as a file that libraries read.

    Args:
        content: The content.
        length: Its length; None where it is not known, and places are not counted from the end.
    """

    def __init__(self, content: Content, length: int | None = None) -> None:
        self._content = content
        self._length = length
        self._position = 0

    def readable(self) -> bool:
        """Whether it can be read."""
        return True

    def seekable(self) -> bool:
        """Whether it has places."""
        return True

    def readinto(self, buffer: "bytearray | memoryview") -> int:  # type: ignore[override]
        """Read as many bytes as the buffer holds; fewer only at the end."""
        found = self._content(self._position, len(buffer))
        buffer[: len(found)] = found
        self._position += len(found)
        return len(found)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move to a place."""
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._length}[whence]
        if start is None or start + offset < 0:
            raise OSError(errno.EINVAL, "there is no such place")
        self._position = start + offset
        return self._position

    def tell(self) -> int:
        """Return the place."""
        return self._position


class Headers(io.BufferedReader):
    """Content as a file from which only headers are read: a bomb's may claim any length.

    Attributes:
        left: Bytes that may still be read of the header, in one piece or in several.
    """

    left = MAX_READ

    def begin(self) -> None:
        """Begin another header."""
        self.left = MAX_READ

    def read(self, size: int | None = -1, /) -> bytes:
        """Read a header.

        Raises:
            OSError: It is longer than `MAX_READ`.
        """
        if size is None or not 0 <= size <= self.left:
            raise OSError(errno.EFBIG, f"a header claims to have more than {MAX_READ:,} bytes")
        self.left -= size
        return super().read(size)
