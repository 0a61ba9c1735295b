"""A set of paths that takes little memory, however many they are."""

import os
from hashlib import blake2b

from ghostnet.database import Database

KEPT = 65_536
"""Paths that are kept in memory before they go to the disk."""

SCHEMA = """
PRAGMA journal_mode = OFF;
CREATE TABLE paths (hash BLOB PRIMARY KEY) WITHOUT ROWID;
"""


class PathSet:
    """A set of paths: hashes of 16 bytes, most of them in a temporary database."""

    def __init__(self) -> None:
        self._recent: set[bytes] = set()
        self._database: Database | None = None

    def __bool__(self) -> bool:
        return bool(self._recent or self._database)

    def add(self, path: str) -> None:
        """Add a path.

        Raises:
            ResultsError: There is no room for it on the disk.
        """
        self._recent.add(_hash(path))
        if len(self._recent) == KEPT:
            self._database = self._database or Database(None, SCHEMA)
            statement = "INSERT OR IGNORE INTO paths VALUES (?)"
            self._database.run_many(statement, ((key,) for key in sorted(self._recent)))
            self._recent = set()

    def __contains__(self, path: str) -> bool:
        key = _hash(path)
        if key in self._recent or self._database is None:
            return key in self._recent
        return bool(self._database.run("SELECT 1 FROM paths WHERE hash = ?", key))

    def close(self) -> None:
        """Remove what is on the disk."""
        if self._database:
            self._database.close()


def _hash(path: str) -> bytes:
    return blake2b(os.fsencode(path), digest_size=16).digest()
