"""A stream of items, split where its source has to be waited for."""

import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from queue import Empty, Queue
from typing import Generic, TypeVar

Item = TypeVar("Item")

WAIT_SECONDS = 1.0
"""How long the first item of a burst waits for others, if the source is slow."""

PAUSE_SECONDS = 0.05
"""How long every item of a burst waits for the next, since a fast source may stumble."""

AHEAD = 64
"""Items that are read from the source ahead of their use."""


@dataclass(frozen=True)
class _End:
    """What follows the last item: the error that ended the source, if there was one."""

    error: BaseException | None = None


class Bursts(Generic[Item]):
    """Reads a source in a thread, and yields it as iterators that end where it pauses.

    What works on many items at a time can so finish those that are there. An iterator has at least
    one item, and is to be used up before the next.

    Args:
        items: The source.
    """

    def __init__(self, items: Iterable[Item]) -> None:
        self._arrived: Queue[Item | _End] = Queue(AHEAD)
        self._is_closed = threading.Event()
        # A thread that waits for a pipe must not keep the process from ending.
        threading.Thread(target=self._read, args=(items,), daemon=True).start()

    def __iter__(self) -> Iterator[Iterator[Item]]:
        while not isinstance(first := self._arrived.get(), _End):
            yield self._burst(first)
        if first.error:
            raise first.error

    def close(self) -> None:
        """Stop reading after the item that the source is waited for."""
        self._is_closed.set()
        while not self._arrived.empty():
            self._arrived.get()

    def _burst(self, item: Item | _End) -> Iterator[Item]:
        latest = time.monotonic() + WAIT_SECONDS
        while not isinstance(item, _End):
            yield item
            try:
                wait = max(PAUSE_SECONDS, latest - time.monotonic())
                item = self._arrived.get(timeout=wait)
            except Empty:
                return
        self._arrived.put(item)

    def _read(self, items: Iterable[Item]) -> None:
        end = _End()
        try:
            for item in items:
                self._arrived.put(item)
                if self._is_closed.is_set():
                    return
        except BaseException as error:
            end = _End(error)
        self._arrived.put(end)
