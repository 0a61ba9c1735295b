"""Files of labeled images: rows are written as they come, and an interrupted file is continued."""

import csv
import io
import json
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

from ghostnet.errors import ResultsError
from ghostnet.files import raising, replacing
from ghostnet.packages import needs

Answer = Mapping[str, Any]
"""What `Result.to_dict` returns: ``file`` with ``predictions`` or ``error``."""

PART_ROWS = 10_000
"""Rows of a part of a Parquet data set."""


class Results(ABC):
    """A file of answers in the order of their images.

    Args:
        path: The file.
        top_k: Predictions of an image.
        resume: Continue what is there; otherwise there must be nothing.

    Raises:
        ResultsError: The file exists, has other columns, or cannot be written.
    """

    def __init__(self, path: Path, top_k: int, *, resume: bool) -> None:
        if path.exists() and not resume:
            raise ResultsError(f"{path} exists; continue it (--resume) or name another file")
        self.path = path
        self.top_k = top_k

    @abstractmethod
    def names(self) -> Iterator[str]:
        """Drop an unfinished row, and yield the files of the others."""

    @abstractmethod
    def write(self, answer: Answer) -> None:
        """Add a row."""

    @abstractmethod
    def close(self) -> None:
        """Write what is left."""


class LineResults(Results):
    """A file of lines; a kill may leave the last one unfinished."""

    def __init__(self, path: Path, top_k: int, *, resume: bool) -> None:
        super().__init__(path, top_k, resume=resume)
        with raising(ResultsError, f"{path}: cannot be written"):
            path.parent.mkdir(parents=True, exist_ok=True)
            self.file: IO[bytes] = path.open("a+b")

    def names(self) -> Iterator[str]:
        """Drop an unfinished row, and yield the files of the others."""
        self.file.seek(0)
        end = 0
        try:
            for name, size in self.records():
                end += size
                if name is not None:
                    yield name
        except ResultsError:
            self.file.close()
            raise
        self.file.truncate(end)
        if end == 0:
            self.begin()

    @abstractmethod
    def records(self) -> Iterator[tuple[str | None, int]]:
        """Yield the file of each finished row, None for the header, with its size in bytes."""

    def begin(self) -> None:
        """Write what comes before the first row."""

    def write_text(self, text: str) -> None:
        """Append a row; the system has it when this returns."""
        with raising(ResultsError, f"{self.path}: cannot be written"):
            self.file.write(text.encode(errors="backslashreplace"))
            self.file.flush()

    def close(self) -> None:
        """Write what is left."""
        self.file.close()


class JsonLines(LineResults):
    """JSON Lines: the objects of `ghostnet predict --json`, one a line."""

    def records(self) -> Iterator[tuple[str | None, int]]:
        """Yield the file of each finished row with its size in bytes."""
        for line in self.file:
            if not line.endswith(b"\n"):
                return
            try:
                yield json.loads(line)["file"], len(line)
            except (ValueError, KeyError, TypeError):
                raise ResultsError(
                    f"{self.path}: {line[:80]!r} is not a line that this command wrote"
                ) from None

    def write(self, answer: Answer) -> None:
        """Add a row."""
        self.write_text(json.dumps(answer, ensure_ascii=False, allow_nan=False) + "\n")


