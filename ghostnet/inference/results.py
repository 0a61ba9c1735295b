"""Files of labeled images: rows are written as they come, and an interrupted file is continued."""

import threading
import warnings
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

import numpy as np

from ghostnet.errors import ResultsError
from ghostnet.files import locked, raising, replacing
from ghostnet.inference.fingerprints import Fingerprints
from ghostnet.inference.line_files import Csv, JsonLines
from ghostnet.inference.provenance import Provenance
from ghostnet.inference.rows import Answer, Row, Rows
from ghostnet.inference.vectors import Vectors
from ghostnet.packages import needs

PART_ROWS = 10_000
"""Most rows of a part of a Parquet data set."""

PART_SECONDS = 60
"""How long a row waits for others before its part is written."""

METADATA_KEY = b"ghostnet"
"""Where a part's schema says what made its rows."""


class Parquet(Rows):
    """A folder of Parquet files, each written whole: what readers of Parquet call a data set."""

    def __init__(self, path: Path, provenance: Provenance) -> None:
        super().__init__(path, provenance)
        with needs("pyarrow", extra="parquet"):
            import pyarrow
            import pyarrow.parquet
        if path.is_file():
            raise ResultsError(f"{path} is a file, but Parquet results are a folder; name another")
        self._arrow: Any = pyarrow
        self._parquet: Any = pyarrow.parquet
        self._rows: list[Answer] = []
        self._writing = threading.Lock()
        self._timer = threading.Timer(PART_SECONDS, self._write_in_time)

    @property
    def lock(self) -> Path:
        """The file that a process locks while it writes the rows."""
        return self.path / ".lock"

    @property
    def images(self) -> Path:
        """The database of the images' fingerprints."""
        return self.path / ".images.sqlite"

    def open(self) -> None:
        """Make the folder, and check that files can be written there."""
        with raising(ResultsError, f"{self.path}: cannot be written"), TemporaryFile(dir=self.path):
            pass

    @property
    def is_empty(self) -> bool:
        """Whether the file has no row."""
        return not any(self._file(part).metadata.num_rows for part in self._parts)

    def recorded(self) -> Provenance | None:
        """Return what made the rows that are there; None if nothing says it."""
        return next((recorded_in(self._file(part)) for part in self._parts), None)

    def finished(self) -> Iterator[Row]:
        """Yield the rows that are there."""
        for part in self._parts:
            table = self._file(part).read(columns=["file", "error"])
            for row in table.to_pylist():
                yield Row(row["file"], row["error"])

    def replace(self, answers: Mapping[int, Answer]) -> None:
        """Put answers in the places of rows, which are numbered from 0."""
        for part, places in self._places(answers):
            table = self._file(part).read()
            new = self._table([answers[number] for number in places.values()])
            order = [*range(len(table))]
            for row, place in enumerate(places, len(table)):
                order[place] = row
            self._write_table(self._arrow.concat_tables([table, new]).take(order), part)

    def mark(self, errors: Mapping[int, str | None]) -> None:
        """Change the errors of rows, by number, and leave the rest of these rows as it is."""
        for part, places in self._places(errors):
            table = self._file(part).read()
            column = table["error"].to_pylist()
            for place, number in places.items():
                column[place] = errors[number]
            where = table.column_names.index("error")
            marked = self._arrow.array(column, self._arrow.string())
            self._write_table(table.set_column(where, "error", marked), part)

    def write(self, answer: Answer) -> None:
        """Add a row."""
        with self._writing:
            if not self._rows:
                self._timer = threading.Timer(PART_SECONDS, self._write_in_time)
                self._timer.daemon = True
                self._timer.start()
            self._rows.append(answer)
            if len(self._rows) == PART_ROWS:
                self._write_part()

    def close(self) -> None:
        """Write what is left; without any row, a part that has none."""
        with self._writing:
            if self._rows or not self._parts:
                self._write_part()

    @property
    def _parts(self) -> list[Path]:
        return sorted(self.path.glob("part-*.parquet"))

    def _places(self, numbers: Iterable[int]) -> Iterator[tuple[Path, dict[int, int]]]:
        """Yield each part that has some of these rows, with their numbers by place in the part."""
        ordered = sorted(numbers)
        start = 0
        for part in self._parts:
            end = start + self._file(part).metadata.num_rows
            here = ordered[bisect_left(ordered, start) : bisect_left(ordered, end)]
            if here:
                yield part, {number - start: number for number in here}
            start = end

    def _file(self, part: Path) -> Any:
        try:
            return self._parquet.ParquetFile(part)
        except (OSError, self._arrow.ArrowException) as error:
            raise ResultsError(f"{part}: cannot be read ({error}); remove it") from error

    def _write_in_time(self) -> None:
        """Write the rows that have waited; where that fails, the next attempt will say so."""
        with self._writing, suppress(ResultsError):
            if self._rows:
                self._write_part()

    def _write_part(self) -> None:
        self._timer.cancel()
        last = self._parts[-1:]
        number = int(last[0].stem.removeprefix("part-")) + 1 if last else 0
        self._write_table(self._table(self._rows), self.path / f"part-{number:06}.parquet")
        self._rows = []

    def _table(self, answers: list[Answer]) -> Any:
        return answer_table(answers, self.provenance.vectors)

    def _write_table(self, table: Any, target: Path) -> None:
        record = {METADATA_KEY: self.provenance.to_json().encode(errors="backslashreplace")}
        with (
            raising(ResultsError, f"{target}: cannot be written"),
            replacing(target) as file,
        ):
            self._parquet.write_table(table.replace_schema_metadata(record), file)


