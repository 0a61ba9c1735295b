"""Dynamic batching: the network runs on all images that are waiting."""

import asyncio
import os
import threading
import time
from collections import deque
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ghostnet.errors import ImageError
from ghostnet.model.forward import Forward
from ghostnet.model.pipeline import Logits, finite_logits
from ghostnet.serving.limits import Limits
from ghostnet.serving.refusal import Refusal, busy

AHEAD = 2
"""Batches that may be decoded ahead of the network."""

Source = bytes | NDArray[np.float32]
"""An encoded image, or a preprocessed one."""

Put = Callable[[Source, NDArray[Any]], None]
Answer = asyncio.Future[Logits | ImageError]
Observe = Callable[[int, float], None]


class Work:
    """An image on its way through the server.

    Attributes:
        source: The image; dropped as soon as the answer is there or no longer wanted.
        answer: Resolved with the logits or the error of the image.
        place: Index of the decoded image among those of the batcher.
    """

    def __init__(self, source: Source, answer: Answer) -> None:
        self.source: Source | None = source
        self.answer = answer
        self.place = -1
        answer.add_done_callback(self.drop)

    def drop(self, answer: Answer) -> None:
        """Release the image."""
        self.source = None


class Batcher:
    """Decodes images on one thread per processor, and runs them in batches on another thread.

    Decoding is ahead of the network by a few batches, and the network takes all images that are
    decoded when it is free. It waits for more only while others are being decoded, and not longer
    than `Limits.delay`: on an idle server an image goes through at once.

    All methods are called on the thread of the event loop.

    Args:
        forward: Maps a batch to (batch, outputs).
        put: Writes an image to its place in a batch; raises `ImageError` if it is broken.
        blank: Makes a batch with the given number of places.
        limits: Sizes of the batch and of the queue.
        observe: Called with the images of each batch and the seconds of its forward pass.
    """

    def __init__(
        self,
        forward: Forward,
        put: Put,
        blank: Callable[[int], NDArray[Any]],
        limits: Limits,
        observe: Observe,
    ) -> None:
        self.forward = forward
        self.put = put
        self.limits = limits
        self.observe = observe
        self.unanswered = 0
        self._loop = asyncio.get_running_loop()
        self._places = blank(AHEAD * limits.batch)
        self._batch = blank(limits.batch)
        self._free: SimpleQueue[int] = SimpleQueue()
        for place in range(len(self._places)):
            self._free.put(place)
        self._accepted: SimpleQueue[Work | None] = SimpleQueue()
        self._decoded: SimpleQueue[Work | None] = SimpleQueue()
        self._decoding = [False] * len(os.sched_getaffinity(0))
        self._decoders = [
            threading.Thread(target=self._decode_all, args=(number,), daemon=True)
            for number in range(len(self._decoding))
        ]
        self._network = threading.Thread(target=self._run_all, daemon=True)
        for thread in (*self._decoders, self._network):
            thread.start()

    def submit(self, sources: list[Source]) -> list[Answer]:
        """Accept the images of a request. Cancelling a future removes its image from the queue.

        A request has at most half of the queue at a time, so that others get in beside a large one:
        the next of its images enters when one is answered.

        Raises:
            Refusal: The queue does not have room for its first images, or never for all.
        """
        if len(sources) > self.limits.queue:
            raise Refusal(
                413,
                f"the request has {len(sources)} images, but the server accepts at most "
                f"{self.limits.queue} at once; send several requests",
            )
        first = min(len(sources), max(1, self.limits.queue // 2))
        if self.unanswered + first > self.limits.queue:
            raise busy("images in its queue")
        works = [Work(source, self._loop.create_future()) for source in sources]
        waiting = deque(works)
        for _ in range(first):
            self._accept_next(waiting)
        return [work.answer for work in works]

    def close(self) -> None:
        """Finish the accepted images, and stop the threads."""
        for _ in self._decoders:
            self._accepted.put(None)
        for thread in self._decoders:
            thread.join()
        self._decoded.put(None)
        self._network.join()

    def _accept_next(self, waiting: deque[Work]) -> None:
        """Put the next image of a request into the queue, if its answer is still wanted."""
        while waiting:
            work = waiting.popleft()
            if not work.answer.done():
                self.unanswered += 1
                work.answer.add_done_callback(lambda _: self._replace_answered(waiting))
                self._accepted.put(work)
                return

    def _replace_answered(self, waiting: deque[Work]) -> None:
        self.unanswered -= 1
        self._accept_next(waiting)

    def _decode_all(self, number: int) -> None:
        """Decode accepted images until `close`, as the thread with the given number."""
        while (work := self._accepted.get()) is not None:
            self._decoding[number] = True
            work.place = self._free.get()
            if self._decode(work):
                self._decoded.put(work)
            else:
                self._free.put(work.place)
            self._decoding[number] = False

    def _decode(self, work: Work) -> bool:
        """Write an image to its place, and return whether the network should run on it."""
        source = work.source
        if source is None:
            return False
        try:
            self.put(source, self._places[work.place])
        except ImageError as error:
            # Another one, since the traceback of this one keeps the image in memory.
            self._resolve([work], [ImageError(str(error))])
        except Exception as error:
            self._fail([work], error)
        else:
            return True
        return False

    def _run_all(self) -> None:
        """Run batches of decoded images until `close`."""
        while (first := self._decoded.get()) is not None:
            works = [work for work in self._gather(first) if not self._dropped(work)]
            if not works:
                continue
            images = self._take(works)
            try:
                self._resolve(works, self._run(images))
            except Exception as error:
                self._fail(works, error)

    def _run(self, images: NDArray[Any]) -> list[Logits | ImageError]:
        start = time.perf_counter()
        values = self.forward(images)
        seconds = time.perf_counter() - start
        self.observe(len(images), seconds)
        milliseconds = 1000 * seconds / len(images)
        return [finite_logits(row, milliseconds) for row in values]

    def _gather(self, first: Work) -> list[Work]:
        """Return the images of the next batch."""
        works = [first]
        deadline = time.monotonic() + self.limits.delay
        while len(works) < self.limits.batch:
            others = self._accepted.qsize() > 0 or any(self._decoding)
            wait = max(0.0, deadline - time.monotonic()) if others else 0.0
            try:
                work = self._decoded.get(timeout=wait)
            except Empty:
                break
            if work is None:
                self._decoded.put(None)
                break
            works.append(work)
        return works

    def _dropped(self, work: Work) -> bool:
        """Return whether the answer is no longer wanted, which frees the place."""
        if work.source is not None:
            return False
        self._free.put(work.place)
        return True

    def _take(self, works: list[Work]) -> NDArray[Any]:
        """Copy decoded images into one array and free their places."""
        images = self._batch[: len(works)]
        np.take(self._places, [work.place for work in works], axis=0, out=images, mode="clip")
        for work in works:
            self._free.put(work.place)
        return images

    def _resolve(self, works: list[Work], results: list[Logits | ImageError]) -> None:
        self._loop.call_soon_threadsafe(_resolve, works, results)

    def _fail(self, works: list[Work], error: Exception) -> None:
        self._loop.call_soon_threadsafe(_fail, works, error)


def _resolve(works: list[Work], results: list[Logits | ImageError]) -> None:
    for work, result in zip(works, results, strict=True):
        if not work.answer.done():
            work.answer.set_result(result)


def _fail(works: list[Work], error: Exception) -> None:
    for work in works:
        if not work.answer.done():
            work.answer.set_exception(error)
