"""The tables of a card's Performance section: the figures that the card claims."""

import re
from collections.abc import Iterator
from itertools import groupby

from pydantic import BaseModel, ConfigDict

HEADING = re.compile(r"(#{1,6})[ \t](.*)")
CODE_FENCE = re.compile(r"[ \t]*(```|~~~)")
SEPARATOR = re.compile(r"\|(?:[ \t]*:?-+:?[ \t]*\|)+")
CELL_BORDER = re.compile(r"(?<!\\)\|")

# Headings of the column, or the row, that names the models.
MODEL_HEADINGS = frozenset({"model", "model name", "model version"})


class ClaimTable(BaseModel):
    """A table of a card, every cell as written.

    Attributes:
        title: Heading above the table.
        header: Cells of its first row.
        rows: Cells of the other rows.
    """

    model_config = ConfigDict(frozen=True)

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def by_model(self) -> dict[str, dict[str, str]]:
        """Return the cells as model → quantity → text, whether models are rows or columns.

        The result is empty if the table names no models, or names one twice.
        """
        if self.header[0].lower() in MODEL_HEADINGS:
            names = [row[0] for row in self.rows]
            cells = [dict(zip(self.header[1:], row[1:], strict=False)) for row in self.rows]
        else:
            head = next((row for row in self.rows if row[0].lower() in MODEL_HEADINGS), ("",))
            names = list(head[1:])
            others = [row for row in self.rows if row != head]
            cells = [
                {row[0]: row[column] for row in others if column < len(row)}
                for column in range(1, len(head))
            ]
        return dict(zip(names, cells, strict=True)) if len(set(names)) == len(names) else {}

    def figure(self, model: str, quantity: str) -> float | None:
        """Return the number claimed for a quantity of a model; or None."""
        try:
            return float(self.by_model()[model][quantity])
        except (KeyError, ValueError):
            return None


def read_claims(body: str) -> tuple[ClaimTable, ...]:
    """Read the tables under every heading that mentions performance, in the card's order."""
    claims: list[ClaimTable] = []
    for (title, is_table), block in groupby(_performance_lines(body), key=_kind):
        lines = [line for _, line in block]
        if is_table and len(lines) > 1 and SEPARATOR.fullmatch(lines[1]):
            rows = tuple(_cells(line) for line in lines[2:])
            claims.append(ClaimTable(title=title, header=_cells(lines[0]), rows=rows))
    return tuple(claims)


def _kind(titled_line: tuple[str, str]) -> tuple[str, bool]:
    title, line = titled_line
    return title, line.startswith("|")


def _performance_lines(body: str) -> Iterator[tuple[str, str]]:
    """Yield (nearest heading, line) below each performance heading; code counts as blank."""
    title, level, in_code = "", 0, False
    for line in body.split("\n"):
        in_code ^= bool(CODE_FENCE.match(line))
        heading = None if in_code else HEADING.fullmatch(line)
        if heading:
            title, depth = heading[2].strip(" \t#"), len(heading[1])
            if not level or depth <= level:
                level = depth if "performance" in title.lower() else 0
        if level:
            yield title, "" if in_code or heading else line.strip()


def _cells(line: str) -> tuple[str, ...]:
    """Split `| a | b |` into stripped cells."""
    inner = line.removeprefix("|").removesuffix("|")
    return tuple(cell.strip() for cell in CELL_BORDER.split(inner))
