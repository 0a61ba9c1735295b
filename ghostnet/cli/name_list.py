"""Names of images and folders, on the command line and in a file."""

import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO

from ghostnet.errors import ResultsError
from ghostnet.files import CHUNK_BYTES, raising


@dataclass(frozen=True)
class NameList:
    """The names that a command works on, in order.

    Attributes:
        names: Names on the command line.
        file: File of more names, ``-`` for stdin, or None.
        null: Whether names in the file end in NUL instead of a newline.
    """

    names: list[str]
    file: str | None = None
    null: bool = False

    def __post_init__(self) -> None:
        if self.file is not None and self.is_repeatable:
            with raising(ResultsError, f"{self.file}: cannot be read"):
                open(self.file, "rb").close()  # before any result is written

    def __iter__(self) -> Iterator[str]:
        yield from self.names
        if self.file is None:
            return
        with raising(ResultsError, f"{self.file}: cannot be read"):
            opened = sys.stdin.buffer if self.file == "-" else open(self.file, "rb")  # noqa: SIM115
            with opened as file:
                yield from map(os.fsdecode, self._split(file))

    @property
    def is_repeatable(self) -> bool:
        """Whether the names can be listed twice."""
        return self.file != "-"

    def _split(self, file: IO[bytes]) -> Iterator[bytes]:
        """Yield the names in a file, except empty ones."""
        rest = b""
        while chunk := file.read(CHUNK_BYTES):
            *names, rest = (rest + chunk).split(b"\0" if self.null else b"\n")
            yield from filter(None, map(self._bare, names))
        if self._bare(rest):
            yield self._bare(rest)

    def _bare(self, name: bytes) -> bytes:
        """Remove the carriage return of a Windows line."""
        return name if self.null else name.removesuffix(b"\r")
