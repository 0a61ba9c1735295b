"""The labels in the rows of a table whose images may have several."""

from collections.abc import Iterator, Mapping, Sequence
from unicodedata import normalize

from ghostnet.errors import DatasetError, listed

Row = Mapping[str, object]

SEPARATORS = "|;,"
"""What separates labels in a cell; the first that occurs in the column does."""

YES = {"1", "1.0", "true"}
NO = {"0", "0.0", "false"}


def cell_text(value: object) -> str:
    """Return a cell as text; empty if there is nothing in it."""
    return "" if value is None else normalize("NFC", str(value).strip())


def separated(
    values: Sequence[object], names: Sequence[str], separator: str | None
) -> Iterator[tuple[str, ...] | None]:
    """Yield the labels in each cell of a column; None for an empty cell, which says nothing.

    Args:
        values: The cells: texts, or lists of texts.
        names: Image of each cell.
        separator: What separates labels in a text. Default: the first of `SEPARATORS` that occurs
            or, if no image has two different cells, any space.
    """
    texts = [value if isinstance(value, list | tuple) else cell_text(value) for value in values]
    if separator is None:
        found = "".join(text for text in texts if isinstance(text, str))
        separator = next((mark for mark in SEPARATORS if mark in found), None)
        if separator is None and _have_one_cell(texts, names):
            separator = " "
    for text in texts:
        parts: Sequence[object] = text
        if isinstance(text, str):
            parts = text.split(separator) if separator else [text]
        yield tuple(filter(None, map(cell_text, parts))) or None


def _have_one_cell(texts: Sequence[object], names: Sequence[str]) -> bool:
    """Whether all rows of an image have the same cell."""
    cells: dict[str, object] = {}
    return all(
        cells.setdefault(name, text) == text for name, text in zip(names, texts, strict=True)
    )


def one_hot(rows: Sequence[Row], others: set[str], source: str) -> Iterator[tuple[str, ...]]:
    """Yield the names of the columns that have a one, where all cells are ones and zeros.

    Args:
        rows: Rows of the table.
        others: Columns that are no labels.
        source: What the error calls the table.

    Raises:
        DatasetError: There is no column of ones and zeros.
    """
    columns = [
        name
        for name in rows[0]
        if name not in others and all(cell_text(row.get(name)).lower() in YES | NO for row in rows)
    ]
    if not columns:
        raise DatasetError(
            f"{source} has neither a column of labels nor columns of ones and zeros, each for a "
            f"label; its columns are {listed(list(map(str, rows[0])))}; name one with "
            "--label-column"
        )
    for row in rows:
        yield tuple(
            normalize("NFC", name) for name in columns if cell_text(row[name]).lower() in YES
        )
