"""Where the members of an archive are, by name."""

import threading
from typing import NamedTuple

import numpy as np

MERGED = 65_536
"""Places that are kept in a dictionary before they are merged into an array."""


class Place(NamedTuple):
    """Where a member is.

    Attributes:
        offset: Its first byte in the archive.
        stored: Its bytes there.
        size: Its bytes once they are decompressed.
    """

    offset: int
    stored: int
    size: int


class Places:
    """Places by name, with 32 bytes for each in the end; threads may add and look up."""

    def __init__(self) -> None:
        self._recent: dict[int, Place] = {}
        self._hashes = np.empty(0, np.int64)
        self._places = np.empty((0, len(Place._fields)), np.int64)
        self._lock = threading.Lock()

    def add(self, name: str, place: Place) -> None:
        """Add a place."""
        with self._lock:
            self._recent[hash(name)] = place
            if len(self._recent) == MERGED:
                self._merge()

    def get(self, name: str) -> Place | None:
        """Return the place of a name, or None."""
        key = hash(name)
        with self._lock:
            if key in self._recent:
                return self._recent[key]
            found = int(np.searchsorted(self._hashes, key))
            if found == len(self._hashes) or self._hashes[found] != key:
                return None
            return Place(*map(int, self._places[found]))

    def compact(self) -> None:
        """Give back memory once all places are there."""
        with self._lock:
            self._merge()

    def _merge(self) -> None:
        if not self._recent:
            return
        hashes = np.append(self._hashes, np.fromiter(self._recent, np.int64, len(self._recent)))
        places = np.append(self._places, np.array([*self._recent.values()], np.int64), axis=0)
        order = np.argsort(hashes, kind="stable")
        self._hashes, self._places = hashes[order], places[order]
        self._recent = {}
