"""Rows in files of lines: CSV and JSON Lines."""

import csv
import io
import json
import os
from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping
from itertools import count
from pathlib import Path
from typing import IO, Any

from ghostnet.errors import ResultsError
from ghostnet.files import raising, read_whole, replacing, write_whole
from ghostnet.inference.provenance import Provenance
from ghostnet.inference.rows import Answer, Row, Rows, with_error
from ghostnet.system.files import copy_permissions

MAX_PROVENANCE_BYTES = 64 * 1024 * 1024

csv.field_size_limit(2**31 - 1)  # a row may have an error of any length


class LineFile(Rows):
    """A file of lines; a kill may leave the last one unfinished.

    What made its rows is in a file beside it, with ``.model.json`` after its name.
    """

    file: IO[bytes]

    @property
    def lock(self) -> Path:
        """The file that a process locks while it writes the rows."""
        real = self.path.resolve()
        return real.with_name(f".{real.name}.lock")

    @property
    def images(self) -> Path:
        """The database of the images' fingerprints."""
        return images_of(self.path)

    @property
    def record(self) -> Path:
        """The file that says what made the rows."""
        return record_of(self.path)

    def open(self) -> None:
        """Make the file, or open it if it is there."""
        with raising(ResultsError, f"{self.path}: cannot be written"):
            self.file = self.path.open("a+b")

    @property
    def is_empty(self) -> bool:
        """Whether the file has no row."""
        start = self.start()
        self.file.seek(0)
        return self.file.read(len(start) + 1) in (b"", start)

    def recorded(self) -> Provenance | None:
        """Return what made the rows that are there; None if nothing says it."""
        if not self.record.exists():
            return None
        with raising(ResultsError, f"{self.record}: cannot be read"):
            content = read_whole(self.record, MAX_PROVENANCE_BYTES)
        try:
            return Provenance.from_json(content)
        except ResultsError as error:
            raise ResultsError(f"{self.record}: {error}; remove it, or name another file") from None

    def finished(self) -> Iterator[Row]:
        """Drop an unfinished row, and yield the others; the file can then be added to."""
        end = 0
        for row, content in self.records():
            end += len(content)
            if row is not None:
                yield row
        self.file.truncate(end)
        if end == 0:
            self._append(self.start())
        with raising(ResultsError, f"{self.record}: cannot be written"):
            write_whole(self.record, self.provenance.to_json().encode(errors="backslashreplace"))

    def replace(self, answers: Mapping[int, Answer]) -> None:
        """Put answers in the places of rows, which are numbered from 0."""
        self._rewrite(
            lambda number, content: self.encoded(answers[number]) if number in answers else content
        )

    def mark(self, errors: Mapping[int, str | None]) -> None:
        """Change the errors of rows, by number, and leave the rest of these rows as it is."""
        self._rewrite(
            lambda number, content: (
                self.marked(content, errors[number]) if number in errors else content
            )
        )

    def write(self, answer: Answer) -> None:
        """Add a row; the system has it when this returns."""
        self._append(self.encoded(answer))

    def close(self) -> None:
        """Write what is left."""
        self.file.close()

    @abstractmethod
    def records(self) -> Iterator[tuple[Row | None, bytes]]:
        """Yield each finished row, None for what comes before the first, with its content."""

    @abstractmethod
    def start(self) -> bytes:
        """Return what comes before the first row."""

    @abstractmethod
    def encoded(self, answer: Answer) -> bytes:
        """Return the content of a row."""

    @abstractmethod
    def marked(self, content: bytes, error: str | None) -> bytes:
        """Return the content of a row with another error."""

    def _rewrite(self, change: Callable[[int, bytes], bytes]) -> None:
        """Replace the file by one whose rows are changed, given their numbers and contents."""
        target, numbers = self.path.resolve(), count()
        with raising(ResultsError, f"{self.path}: cannot be written"):
            with replacing(target) as new:
                copy_permissions(new, os.fstat(self.file.fileno()).st_mode)
                for row, content in self.records():
                    new.write(change(next(numbers), content) if row else content)
                self.file.close()  # before the new one takes its name, for systems that mind
            self.file = self.path.open("a+b")

    def _append(self, content: bytes) -> None:
        with raising(ResultsError, f"{self.path}: cannot be written"):
            self.file.write(content)
            self.file.flush()


