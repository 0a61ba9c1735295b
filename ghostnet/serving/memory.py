"""Memory that the requests of a worker share for what they decode and parse."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from PIL import PngImagePlugin

from ghostnet.serving.limits import MEBIBYTE
from ghostnet.serving.refusal import Refusal, busy
from ghostnet.system.memory import return_large_blocks

WAIT_SECONDS = 30.0
"""How long work waits for its share."""

LARGE = 4 * MEBIBYTE
"""Blocks from this size on go back to the system as soon as they are free."""

TEXT = 4 * MEBIBYTE
"""Most bytes of the texts in a PNG image."""


def keep_memory_small() -> None:
    """Prepare this process to give back large blocks, and not to read long texts in images."""
    return_large_blocks(LARGE)
    PngImagePlugin.MAX_TEXT_MEMORY = TEXT


class MemoryBudget:
    """Bytes that threads share; work that does not fit waits, in order, until others are done.

    No work asks for a second share while it has one, so that each share comes back.

    Args:
        size: All bytes.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self._taken = 0
        self._turn = threading.Lock()
        self._returned = threading.Condition()

    @contextmanager
    def share(self, size: int, work: str) -> Iterator[None]:
        """Wait for this many bytes, and return them when the block ends.

        Args:
            size: Most bytes that the work takes.
            work: What it is, for errors.

        Raises:
            Refusal: The work can never fit, or others have not made room in `WAIT_SECONDS`.
        """
        if size > self.size:
            raise Refusal(413, f"{work} {self.beyond(size)}; send less at once")
        deadline = time.monotonic() + WAIT_SECONDS
        if not self._turn.acquire(timeout=WAIT_SECONDS):
            raise busy("requests that need memory")
        try:
            with self._returned:
                is_free = self._returned.wait_for(
                    lambda: self._taken + size <= self.size, deadline - time.monotonic()
                )
                if not is_free:
                    raise busy("requests that need memory")
                self._taken += size
        finally:
            self._turn.release()
        try:
            yield
        finally:
            with self._returned:
                self._taken -= size
                self._returned.notify()

    def beyond(self, size: int) -> str:
        """Say that work takes more than there is."""
        return (
            f"takes up to {size / MEBIBYTE:,.0f} MiB of memory, more than the "
            f"{self.size / MEBIBYTE:,.0f} MiB that the server has for it"
        )
