"""Label any number of images into a file, and continue where an earlier run stopped."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from ghostnet.errors import ResultsError
from ghostnet.inference.results import Answer, Results
from ghostnet.model import ImageSource, Model
from ghostnet.model.forward import Forward
from ghostnet.model.result import printable

Labeler: TypeAlias = Callable[[Iterable[ImageSource], int], Iterable[Answer]]
"""Maps images, and the number of labels for each, to answers in the order of the images."""


def label_with(model: Model, *, batch_size: int, forward: Forward) -> Labeler:
    """Return what labels images in this process.

    Args:
        model: The model.
        batch_size: Images that go through the network together.
        forward: What computes the logits.
    """

    def answers(images: Iterable[ImageSource], count: int) -> Iterator[Answer]:
        for result in model.results(images, batch_size=batch_size, forward=forward):
            yield result.to_dict(count)

    return answers


@dataclass(frozen=True)
class Labeled:
    """The outcome of a run.

    Attributes:
        rows: Rows of the file.
        resumed: Rows that were there before.
        errors: Images of this run that could not be labeled; they are rows too.
    """

    rows: int
    resumed: int
    errors: int


def label(
    labeler: Labeler,
    images: Iterator[Path],
    results: Results,
    progress: Callable[[int], None] = lambda count: None,
) -> Labeled:
    """Write a row for each image, in the order of the images; memory does not grow with them.

    Args:
        labeler: Labels the images.
        images: Their files.
        results: The file of the rows; the images of the rows that it has are skipped.
        progress: Called with the number of rows that are there, then with 1 for each row.

    Raises:
        ResultsError: The rows are not those of the first images, or the file cannot be written.
    """
    with closing(results):
        resumed = _skip(images, results)
        progress(resumed)
        rows, errors = resumed, 0
        sources = (ImageSource(str(file), file) for file in images)
        for answer in labeler(sources, results.top_k):
            results.write(answer)
            rows += 1
            errors += "error" in answer
            progress(1)
    return Labeled(rows, resumed, errors)


def _skip(images: Iterator[Path], results: Results) -> int:
    """Skip the images of the rows that are there; returns their number."""
    count = 0
    for name in results.names():
        file = next(images, None)
        if file is None or printable(str(file)) != name:
            raise ResultsError(
                f"{results.path}: row {count + 1:,} is about {name}, where "
                f"{file or 'no more image'} should follow; continue with the same images, or name "
                "another file"
            )
        count += 1
    return count
