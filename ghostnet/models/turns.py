"""Turns: callers of what only one thread may run at a time."""

import os
import threading


class Turns:
    """A lock that survives a fork.

    Attributes:
        lock: Held by the thread whose turn it is, which may take it again. A forked child gets a
            lock of its own, since the holder of this one did not come along.
    """

    def __init__(self) -> None:
        self._renew()
        os.register_at_fork(after_in_child=self._renew)

    def _renew(self) -> None:
        self.lock = threading.RLock()


MINDSPORE = Turns()
"""MindSpore fails, or mixes up the inputs, where several threads run its graphs at once."""
