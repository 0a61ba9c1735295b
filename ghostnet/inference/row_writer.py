"""Answers on their way into a file of rows."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeAlias

from ghostnet.inference.fingerprints import Fingerprint
from ghostnet.inference.rows import Answer, Rows
from ghostnet.model import ImageSource

Labeler: TypeAlias = Callable[[Iterable[ImageSource]], Iterator[Answer]]
"""Maps images to answers in their order."""

REPLACED_TOGETHER = 10_000
"""Most answers that are collected before the rows in whose places they belong are replaced."""


@dataclass(frozen=True)
class Task:
    """An image to label.

    Attributes:
        name: Its name.
        rows: Numbers of the rows to replace; without any, the image gets a new row.
    """

    name: str
    rows: tuple[int, ...] = ()


class RowWriter:
    """Labels images, and writes each answer into a new row or into the place of old ones.

    Args:
        labeler: Labels the images.
        rows: The file of the rows.
        source: Finds an image by its name.
        progress: Called with 1 for each answer.

    Attributes:
        added: New rows.
        errors: Answers that are errors.
    """

    def __init__(
        self,
        labeler: Labeler,
        rows: Rows,
        source: Callable[[str], ImageSource],
        progress: Callable[[int], None],
    ) -> None:
        self.added = self.errors = 0
        self._labeler = labeler
        self._rows = rows
        self._source = source
        self._progress = progress
        self._replaced: list[tuple[Task, Fingerprint | None, Answer]] = []

    def write(self, tasks: Iterable[Task]) -> None:
        """Label images; what was labeled before an error, or Ctrl-C, is kept.

        Raises:
            ResultsError: The file cannot be written.
        """
        waiting: deque[tuple[Task, Fingerprint | None] | None] = deque()

        def images() -> Iterator[ImageSource]:
            for task in tasks:
                found = self._fingerprint(task.name)
                if task.rows:
                    waiting.append((task, found))
                else:
                    waiting.append(None)
                    if found:
                        self._rows.fingerprints.record(task.name, found)
                yield self._source(task.name)

        try:
            for answer in self._labeler(images()):
                self._take(waiting.popleft(), answer)
        finally:
            self._replace()

    def _take(self, replaced: tuple[Task, Fingerprint | None] | None, answer: Answer) -> None:
        self.errors += "error" in answer
        if replaced is None:
            self._rows.write(answer)
            self.added += 1
        else:
            self._replaced.append((*replaced, answer))
            if len(self._replaced) == REPLACED_TOGETHER:
                self._replace()
        self._progress(1)

    def _replace(self) -> None:
        """Replace rows, and only then record that they are those of the files as they are now."""
        if not self._replaced:
            return
        self._rows.replace(
            {number: answer for task, _, answer in self._replaced for number in task.rows}
        )
        for task, found, _ in self._replaced:
            if found:
                self._rows.fingerprints.record(task.name, found)
        self._replaced = []

    def _fingerprint(self, name: str) -> Fingerprint | None:
        with suppress(OSError):
            return self._rows.fingerprints.of(name)
        return None
