"""Turns: callers of what only one thread may run at a time."""

import os
import threading


class Turns:
    """A lock that survives a fork.

    A forked child gets a lock of its own, since the holder of its parent's did not come along.
    """

    def __init__(self) -> None:
        self._locks: dict[int, threading.RLock] = {}

    @property
    def lock(self) -> threading.RLock:
        """The process-wide lock, reentrant, held by the thread whose turn it is."""
        return self._locks.setdefault(os.getpid(), threading.RLock())


MINDSPORE = Turns()
"""MindSpore fails, or mixes up the inputs, where several threads run its graphs at once."""
