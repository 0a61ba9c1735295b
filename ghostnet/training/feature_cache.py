"""Features that a network gave for pictures, kept on disk for the next run."""

import os
import sqlite3
import time
import zlib
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from ghostnet.errors import TrainingError

Features = NDArray[np.float32]
Result = TypeVar("Result")

MAX_BYTES = 1 << 30

CHECKSUM_BYTES = 4

PATIENCE = 60.0
"""Seconds to wait for another process that writes."""

READ_ONLY = "attempt to write a readonly database"
"""SQLite's words for a file without permission, and for one whose header says so."""

NOT_DAMAGE = {
    "database is locked",
    "database or disk is full",
    "disk I/O error",
    "unable to open database file",
}
"""SQLite's words for what a new file would not mend."""

TABLE = """
CREATE TABLE IF NOT EXISTS features (key TEXT PRIMARY KEY, value BLOB NOT NULL, used REAL NOT NULL)
"""

FORGET = """
DELETE FROM features WHERE key IN (
    SELECT key FROM (
        SELECT key, sum(length(value)) OVER (ORDER BY used DESC, key) AS bytes FROM features
    ) WHERE bytes > ?
)
"""


def sealed(features: Features) -> bytes:
    """What is kept: the numbers and their checksum, which SQLite does not have."""
    numbers = features.tobytes()
    return numbers + zlib.crc32(numbers).to_bytes(CHECKSUM_BYTES, "little")


def is_whole(value: object, length: int) -> bool:
    """Whether ``value``, of any type in a damaged file, is `sealed` features of this length."""
    if not isinstance(value, bytes) or len(value) != 4 * length + CHECKSUM_BYTES:
        return False
    numbers, checksum = value[:-CHECKSUM_BYTES], value[-CHECKSUM_BYTES:]
    return zlib.crc32(numbers) == int.from_bytes(checksum, "little")


class FeatureCache:
    """Features in one SQLite file, under keys that name all that they depend on.

    Several processes may use it at once, and each may be killed at any time. A damaged file is
    begun anew, and damaged features are as good as none. Every method raises `TrainingError` where
    the file cannot be written.

    Args:
        path: the file; it and its folder are made where they are missing.
        max_bytes: of features and their checksums, beyond which `prune` deletes what was longest
            unused.
    """

    def __init__(self, path: Path, max_bytes: int = MAX_BYTES) -> None:
        self.path = path
        self.max_bytes = max_bytes

    def read(self, keys: Iterable[str], length: int) -> dict[str, Features]:
        """What is kept under any of the keys and has this length."""

        def work(connection: sqlite3.Connection) -> dict[str, Features]:
            found = {}
            for key in keys:
                row = connection.execute("SELECT value FROM features WHERE key = ?", [key])
                for (value,) in row:
                    if is_whole(value, length):
                        found[key] = np.frombuffer(value, np.float32, length)
            used = ((time.time(), key) for key in found)
            connection.executemany("UPDATE features SET used = ? WHERE key = ?", used)
            return found

        return self._in_transaction(work)

    def write(self, features: Mapping[str, Features]) -> None:
        """Keep features under their keys, all of them or none."""

        def work(connection: sqlite3.Connection) -> None:
            rows = ((key, sealed(values), time.time()) for key, values in features.items())
            connection.executemany("REPLACE INTO features VALUES (?, ?, ?)", rows)

        self._in_transaction(work)

    def prune(self) -> None:
        """Delete the longest unused features until the rest fit into ``max_bytes``."""
        self._in_transaction(lambda connection: connection.execute(FORGET, [self.max_bytes]))

    def _in_transaction(self, work: Callable[[sqlite3.Connection], Result]) -> Result:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            try:
                return self._attempt(work)
            except (sqlite3.Error, UnicodeDecodeError) as error:
                if not self._is_damage(error):
                    raise
                for file in (self.path, self.path.with_name(f"{self.path.name}-journal")):
                    file.unlink(missing_ok=True)
                return self._attempt(work)
        except (OSError, sqlite3.Error) as error:
            raise TrainingError(
                f"{self.path}: cannot be written ({error}); "
                "--cache-dir or GHOSTNET_CACHE name another folder"
            ) from error

    def _is_damage(self, error: sqlite3.Error | UnicodeDecodeError) -> bool:
        if isinstance(error, UnicodeDecodeError):  # of the file, which SQLite's words quote
            return True
        if str(error) == READ_ONLY:
            return os.access(self.path, os.W_OK)
        return str(error) not in NOT_DAMAGE

    def _attempt(self, work: Callable[[sqlite3.Connection], Result]) -> Result:
        with closing(sqlite3.connect(self.path, PATIENCE)) as connection, connection:
            connection.execute(TABLE)
            return work(connection)