def record_of(path: Path) -> Path:
    """Return the file that says what made the rows of a file of lines."""
    return path.with_name(f"{path.name}.model.json")


def images_of(path: Path) -> Path:
    """Return the database of the fingerprints of the images in a file of lines or an array."""
    real = path.resolve()
    return real.with_name(f"{real.name}.images.sqlite")


class JsonLines(LineFile):
    """JSON Lines: the objects of `ghostnet predict --json`, one a line."""

    def records(self) -> Iterator[tuple[Row | None, bytes]]:
        """Yield each finished row with its content."""
        self.file.seek(0)
        for line in self.file:
            if not line.endswith(b"\n"):
                return
            try:
                answer = json.loads(line)
                yield Row(answer["file"], answer.get("error")), line
            except (ValueError, KeyError, TypeError, AttributeError):
                raise ResultsError(
                    f"{self.path}: {line[:80]!r} is not a line that this command wrote"
                ) from None

    def start(self) -> bytes:
        """Return what comes before the first row: nothing."""
        return b""

    def encoded(self, answer: Answer) -> bytes:
        """Return the content of a row."""
        text = json.dumps(answer, ensure_ascii=False, allow_nan=False) + "\n"
        return text.encode(errors="backslashreplace")

    def marked(self, content: bytes, error: str | None) -> bytes:
        """Return the content of a row with another error."""
        answer = json.loads(content)
        return self.encoded(with_error(answer, error))


class Csv(LineFile):
    """CSV: the file, label, index and probability of each prediction, and the error."""

    @property
    def header(self) -> list[str]:
        """Names of the columns."""
        places = range(1, self.provenance.top_k + 1)
        columns = [f"{what}_{n}" for n in places for what in ("label", "index", "probability")]
        return ["file", *columns, "error"]

    def records(self) -> Iterator[tuple[Row | None, bytes]]:
        """Yield each finished row, None for the header, with its content."""
        read: list[bytes] = []

        def lines() -> Iterator[str]:
            self.file.seek(0)
            for line in self.file:
                read.append(line)
                yield line.decode(errors="surrogateescape")

        for number, row in enumerate(csv.reader(lines())):
            record = b"".join(read)
            if not record.endswith(b"\n") or record.count(b'"') % 2:  # torn, perhaps in a cell
                return
            if len(row) != len(self.header) or (number == 0 and row != self.header):
                raise ResultsError(
                    f"{self.path}: row {number + 1:,} does not have the columns for "
                    f"{self.provenance.top_k} predictions: {', '.join(row)[:80]}; use the --top-k "
                    "of the first run"
                )
            yield (Row(row[0], row[-1] or None) if number else None), record
            read.clear()

    def start(self) -> bytes:
        """Return what comes before the first row: the header."""
        return _csv_row(self.header)

    def encoded(self, answer: Answer) -> bytes:
        """Return the content of a row."""
        cells: list[Any] = [answer["file"]]
        for prediction in answer.get("predictions", ()):
            cells += [prediction["label"], prediction["index"], prediction["probability"]]
        cells += [""] * (len(self.header) - 1 - len(cells))
        return _csv_row([*cells, answer.get("error", "")])

    def marked(self, content: bytes, error: str | None) -> bytes:
        """Return the content of a row with another error."""
        lines = (line.decode(errors="surrogateescape") for line in io.BytesIO(content))
        ((*cells, _),) = csv.reader(lines)
        return _csv_row([*cells, error or ""])


def _csv_row(cells: list[Any]) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text).writerow(cells)
    return text.getvalue().encode(errors="backslashreplace")
