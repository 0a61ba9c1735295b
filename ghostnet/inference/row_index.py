"""Where the rows of images are in a file."""

import os
from collections.abc import Iterator

from ghostnet.database import Database

SCHEMA = """
PRAGMA journal_mode = OFF;
CREATE TABLE rows (number INTEGER PRIMARY KEY, path BLOB, is_due INTEGER, mark TEXT);
"""

INDEXES = (
    "CREATE INDEX paths ON rows (path)",
    "CREATE INDEX due ON rows (path) WHERE is_due",
)

MARKED_TOGETHER = 100_000
"""Most rows whose errors change together."""


class RowIndex:
    """An index of rows by image, which takes little memory.

    First `add` all rows, then `prepare`.
    """

    def __init__(self) -> None:
        self._database = Database(None, SCHEMA)

    def add(self, number: int, path: str, *, is_due: bool, mark: str | None = None) -> None:
        """Add a row.

        Args:
            number: Number of the row.
            path: Its image.
            is_due: Whether the image has to be labeled again.
            mark: The row's new error, empty to remove the old one; None to leave it as it is.
        """
        self._database.run(
            "INSERT INTO rows VALUES (?, ?, ?, ?)", number, os.fsencode(path), is_due, mark
        )

    def prepare(self) -> None:
        """Make it ready for `take`."""
        for statement in INDEXES:
            self._database.run(statement)

    def marks(self) -> Iterator[dict[int, str | None]]:
        """Yield the new errors of rows by number, many at a time."""
        query = "SELECT number, mark FROM rows WHERE number > ? AND mark NOT NULL LIMIT ?"
        last = -1
        while found := self._database.run(query, last, MARKED_TOGETHER):
            yield {number: mark or None for number, mark in found}
            last = found[-1][0]

    def take(self, path: str) -> tuple[int, ...] | None:
        """Return the rows to write for an image, which later calls do not return again.

        Returns:
            Numbers of the rows to replace; none if it has no row yet, and None if there is nothing
            to do.
        """
        key = os.fsencode(path)
        found = self._database.run("SELECT number, is_due FROM rows WHERE path = ?", key)
        if not found:
            self._database.run("INSERT INTO rows VALUES (NULL, ?, FALSE, NULL)", key)
            return ()
        due = tuple(number for number, is_due in found if is_due)
        if due:
            self._database.run("UPDATE rows SET is_due = FALSE WHERE path = ?", key)
        return due or None

    def due(self) -> Iterator[str]:
        """Yield the images that are to be taken yet."""
        while found := self._database.run("SELECT path FROM rows WHERE is_due LIMIT 1"):
            yield os.fsdecode(found[0][0])

    def close(self) -> None:
        """Remove it."""
        self._database.close()
