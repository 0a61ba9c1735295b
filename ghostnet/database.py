"""A small SQLite database that threads share."""

import sqlite3
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ghostnet.errors import ResultsError
from ghostnet.files import raising


class Database:
    """A database for one process at a time.

    Args:
        path: Its file; None for a temporary one, which takes memory up to SQLite's cache and then
            space in the folder for temporary files.
        schema: Statements that make its tables unless they are there.

    Raises:
        ResultsError: It cannot be read or written.
    """

    def __init__(self, path: Path | None, schema: str) -> None:
        self._name = path or "temporary database"
        if path:
            with raising(ResultsError, f"{path}: cannot be written"):
                path.touch()  # SQLite would leave out what the umask lets the group do
        self._lock = threading.Lock()
        # The process holds a lock of its own, and network drives have none that suit SQLite.
        uri = f"{path.absolute().as_uri()}?nolock=1" if path else ""
        with self._raising():
            self._connection = sqlite3.connect(uri, uri=True, check_same_thread=False)
            self._connection.executescript(schema)

    def run(self, statement: str, *values: Any) -> list[Any]:
        """Run a statement, and return its rows.

        Raises:
            ResultsError: The database cannot be read or written.
        """
        with self._lock, self._raising():
            return self._connection.execute(statement, values).fetchall()

    def run_many(self, statement: str, rows: Iterable[tuple[Any, ...]]) -> None:
        """Run a statement for the values of each row.

        Raises:
            ResultsError: The database cannot be read or written.
        """
        with self._lock, self._raising():
            self._connection.executemany(statement, rows)

    def commit(self) -> None:
        """Make what was written survive the process.

        Raises:
            ResultsError: The database cannot be written.
        """
        with self._lock, self._raising():
            self._connection.commit()

    def close(self) -> None:
        """Commit, and close the file.

        Raises:
            ResultsError: The database cannot be written.
        """
        self.commit()
        with self._lock:
            self._connection.close()

    @contextmanager
    def _raising(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise ResultsError(
                f"{self._name}: cannot be used ({error}); make room for it, or remove it"
            ) from error
