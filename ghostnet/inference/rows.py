"""Rows of labeled images, in whatever file they are."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ghostnet.inference.fingerprints import Fingerprints
from ghostnet.inference.provenance import Provenance

Answer = Mapping[str, Any]
"""What `Result.to_dict` returns: ``file`` with ``predictions`` or ``error``."""


GONE = "the file is gone"
"""Error of a row whose image was labeled, and is no longer there."""


@dataclass(frozen=True)
class Row:
    """A row that is finished.

    Attributes:
        file: Name of the image.
        error: Why it has no answer, or `GONE`; None if all is well.
    """

    file: str
    error: str | None = None


class Rows(ABC):
    """A file of answers in the order of their images; use it in `open_results`.

    Args:
        path: The file.
        provenance: What makes the answers of this run.

    Attributes:
        fingerprints: How the images were when they were labeled; `open_results` opens them.
    """

    fingerprints: Fingerprints

    def __init__(self, path: Path, provenance: Provenance) -> None:
        self.path = path
        self.provenance = provenance

    @property
    @abstractmethod
    def lock(self) -> Path:
        """The file that a process locks while it writes the rows."""

    @property
    @abstractmethod
    def images(self) -> Path:
        """The database of the images' `Fingerprints`."""

    @abstractmethod
    def open(self) -> None:
        """Make the file, or open it if it is there.

        Raises:
            ResultsError: It cannot be written.
        """

    @property
    @abstractmethod
    def is_empty(self) -> bool:
        """Whether the file has no row."""

    @abstractmethod
    def recorded(self) -> Provenance | None:
        """Return what made the rows that are there; None if nothing says it.

        Raises:
            ResultsError: What says it cannot be read.
        """

    @abstractmethod
    def finished(self) -> Iterator[Row]:
        """Drop an unfinished row, and yield the others; the file can then be added to.

        Raises:
            ResultsError: The file has something else than such rows.
        """

    @abstractmethod
    def replace(self, answers: Mapping[int, Answer]) -> None:
        """Put answers in the places of rows, which are numbered from 0.

        Raises:
            ResultsError: The file cannot be written.
        """

    @abstractmethod
    def mark(self, errors: Mapping[int, str | None]) -> None:
        """Change the errors of rows, by number, and leave the rest of these rows as it is.

        Raises:
            ResultsError: The file cannot be written.
        """

    @abstractmethod
    def write(self, answer: Answer) -> None:
        """Add a row.

        Raises:
            ResultsError: The file cannot be written.
        """

    @abstractmethod
    def close(self) -> None:
        """Write what is left.

        Raises:
            ResultsError: The file cannot be written.
        """


def with_error(answer: Answer, error: str | None) -> Answer:
    """Return an answer with another error, or without any."""
    rest = {name: value for name, value in answer.items() if name != "error"}
    return {**rest, "error": error} if error else rest
