"""Labels of images in a table beside them: CSV, JSON lines or Parquet."""

import csv
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ghostnet.data.image_files import Walk
from ghostnet.data.image_folder import ImageFolder
from ghostnet.data.label_cells import Row, cell_text, one_hot, separated
from ghostnet.data.left_out import LeftOut
from ghostnet.data.multi_label import multi_label_folder
from ghostnet.data.parts import TEST, TRAIN, VAL
from ghostnet.errors import DatasetError, listed
from ghostnet.files import raising
from ghostnet.packages import needs

IMAGE_COLUMNS = (
    "image", "file", "file_name", "filename", "image_path", "path", "image_name", "image_id", "id",
)  # fmt: skip
LABEL_COLUMNS = (
    "label", "labels", "class", "class_name", "category", "target", "tags", "breed", "species",
)  # fmt: skip
"""Columns that are looked for, in this order."""

LINES = (".jsonl", ".ndjson")
DELIMITERS = ",;\t"


@dataclass(frozen=True)
class LabelTable:
    """A table that labels images.

    Attributes:
        path: File: Parquet and JSON lines by suffix, or else CSV.
        image_column: Column of the images' paths below their folder, or their names, with or
            without suffix; by default, the first of `IMAGE_COLUMNS`.
        label_column: Column of the classes; by default, the first of `LABEL_COLUMNS`.
        split_column: Column that says which part of the data set an image belongs to, by the names
            that `ghostnet.data.parts` knows.
        label_separator: What separates labels in a cell where images may have several; by default,
            as in `ghostnet.data.label_cells.separated`.
    """

    path: Path
    image_column: str | None = None
    label_column: str | None = None
    split_column: str | None = None
    label_separator: str | None = None

    def read(self, root: Path, *, multi_label: bool = False) -> dict[str, ImageFolder]:
        """Read the labeled images of a folder.

        Args:
            root: The folder.
            multi_label: Whether an image may have several labels: several in a cell, in several
                rows, or in columns of ones and zeros, each for a label.

        Returns:
            The images of each part: ``train``, ``val`` and ``test``; all are in ``train`` if the
            table has no column for parts. Each has all classes. The images that the table does not
            list, and rows without an image, are counted in what they leave out.

        Raises:
            DatasetError: The table cannot be read or lacks a column, or there is no image.
        """
        left_out = LeftOut()
        files = _Files(root, left_out)
        labels: dict[Path, set[str]] = {}
        parts: dict[Path, set[str]] = {}
        for name, own, part in self._rows(multi_label=multi_label):
            file = files.find(name)
            if file is None:
                left_out.add(name, f"in {self.path.name}, but not in the folder")
            elif own is None:
                left_out.add(file, "without a class")
            elif part not in PARTS:
                left_out.add(file, f"of the part {part!r}, which is not known")
            else:
                if file in labels and not (multi_label and set(own) - labels[file]):
                    left_out.add(name, f"listed again in {self.path.name}")
                labels.setdefault(file, set()).update(own)
                parts.setdefault(file, set()).add(PARTS[part])
        for file in files.paths - labels.keys():
            left_out.add(file, f"not listed in {self.path.name}")
        for what, found in (("classes", {} if multi_label else labels), ("parts", parts)):
            for file in [file for file, values in found.items() if len(values) > 1]:
                left_out.add(file, f"listed with several {what}")
                labels.pop(file, None)
        if not labels:
            raise DatasetError(
                f"{self.path}: no row names an image in {root} (left out: {left_out or 'nothing'})"
            )
        names = {label for own in labels.values() for label in own}
        classes = tuple(sorted(names, key=lambda label: (label.lower(), label)))
        named = {file: frozenset(own) for file, own in labels.items()}
        folder = multi_label_folder(classes, named, left_out)
        if not multi_label:
            folder = _single(folder)
        return {
            part: folder.with_files(
                tuple((file, index) for file, index in folder.files if part in parts[file])
            )
            for part in ("train", "val", "test")
        }

    def _rows(self, *, multi_label: bool) -> Iterator[tuple[str, tuple[str, ...] | None, str]]:
        """Yield image, labels and part of each row; None for the labels of a row that has none."""
        rows = [*_read(self.path)]
        if not rows:
            raise DatasetError(f"{self.path} has no rows")
        first = rows[0]
        image = self._column(first, self.image_column, IMAGE_COLUMNS, "--image-column")
        split = self.split_column and self._column(first, self.split_column, (), "--split-column")
        names = [cell_text(row.get(image)) for row in rows]
        labels = self._labels(rows, names, {image, split or image}, multi_label=multi_label)
        parts = (cell_text(row.get(split)).lower() if split else "train" for row in rows)
        yield from zip(names, labels, parts, strict=True)

    def _labels(
        self, rows: Sequence[Row], names: Sequence[str], others: set[str], *, multi_label: bool
    ) -> Iterator[tuple[str, ...] | None]:
        """Yield the labels in each row."""
        usual = {name.lower() for name in map(str, rows[0])}.intersection(LABEL_COLUMNS)
        if multi_label and not self.label_column and not usual:
            yield from one_hot(rows, others, str(self.path))
            return
        column = self._column(rows[0], self.label_column, LABEL_COLUMNS, "--label-column")
        values = [row.get(column) for row in rows]
        if multi_label:
            yield from separated(values, names, self.label_separator)
        else:
            yield from ((text,) if (text := cell_text(value)) else None for value in values)

    def _column(self, row: Row, wanted: str | None, usual: tuple[str, ...], option: str) -> str:
        """Return the name of a column.

        Raises:
            DatasetError: There is no such column.
        """
        lower = {str(name).lower(): name for name in row}
        names = [wanted.lower()] if wanted else [name for name in usual if name in lower]
        if names and names[0] in lower:
            return lower[names[0]]
        missing = f"no column {wanted}" if wanted else f"none of the columns {', '.join(usual)}"
        raise DatasetError(
            f"{self.path} has {missing}; its columns are {listed(list(map(str, row)))}; name one "
            f"with {option}"
        )