class Csv(LineResults):
    """CSV: the file, label, index and probability of each prediction, and the error."""

    @property
    def header(self) -> list[str]:
        """Names of the columns."""
        places = range(1, self.top_k + 1)
        columns = [f"{what}_{n}" for n in places for what in ("label", "index", "probability")]
        return ["file", *columns, "error"]

    def records(self) -> Iterator[tuple[str | None, int]]:
        """Yield the file of each finished row, None for the header, with its size in bytes."""
        read: list[bytes] = []

        def lines() -> Iterator[str]:
            for line in self.file:
                read.append(line)
                yield line.decode(errors="surrogateescape")

        for number, row in enumerate(csv.reader(lines())):
            record = b"".join(read)
            if not record.endswith(b"\n") or record.count(b'"') % 2:  # torn, perhaps in a cell
                return
            if len(row) != len(self.header) or (number == 0 and row != self.header):
                raise ResultsError(
                    f"{self.path}: row {number + 1:,} does not have the columns for {self.top_k} "
                    f"predictions: {', '.join(row)[:80]}; use the --top-k of the first run"
                )
            yield (row[0] if number else None), len(record)
            read.clear()

    def begin(self) -> None:
        """Write the header."""
        self._write_row(self.header)

    def write(self, answer: Answer) -> None:
        """Add a row."""
        cells: list[Any] = [answer["file"]]
        for prediction in answer.get("predictions", ()):
            cells += [prediction["label"], prediction["index"], prediction["probability"]]
        cells += [""] * (len(self.header) - 1 - len(cells))
        self._write_row([*cells, answer.get("error", "")])

    def _write_row(self, cells: list[Any]) -> None:
        text = io.StringIO(newline="")
        csv.writer(text).writerow(cells)
        self.write_text(text.getvalue())


class Parquet(Results):
    """A folder of Parquet files, each written whole: what readers of Parquet call a data set."""

    def __init__(self, path: Path, top_k: int, *, resume: bool) -> None:
        super().__init__(path, top_k, resume=resume)
        with needs("pyarrow", extra="parquet"):
            import pyarrow
            import pyarrow.parquet
        if path.is_file():
            raise ResultsError(f"{path} is a file, but Parquet results are a folder; name another")
        self._arrow: Any = pyarrow
        self._parquet: Any = pyarrow.parquet
        self._rows: list[Answer] = []

    @property
    def _parts(self) -> list[Path]:
        return sorted(self.path.glob("part-*.parquet"))

    def names(self) -> Iterator[str]:
        """Yield the files of the rows that are there."""
        for part in self._parts:
            try:
                table = self._parquet.read_table(part, columns=["file"])
            except (OSError, self._arrow.ArrowException) as error:
                raise ResultsError(f"{part}: cannot be read ({error}); remove it") from error
            yield from table["file"].to_pylist()

    def write(self, answer: Answer) -> None:
        """Add a row."""
        self._rows.append(answer)
        if len(self._rows) == PART_ROWS:
            self._write_part()

    def close(self) -> None:
        """Write what is left; without any row, a part that has none."""
        if self._rows or not self._parts:
            self._write_part()

    def _write_part(self) -> None:
        target = self.path / f"part-{len(self._parts):06}.parquet"
        with (
            raising(ResultsError, f"{target}: cannot be written"),
            replacing(target) as file,
        ):
            self._parquet.write_table(answer_table(self._rows), file)
        self._rows = []


FORMATS: dict[str, type[Results]] = {".csv": Csv, ".jsonl": JsonLines, ".parquet": Parquet}
"""Formats of the files, by suffix."""


def open_results(path: Path, top_k: int, *, resume: bool = False) -> Results:
    """Open a file of answers, in the format of its suffix.

    Args:
        path: File to write: ``.csv``, ``.jsonl`` or ``.parquet``.
        top_k: Predictions of an image.
        resume: Continue what is there.

    Raises:
        ResultsError: The suffix is another, or as `Results`.
    """
    kind = FORMATS.get(path.suffix.lower())
    if kind is None:
        raise ResultsError(f"{path}: the name must end in {', '.join(FORMATS)}")
    return kind(path, top_k, resume=resume)


def answer_table(answers: list[Answer]) -> Any:
    """Return answers as a table of Arrow: ``file``, ``predictions`` and ``error``.

    Raises:
        PackageError: pyarrow is not installed.
    """
    with needs("pyarrow", extra="parquet"):
        import pyarrow as arrow
    prediction = arrow.struct(
        [("label", arrow.string()), ("index", arrow.int32()), ("probability", arrow.float64())]
    )
    schema = arrow.schema(
        [
            ("file", arrow.string()),
            ("predictions", arrow.list_(prediction)),
            ("error", arrow.string()),
        ]
    )
    return arrow.Table.from_pylist(answers, schema)


def answers_in(table: Any) -> Iterator[Answer]:
    """Yield the answers in a table of Arrow."""
    for row in table.to_pylist():
        yield {name: value for name, value in row.items() if value is not None}
