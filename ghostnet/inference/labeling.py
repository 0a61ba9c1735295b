"""Label any number of images into a file, and continue where an earlier run stopped."""

import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from tempfile import SpooledTemporaryFile
from typing import IO

from ghostnet.errors import ResultsError
from ghostnet.inference.bursts import Bursts
from ghostnet.inference.row_writer import Labeler, RowWriter, Task
from ghostnet.inference.rows import Answer, Rows
from ghostnet.model import ImageSource, Model
from ghostnet.model.forward import Forward
from ghostnet.model.result import printable

SPOOL_BYTES = 1024 * 1024
"""Size from which the names of failed images are kept in a temporary file."""


def label_with(model: Model, top_k: int, *, batch_size: int, forward: Forward) -> Labeler:
    """Return what labels images in this process; no batch waits for long until it is full.

    Args:
        model: The model.
        top_k: Labels of an image.
        batch_size: Images that go through the network together.
        forward: What computes the logits.
    """

    def answers(images: Iterable[ImageSource]) -> Iterator[Answer]:
        with closing(Bursts(images)) as bursts:
            for burst in bursts:
                for result in model.results(burst, batch_size=batch_size, forward=forward):
                    yield result.to_dict(top_k)

    return answers


@dataclass(frozen=True)
class Labeled:
    """The outcome of a run.

    Attributes:
        rows: Rows of the file.
        resumed: Rows that were there before.
        retried: Rows that were there before, with an error, and whose images were tried again.
        errors: Rows of the file whose images could not be labeled.
    """

    rows: int
    resumed: int
    retried: int
    errors: int

    @property
    def answers(self) -> int:
        """Images that went through the network, or failed on the way."""
        return self.rows - self.resumed + self.retried

    @property
    def is_empty(self) -> bool:
        """Whether no row has an answer."""
        return self.rows == self.errors


def file_source(name: str) -> ImageSource:
    """Return the image in a file, under the file's name."""
    return ImageSource(name, name)


def label(
    labeler: Labeler,
    names: Iterator[str],
    rows: Rows,
    source: Callable[[str], ImageSource] = file_source,
    progress: Callable[[int], None] = lambda count: None,
) -> Labeled:
    """Write a row for each image, in the order of the images; memory does not grow with them.

    Rows that are there stay as they are, but those with an error are replaced.

    Args:
        labeler: Labels the images.
        names: Names of the images.
        rows: The file of the rows, which may have those of the first images.
        source: Finds an image by its name.
        progress: Called with the number of rows that are done, then with 1 for each row.

    Raises:
        ResultsError: The rows are not those of the first images, or the file cannot be written.
    """
    writer = RowWriter(labeler, rows, source, progress)
    with SpooledTemporaryFile(SPOOL_BYTES, "w+", encoding="ascii") as failed:
        resumed, retried = _match(names, rows, failed)
        progress(resumed - retried)
        if retried:
            failed.seek(0)
            writer.write(Task(name, (number,)) for number, name in map(json.loads, failed))
    writer.write(map(Task, names))
    return Labeled(resumed + writer.added, resumed, retried, writer.errors)


def _match(names: Iterator[str], rows: Rows, failed: IO[str]) -> tuple[int, int]:
    """Skip the images of the rows that are there, and note the places of those that failed.

    Returns:
        The number of rows, and how many of them failed.
    """
    count = retried = 0
    for row in rows.finished():
        name = next(names, None)
        if name is None or printable(name) != row.file:
            raise ResultsError(
                f"{rows.path}: row {count + 1:,} is about {row.file}, where "
                f"{name or 'no more image'} should follow; continue with the same images, use "
                "--update if some have come or gone, or name another file"
            )
        if row.error:
            retried += 1
            failed.write(json.dumps((count, name)) + "\n")
        count += 1
    return count, retried
