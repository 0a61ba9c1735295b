"""Items in, outputs out: the loop that prediction, evaluation and feature extraction share."""

import math
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import partial
from itertools import chain, cycle, islice
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from ghostnet.errors import ImageError
from ghostnet.kernels.cpu.library import default_threads
from ghostnet.model.forward import Forward
from ghostnet.threads import thread_pool

Item = TypeVar("Item")

AHEAD = 32
"""Items that are decoded together, at least."""

TASK = 4
"""Items that a thread decodes before it asks for more."""


@dataclass(frozen=True)
class Logits:
    """The network's answer for one image: logits, or features.

    Attributes:
        values: (outputs,) float32.
        milliseconds: Time of the network for this image, without decoding.
    """

    values: NDArray[np.float32]
    milliseconds: float


class Pipeline(Generic[Item]):
    """Decodes items beside the network and runs them in batches.

    Items are decoded on a thread for each processor, a round of them at a time, into one of a few
    buffers. A batch of one has all processors to itself, so that its time means something; with
    larger batches, the next round is decoded while the network runs.

    Args:
        forward: Maps a batch to (batch_size, outputs).
        put: Writes an item into its place in a batch; raises `ImageError` for a broken one.
        blank: Makes a batch with the given number of places.
        batch_size: Items that go through the network together.
        ahead: Items that are decoded together, at least; fewer are taken from a source that has
            to be waited for.
    """

    def __init__(
        self,
        forward: Forward,
        put: Callable[[Item, NDArray[Any]], None],
        blank: Callable[[int], NDArray[Any]],
        batch_size: int,
        ahead: int = AHEAD,
    ) -> None:
        self.forward = forward
        self.put = put
        self.blank = blank
        self.batch_size = batch_size
        self.ahead = ahead

    def run(self, items: Iterable[Item]) -> Iterator[tuple[Item, Logits | ImageError]]:
        """Yield each item with the network's answer, or with the `ImageError` that it met.

        Args:
            items: What to run, possibly without end.
        """
        size = self.batch_size * math.ceil(self.ahead / self.batch_size)
        buffers = [self.blank(size) for _ in range(1 if self.batch_size == 1 else 2)]
        ended = threading.Event()
        with thread_pool(default_threads()) as executor:
            try:
                rounds = self._rounds(executor, iter(items), buffers, ended)
                begun = deque(islice(rounds, len(buffers)))
                while begun:
                    some, buffer, loading = begun.popleft()
                    errors = list(chain.from_iterable(loading))
                    for start in range(0, len(some), self.batch_size):
                        batch = slice(start, start + self.batch_size)
                        answers = self._answers(buffer[batch], errors[batch])
                        yield from zip(some[batch], answers, strict=True)
                    begun.extend(islice(rounds, 1))
            finally:
                ended.set()

    def _rounds(
        self,
        executor: Executor,
        items: Iterator[Item],
        buffers: list[NDArray[Any]],
        ended: threading.Event,
    ) -> Iterator[tuple[list[Item], NDArray[Any], Iterator[list[ImageError | None]]]]:
        """Yield as many items as a buffer holds, the buffer, and the errors met on the way."""
        for buffer in cycle(buffers):
            some = list(islice(items, len(buffer)))
            if not some:
                return
            put = partial(self._put_all, ended)
            parts = [slice(start, start + TASK) for start in range(0, len(some), TASK)]
            places = (buffer[part] for part in parts)
            yield some, buffer, executor.map(put, (some[part] for part in parts), places)

    def _put_all(
        self, ended: threading.Event, items: list[Item], places: NDArray[Any]
    ) -> list[ImageError | None]:
        return [
            self._try_to_put(item, place)
            for item, place in zip(items, places, strict=False)
            if not ended.is_set()
        ]

    def _try_to_put(self, item: Item, place: NDArray[Any]) -> ImageError | None:
        try:
            self.put(item, place)
        except ImageError as error:
            return error
        return None

    def _answers(
        self, arrays: NDArray[Any], errors: list[ImageError | None]
    ) -> list[Logits | ImageError]:
        """Run a batch; errors keep their places, and so does what fills up a short batch."""
        images = errors.count(None)
        if images == 0:
            return [error for error in errors if error]
        start = time.perf_counter()
        values = self.forward(arrays)
        milliseconds = (time.perf_counter() - start) * 1000 / images
        return [
            error or finite_logits(row, milliseconds)
            for row, error in zip(values, errors, strict=False)
        ]


def finite_logits(values: NDArray[np.float32], milliseconds: float) -> Logits | ImageError:
    """Return the logits of an image, or an error where they are not finite.

    Args:
        values: (outputs,) float32.
        milliseconds: Time of the network for this image.
    """
    if np.isfinite(values).all():
        return Logits(values, milliseconds)
    return ImageError("the network answers this image with NaN or infinity")