def recorded_in(file: Any) -> Provenance | None:
    """Return what made the rows of a Parquet file; None if nothing says it."""
    metadata = file.schema_arrow.metadata or {}
    return Provenance.from_json(metadata[METADATA_KEY]) if METADATA_KEY in metadata else None


FORMATS: dict[str, type[Rows]] = {".csv": Csv, ".jsonl": JsonLines, ".parquet": Parquet}
"""Formats of the files, by suffix."""


@contextmanager
def open_results(
    path: Path,
    provenance: Provenance,
    *,
    formats: Mapping[str, type[Rows]] = FORMATS,
    resume: bool = False,
    by_content: bool = False,
) -> Iterator[Rows]:
    """Open a file of answers, in the format of its suffix, for one process at a time.

    Args:
        path: File to write: ``.csv``, ``.jsonl`` or ``.parquet``, which is a folder.
        provenance: What makes the answers of this run.
        formats: Formats by suffix.
        resume: Add to the rows that are there; otherwise there must be none.
        by_content: Take the hashes of images to tell which have changed.

    Raises:
        ResultsError: The suffix is another; another process writes the file; it has rows, and they
            are not to be continued, or something else made them; or it cannot be written.
    """
    kind = formats.get(path.suffix.lower())
    if kind is None:
        raise ResultsError(f"{path}: the name must end in {', '.join(formats)}")
    rows = kind(path, provenance)
    with raising(ResultsError, f"{path}: cannot be written"):
        rows.lock.parent.mkdir(parents=True, exist_ok=True)
    with _locked(rows):
        rows.open()
        with closing(rows):
            _check(rows, resume=resume)
            with closing(Fingerprints(rows.images, by_content=by_content)) as rows.fingerprints:
                if rows.is_empty:
                    rows.fingerprints.clear()
                yield rows


@contextmanager
def _locked(rows: Rows) -> Iterator[None]:
    with ExitStack() as stack:
        try:
            stack.enter_context(locked(rows.lock))
        except BlockingIOError:
            raise ResultsError(
                f"{rows.path}: another process is writing it; wait for it, or name another file"
            ) from None
        except OSError as error:
            raise ResultsError(f"{rows.path}: cannot be written ({error.strerror})") from error
        yield


def _check(rows: Rows, *, resume: bool) -> None:
    """Check that this run may add to the rows that are there.

    Raises:
        ResultsError: It may not.
    """
    if rows.is_empty:
        return
    if not resume:
        raise ResultsError(
            f"{rows.path} exists; continue it (--resume), bring it up to date (--update in "
            "place of --out), or name another file"
        )
    recorded = rows.recorded()
    if recorded is None:
        warnings.warn(
            f"{rows.path}: nothing says which model made its rows; make sure that it was "
            f"{rows.provenance.model}",
            stacklevel=4,
        )
    elif difference := rows.provenance.difference(recorded):
        raise ResultsError(
            f"{rows.path} {difference}; continue it with what made it, or name another file"
        )


def answer_table(answers: Sequence[Answer], vectors: Vectors | None = None) -> Any:
    """Return answers as a table of Arrow: ``file``, ``predictions`` or ``embedding``, ``error``.

    Args:
        answers: The answers.
        vectors: Their embeddings, where they have some in place of predictions.

    Raises:
        PackageError: pyarrow is not installed.
    """
    with needs("pyarrow", extra="parquet"):
        import pyarrow as arrow
    if vectors:
        answered = ("embedding", arrow.list_(arrow.float32(), vectors.length))
    else:
        prediction = arrow.struct(
            [("label", arrow.string()), ("index", arrow.int32()), ("probability", arrow.float64())]
        )
        answered = ("predictions", arrow.list_(prediction))
    schema = arrow.schema([("file", arrow.string()), answered, ("error", arrow.string())])
    return arrow.Table.from_pylist([*answers], schema)


def answers_in(table: Any) -> Iterator[Answer]:
    """Yield the answers in a table of Arrow."""
    for row in table.to_pylist():
        answer = {name: value for name, value in row.items() if value is not None}
        if "embedding" in answer:
            answer["embedding"] = np.array(answer["embedding"], np.float32)
        yield answer
