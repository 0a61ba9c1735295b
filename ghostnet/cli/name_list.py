"""Names of images and folders, on the command line and in a file."""

import codecs
import os
import stat
import sys
import warnings
from collections.abc import Iterator
from typing import IO

from ghostnet.errors import ResultsError, listed
from ghostnet.files import CHUNK_BYTES, raising

STDIN = "-"
"""What stands for stdin, as a list or as an image."""

MAX_NAME_BYTES = 64 * 1024
"""Length of the longest name in a list: 16 times that of the longest path in Linux."""

UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


class NameList:
    """The names that a command works on, in order.

    A list is read as it is written, and a pipe only once.

    Args:
        names: Names on the command line.
        file: File of more names, ``-`` for stdin, or None.
        null: Whether names in the file end in NUL; otherwise, that is recognized with a warning.

    Raises:
        ResultsError: The file cannot be read.
    """

    def __init__(self, names: list[str], file: str | None = None, *, null: bool = False) -> None:
        self._names = names
        self._file = file
        self._title = "stdin" if file == STDIN else file
        self._end = b"\0" if null else b""
        self._pipe = None if file is None else _open_pipe(file)

    def __iter__(self) -> Iterator[str]:
        yield from self._names
        if self._file is not None:
            with (
                raising(ResultsError, f"{self._title}: cannot be read"),
                self._pipe or open(self._file, "rb", buffering=0) as opened,
            ):
                yield from map(os.fsdecode, self._split(opened))

    def __str__(self) -> str:
        return listed([*self._names, *([self._title] if self._title else [])])

    @property
    def is_repeatable(self) -> bool:
        """Whether the names can be listed twice."""
        return self._pipe is None

    def _split(self, file: IO[bytes]) -> Iterator[bytes]:
        """Yield the names in a file, except empty ones.

        Raises:
            ResultsError: The file is no list of names.
        """
        rest, end = b"", self._end
        while chunk := file.read(CHUNK_BYTES):
            rest += chunk
            if not end:
                rest, end = self._recognized(rest)
            if end == b"\n" and b"\0" in chunk:
                raise ResultsError(
                    f"{self._title}: some names end in a newline and some in NUL; write one per "
                    "line, or end each in NUL and give -0"
                )
            *names, rest = rest.split(end or b"\n")
            yield from filter(None, (_bare(name, end) for name in names))
            if len(rest) > MAX_NAME_BYTES:
                raise ResultsError(
                    f"{self._title}: a name has more than {MAX_NAME_BYTES:,} bytes; names end in a "
                    "newline without -0, and in NUL with it"
                )
        if not end:
            rest, end = self._recognized(rest + b"\n")
        yield from filter(None, (_bare(name, end) for name in rest.split(end)))

    def _recognized(self, head: bytes) -> tuple[bytes, bytes]:
        """Tell by the beginning of a list what its names end in, and say what is unusual.

        Returns:
            The beginning without a byte order mark, and the end of a name; empty before the first.
        """
        if head.startswith(UTF_16):
            raise ResultsError(f"{self._title}: the list is UTF-16 text; save it as UTF-8")
        end = b"\0" if b"\0" in head else b"\n" if b"\n" in head else b""
        unusual = {
            "begins with a byte order mark, which is left out": head.startswith(codecs.BOM_UTF8),
            "has names that end in NUL, and is read as with -0": end == b"\0",
            "has lines that end in CR LF, and is read without the CR": b"\r\n" in head,
        }
        for what in (what for what, is_so in unusual.items() if end and is_so):
            warnings.warn(f"{self._title}: the list {what}", stacklevel=2)
        return (head.removeprefix(codecs.BOM_UTF8) if end else head), end


def _open_pipe(file: str) -> IO[bytes] | None:
    """Open a list that can be read only once; None where it is a regular file.

    There is no buffer, which would wait until it is full.

    Raises:
        ResultsError: It cannot be read.
    """
    if file == STDIN:
        return open(sys.stdin.fileno(), "rb", buffering=0, closefd=False)
    with raising(ResultsError, f"{file}: cannot be read"):
        opened = open(file, "rb", buffering=0)  # noqa: SIM115
        if not stat.S_ISREG(os.fstat(opened.fileno()).st_mode):
            return opened
        opened.close()
        return None


def _bare(name: bytes, end: bytes) -> bytes:
    """Remove the carriage return of a Windows line."""
    return name if end == b"\0" else name.removesuffix(b"\r")