def _single(folder: ImageFolder) -> ImageFolder:
    """Return a folder whose combinations have one label each as one of classes."""
    sets = folder.label_sets
    files = tuple((file, sets[index][0]) for file, index in folder.files)
    return ImageFolder(folder.classes, files, folder.left_out)


PARTS = {name: names[0] for names in (TRAIN, VAL, TEST) for name in names}
"""The part of each name."""


class _Files:
    """The images below a folder, found by path or name, with or without suffix."""

    def __init__(self, root: Path, left_out: LeftOut) -> None:
        if not root.is_dir():
            raise DatasetError(f"{root} is not a folder of images")
        self.paths = set(Walk(root, left_out).images(root))
        relative = {file: file.relative_to(root) for file in self.paths}
        self._found = {
            **_of_one((path.stem, file) for file, path in relative.items()),
            **_of_one((path.name, file) for file, path in relative.items()),
            **_of_one((path.with_suffix("").as_posix(), file) for file, path in relative.items()),
            **{path.as_posix(): file for file, path in relative.items()},
        }

    def find(self, name: str) -> Path | None:
        """Return the image of a name; None if there is none, or more than one."""
        return self._found.get(name.replace("\\", "/").removeprefix("./"))


def _of_one(pairs: Iterable[tuple[str, Path]]) -> dict[str, Path]:
    """Map names to files, without names of several files."""
    pairs = list(pairs)
    counts = Counter(name for name, _ in pairs)
    return {name: file for name, file in pairs if counts[name] == 1}


def _read(path: Path) -> Iterator[Row]:
    """Yield the rows of a table."""
    if path.suffix.lower() == ".parquet":
        yield from _read_parquet(path)
        return
    try:
        with (
            raising(DatasetError, f"{path}: cannot be read"),
            path.open(encoding="utf-8-sig", newline="") as file,
        ):
            if path.suffix.lower() in LINES:
                yield from map(_object, filter(str.strip, file))
            else:
                header = file.readline()
                file.seek(0)
                delimiter = max(DELIMITERS, key=header.count)
                yield from csv.DictReader(file, delimiter=delimiter)
    except (ValueError, csv.Error) as error:
        raise DatasetError(f"{path} is not a table of labels ({error})") from error


def _object(line: str) -> Row:
    row = json.loads(line)
    if not isinstance(row, dict):
        raise ValueError("a line is not a JSON object")
    return row


def _read_parquet(path: Path) -> Iterator[Row]:
    with needs("pyarrow", extra="parquet"):
        import pyarrow
        from pyarrow import parquet
    try:
        with raising(DatasetError, f"{path}: cannot be read"):
            table = parquet.read_table(path)
    except pyarrow.ArrowException as error:
        raise DatasetError(f"{path} is not a Parquet file ({error})") from error
    yield from table.to_pylist()
