"""How image files were when they were labeled, so that a later run knows which have changed."""

import os
import time
from dataclasses import astuple, dataclass
from pathlib import Path

from ghostnet.data.archives import image_version, open_image
from ghostnet.database import Database
from ghostnet.files import sha256_of_rest

COMMIT_SECONDS = 5
"""How long a fingerprint may wait in memory; a killed process forgets it."""

SCHEMA = """
PRAGMA synchronous = NORMAL;
CREATE TABLE IF NOT EXISTS images (
    path BLOB PRIMARY KEY, size INTEGER, modified_ns INTEGER, sha256 TEXT
) WITHOUT ROWID;
"""


@dataclass(frozen=True)
class Fingerprint:
    """What tells a file from a later one of the same name.

    Attributes:
        size: Its length in bytes.
        modified_ns: When it, or the archive that it is in, was last modified, in nanoseconds since
            1970.
        sha256: Hash of its content, where that was asked for.
    """

    size: int
    modified_ns: int
    sha256: str | None = None

    def is_like(self, earlier: "Fingerprint") -> bool:
        """Whether the file is the same: by the hashes if both have one, else by size and time."""
        if self.sha256 and earlier.sha256:
            return self.sha256 == earlier.sha256
        return (self.size, self.modified_ns) == (earlier.size, earlier.modified_ns)


class Fingerprints:
    """The fingerprints of images that have rows in a file, in a database beside it.

    Args:
        path: The database.
        by_content: Take the hashes of files, too.

    Raises:
        ResultsError: It cannot be read or written, now or later.
    """

    def __init__(self, path: Path, *, by_content: bool = False) -> None:
        self.by_content = by_content
        self._database = Database(path, SCHEMA)
        self._committed = time.monotonic()

    def of(self, path: str) -> Fingerprint:
        """Take the fingerprint that a file has now.

        Raises:
            OSError: There is no such file, or it cannot be read.
        """
        file = Path(path)
        size, modified_ns = image_version(file)
        if not self.by_content:
            return Fingerprint(size, modified_ns)
        with open_image(file) as content:
            return Fingerprint(size, modified_ns, sha256_of_rest(content))

    def recorded(self, path: str) -> Fingerprint | None:
        """Return the fingerprint that a file had when it was labeled; None if it is not known."""
        query = "SELECT size, modified_ns, sha256 FROM images WHERE path = ?"
        found = self._database.run(query, os.fsencode(path))
        return Fingerprint(*found[0]) if found else None

    def record(self, path: str, fingerprint: Fingerprint) -> None:
        """Record the fingerprint that a file had before it was labeled."""
        statement = "REPLACE INTO images VALUES (?, ?, ?, ?)"
        self._database.run(statement, os.fsencode(path), *astuple(fingerprint))
        if time.monotonic() > self._committed + COMMIT_SECONDS:
            self.commit()

    def forget(self, path: str) -> None:
        """Remove the fingerprint of a file."""
        self._database.run("DELETE FROM images WHERE path = ?", os.fsencode(path))

    def clear(self) -> None:
        """Remove all fingerprints."""
        self._database.run("DELETE FROM images")

    def commit(self) -> None:
        """Make what was recorded survive the process."""
        self._database.commit()
        self._committed = time.monotonic()

    def close(self) -> None:
        """Commit, and close the database."""
        self._database.close()
