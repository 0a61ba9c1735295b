"""Embeddings in a NumPy array, with the names of the images beside it."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO

import numpy as np

from ghostnet.errors import ResultsError
from ghostnet.files import raising
from ghostnet.inference.line_files import JsonLines, images_of
from ghostnet.inference.provenance import Provenance
from ghostnet.inference.rows import Answer, Row, Rows


class ArrayFile(Rows):
    """A ``.npy`` file of (images, length) float32, where a failed image has a row of NaN.

    A JSON Lines file beside it, with ``.names.jsonl`` after its name, has the name and the error of
    each row. A vector is written before its name: what a kill leaves has a vector for each name.
    """

    file: IO[bytes]

    def __init__(self, path: Path, provenance: Provenance) -> None:
        super().__init__(path, provenance)
        assert provenance.vectors is not None
        self.length = provenance.vectors.length
        self.names = JsonLines(names_of(path), provenance)
        self.count = 0

    @property
    def lock(self) -> Path:
        """The file that a process locks while it writes the rows."""
        return self.names.lock

    @property
    def images(self) -> Path:
        """The database of the images' fingerprints."""
        return images_of(self.path)

    def open(self) -> None:
        """Make the files, or open them if they are there."""
        self.names.open()
        with raising(ResultsError, f"{self.path}: cannot be written"):
            self.path.touch()
            self.file = self.path.open("r+b")

    @property
    def is_empty(self) -> bool:
        """Whether the file has no row."""
        return self.names.is_empty

    def recorded(self) -> Provenance | None:
        """Return what made the rows that are there; None if nothing says it."""
        return self.names.recorded()

    def finished(self) -> Iterator[Row]:
        """Drop an unfinished row, and yield the others; the file can then be added to."""
        for row in self.names.finished():
            self.count += 1
            yield row
        with raising(ResultsError, f"{self.path}: cannot be written"):
            self._write_header()
            end = self._place(self.count)
            if self.file.seek(0, 2) < end:
                raise ResultsError(
                    f"{self.path} has fewer rows than {self.names.path}; remove both files"
                )
            self.file.truncate(end)

    def replace(self, answers: Mapping[int, Answer]) -> None:
        """Put answers in the places of rows, which are numbered from 0."""
        for number, answer in answers.items():
            self._write_vector(answer, number)
        self.names.replace({number: _name(answer) for number, answer in answers.items()})

    def mark(self, errors: Mapping[int, str | None]) -> None:
        """Change the errors of rows, by number, and leave the rest of these rows as it is."""
        self.names.mark(errors)

    def write(self, answer: Answer) -> None:
        """Add a row; the system has it when this returns."""
        self._write_vector(answer, self.count)
        self.names.write(_name(answer))
        self.count += 1

    def close(self) -> None:
        """Write the number of rows, without which NumPy reads those of the run before."""
        self.names.close()
        with raising(ResultsError, f"{self.path}: cannot be written"), self.file:
            if self.count:
                self._write_header()

    def _write_header(self) -> None:
        self.file.seek(0)
        shape = (self.count, self.length)
        header = {"shape": shape, "fortran_order": False, "descr": "<f4"}
        # NumPy leaves room in it, so that it has one length for any number of rows.
        np.lib.format.write_array_header_1_0(self.file, header)
        self.start = self.file.tell()

    def _place(self, row: int) -> int:
        return self.start + row * self.length * 4

    def _write_vector(self, answer: Answer, row: int) -> None:
        vector = np.full(self.length, np.nan, "<f4")
        if "embedding" in answer:
            vector[:] = answer["embedding"]
        with raising(ResultsError, f"{self.path}: cannot be written"):
            self.file.seek(self._place(row))
            self.file.write(vector.tobytes())
            self.file.flush()


def names_of(path: Path) -> Path:
    """Return the file that has the names of the rows of an array."""
    return path.with_name(f"{path.name}.names.jsonl")


def _name(answer: Answer) -> Answer:
    return {key: answer[key] for key in ("file", "error") if key in answer}
