"""Labels of images in a table beside them: CSV, JSON lines or Parquet."""

import csv
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from unicodedata import normalize

from ghostnet.data.image_files import Walk
from ghostnet.data.image_folder import ImageFolder
from ghostnet.data.left_out import LeftOut
from ghostnet.data.parts import TEST, TRAIN, VAL
from ghostnet.errors import DatasetError, listed
from ghostnet.files import raising
from ghostnet.packages import needs

Row = Mapping[str, object]

IMAGE_COLUMNS = ("image", "file", "file_name", "filename", "image_path", "path", "image_id", "id")
LABEL_COLUMNS = ("label", "class", "class_name", "category", "target", "breed", "species")
"""Columns that are looked for, in this order."""

LINES = (".jsonl", ".ndjson")
DELIMITERS = ",;\t"


@dataclass(frozen=True)
class LabelTable:
    """A table with a row for each image.

    Attributes:
        path: File: Parquet and JSON lines by suffix, or else CSV.
        image_column: Column of the images' paths below their folder, or their names, with or
            without suffix; by default, the first of `IMAGE_COLUMNS`.
        label_column: Column of the classes; by default, the first of `LABEL_COLUMNS`.
        split_column: Column that says which part of the data set an image belongs to, by the names
            that `ghostnet.data.parts` knows.
    """

    path: Path
    image_column: str | None = None
    label_column: str | None = None
    split_column: str | None = None

    def read(self, root: Path) -> dict[str, ImageFolder]:
        """Read the labeled images of a folder.

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
        parts: dict[Path, str] = {}
        for name, label, part in self._rows():
            file = files.find(name)
            if file is None:
                left_out.add(name, f"in {self.path.name}, but not in the folder")
            elif not label:
                left_out.add(file, "without a class")
            elif part not in PARTS:
                left_out.add(file, f"of the part {part!r}, which is not known")
            else:
                if file in labels:
                    left_out.add(name, f"listed again in {self.path.name}")
                labels.setdefault(file, set()).add(label)
                parts[file] = PARTS[part]
        for file in files.paths - labels.keys():
            left_out.add(file, f"not listed in {self.path.name}")
        for file in [file for file, found in labels.items() if len(found) > 1]:
            left_out.add(file, "listed with several classes")
            del labels[file]
        return self._folders(labels, parts, left_out, root)

    def _folders(
        self,
        labels: Mapping[Path, set[str]],
        parts: Mapping[Path, str],
        left_out: LeftOut,
        root: Path,
    ) -> dict[str, ImageFolder]:
        """Sort images into parts and classes."""
        if not labels:
            raise DatasetError(
                f"{self.path}: no row names an image in {root} (left out: {left_out or 'nothing'})"
            )
        names = {label for found in labels.values() for label in found}
        classes = tuple(sorted(names, key=lambda label: (label.lower(), label)))
        place = {name: index for index, name in enumerate(classes)}
        found = sorted((file, place[label]) for file, own in labels.items() for label in own)
        return {
            part: ImageFolder(
                classes,
                tuple((file, index) for file, index in found if parts[file] == part),
                left_out,
            )
            for part in ("train", "val", "test")
        }

    def _rows(self) -> Iterator[tuple[str, str, str]]:
        """Yield image, class and part of each row."""
        rows = iter(_read(self.path))
        first = next(rows, None)
        if first is None:
            raise DatasetError(f"{self.path} has no rows")
        image = self._column(first, self.image_column, IMAGE_COLUMNS, "--image-column")
        label = self._column(first, self.label_column, LABEL_COLUMNS, "--label-column")
        if self.split_column and self.split_column not in first:
            self._column(first, self.split_column, (), "--split-column")
        for row in chain((first,), rows):
            part = _text(row.get(self.split_column)) if self.split_column else "train"
            yield _text(row.get(image)), _text(row.get(label)), part.lower()

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
            **_single((path.stem, file) for file, path in relative.items()),
            **_single((path.name, file) for file, path in relative.items()),
            **_single((path.with_suffix("").as_posix(), file) for file, path in relative.items()),
            **{path.as_posix(): file for file, path in relative.items()},
        }

    def find(self, name: str) -> Path | None:
        """Return the image of a name; None if there is none, or more than one."""
        return self._found.get(name.replace("\\", "/").removeprefix("./"))


def _single(pairs: Iterable[tuple[str, Path]]) -> dict[str, Path]:
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


def _text(value: object) -> str:
    """Return a cell as text; empty if there is nothing in it."""
    return "" if value is None else normalize("NFC", str(value).strip())
