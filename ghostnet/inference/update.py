"""Bring a file of rows up to date with its images: label what is new or has changed."""

import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from enum import Enum, auto
from itertools import chain

from ghostnet.data.left_out import LeftOut
from ghostnet.data.remote import URL
from ghostnet.inference.labeling import file_source
from ghostnet.inference.row_index import RowIndex
from ghostnet.inference.row_writer import Labeler, RowWriter, Task
from ghostnet.inference.rows import GONE, Row, Rows
from ghostnet.model import ImageSource
from ghostnet.model.result import path_of


class State(Enum):
    """What has become of the image of a row."""

    UNCHANGED = auto()
    CHANGED = auto()
    UNKNOWN = auto()
    """Nothing says how it was when it was labeled."""
    FAILED = auto()
    """It was not labeled."""
    GONE = auto()


DUE = (State.CHANGED, State.UNKNOWN, State.FAILED)


@dataclass(frozen=True)
class Updated:
    """The outcome of an update; the first number is the sum of the next five.

    Attributes:
        rows: Rows of the file.
        new: Rows that were added.
        changed: Rows that were replaced because their files have changed.
        unchanged: Rows that were left as they were.
        gone: Rows whose files are no longer there; they have the error `GONE`.
        retried: Rows that had an error, and whose images were tried again.
        errors: Rows whose images could not be labeled.
    """

    rows: int
    new: int
    changed: int
    unchanged: int
    gone: int
    retried: int
    errors: int

    @property
    def answers(self) -> int:
        """Images that went through the network, or failed on the way."""
        return self.new + self.changed + self.retried

    @property
    def is_empty(self) -> bool:
        """Whether no row has the answer of an image that is there."""
        return self.rows == self.errors + self.gone


def update(
    labeler: Labeler,
    names: Iterator[str],
    rows: Rows,
    left_out: LeftOut,
    source: Callable[[str], ImageSource] = file_source,
    progress: Callable[[int], None] = lambda count: None,
) -> Updated:
    """Compare each row with its file, and add rows for images that have none.

    A row keeps its place, and new ones follow at the end. Memory does not grow with the rows.

    Args:
        labeler: Labels the images.
        names: Names of images, in any order; those that have a row may be missing.
        rows: The file of the rows.
        left_out: Counts files of rows that cannot be read.
        source: Finds an image by its name.
        progress: Called with the number of rows that stay as they are, then with 1 for each other.

    Raises:
        ResultsError: The file cannot be written.
    """
    writer = RowWriter(labeler, rows, source, progress)
    with closing(RowIndex()) as index:
        counts = _compare(rows, index, left_out)
        progress(counts[State.UNCHANGED] + counts[State.GONE])
        writer.write(_tasks(chain(names, index.due()), index))
    return Updated(
        rows=counts.total() + writer.added,
        new=writer.added,
        changed=counts[State.CHANGED] + counts[State.UNKNOWN],
        unchanged=counts[State.UNCHANGED],
        gone=counts[State.GONE],
        retried=counts[State.FAILED],
        errors=writer.errors,
    )


def _tasks(names: Iterator[str], index: RowIndex) -> Iterator[Task]:
    for name in names:
        numbers = index.take(name)
        if numbers is not None:
            yield Task(name, numbers)


def _compare(rows: Rows, index: RowIndex, left_out: LeftOut) -> Counter[State]:
    """Put rows into an index, and mark those whose files are gone.

    Returns:
        The number of rows in each state.
    """
    counts: Counter[State] = Counter()
    for number, row in enumerate(rows.finished()):
        path = path_of(row.file)
        state = _state(row, path, rows, left_out)
        counts[state] += 1
        index.add(number, path, is_due=state in DUE, mark=_mark(row, state))
    index.prepare()
    if counts[State.UNKNOWN]:
        warnings.warn(
            f"{rows.path}: nothing says how the files of {counts[State.UNKNOWN]:,} rows were when "
            "they were labeled, so they are labeled again",
            stacklevel=3,
        )
    rows.fingerprints.commit()
    for errors in index.marks():
        rows.mark(errors)
    return counts


def _state(row: Row, path: str, rows: Rows, left_out: LeftOut) -> State:
    """Compare the file of a row with what was recorded when it was labeled."""
    has_failed = row.error not in (None, GONE)
    if URL.match(path):
        return State.FAILED if has_failed else State.UNCHANGED
    fingerprints = rows.fingerprints
    try:
        found = fingerprints.of(path)
    except (FileNotFoundError, NotADirectoryError):
        if has_failed:
            fingerprints.forget(path)  # if it comes back, it still has to be labeled
        return State.GONE
    except OSError as error:
        left_out.add(path, str(error.strerror).lower())
        left_out.is_partial = True
        return State.FAILED if has_failed else State.UNCHANGED
    if has_failed:
        return State.FAILED
    recorded = fingerprints.recorded(path)
    if recorded is None:
        return State.UNKNOWN
    if not found.is_like(recorded):
        return State.CHANGED
    if fingerprints.by_content and found != recorded:
        fingerprints.record(path, found)
    return State.UNCHANGED


def _mark(row: Row, state: State) -> str | None:
    """Return the new error of a row, as `RowIndex.add` takes it."""
    if state is State.GONE:
        return None if row.error == GONE else GONE
    return "" if row.error == GONE and state is State.UNCHANGED else None
