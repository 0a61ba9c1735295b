"""Rows of labeled images, in whatever file they are."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ghostnet.inference.provenance import Provenance

Answer = Mapping[str, Any]
"""What `Result.to_dict` returns: ``file`` with ``predictions`` or ``error``."""


@dataclass(frozen=True)
class Row:
    """A row that is finished.

    Attributes:
        file: Name of the image.
        has_failed: Whether the image could not be labeled.
    """

    file: str
    has_failed: bool


class Rows(ABC):
    """A file of answers in the order of their images; use it in `open_results`.

    Args:
        path: The file.
        provenance: What makes the answers of this run.
    """

    def __init__(self, path: Path, provenance: Provenance) -> None:
        self.path = path
        self.provenance = provenance

    @property
    @abstractmethod
    def lock(self) -> Path:
        """The file that a process locks while it writes the rows."""

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
    def retry(self, answers: Iterator[Answer]) -> None:
        """Put an answer in the place of each failed row, in their order.

        If the answers end early with an error, the rows that are left stay as they are.

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


class Retried:
    """Answers in the place of rows, as long as they come.

    Args:
        answers: The answers.

    Attributes:
        error: What ended them early.
    """

    def __init__(self, answers: Iterator[Answer]) -> None:
        self._answers = answers
        self.error: BaseException | None = None

    def next(self) -> Answer | None:
        """Return the next answer, or None after an error."""
        if self.error is None:
            try:
                return next(self._answers)
            except BaseException as error:  # Ctrl-C, too: what was retried is kept
                self.error = error
        return None
