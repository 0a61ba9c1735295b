"""Dynamic batching: a network runs on all of its images that are waiting."""

import asyncio
import math
import threading
import time
from collections import deque
from queue import Empty, SimpleQueue
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ghostnet.data.transforms import Content
from ghostnet.errors import ImageError
from ghostnet.model.pipeline import Logits, finite_logits
from ghostnet.serving.limits import Limits
from ghostnet.serving.memory import MemoryBudget
from ghostnet.serving.refusal import Refusal, busy
from ghostnet.system.machine import processors

AHEAD = 2
"""Batches that may be decoded ahead of the network."""

Source = Content | NDArray[np.float32]
"""An encoded image, or a preprocessed one."""

Answer = asyncio.Future[Logits | ImageError]


class Network(Protocol):
    """What a batcher asks of a network.

    Attributes:
        input_shape: (channels, height, width) of a preprocessed image.
    """

    input_shape: tuple[int, ...]

    def __call__(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        """Map a batch to (batch, outputs)."""

    def memory_for(self, source: Source) -> int:
        """Return the most bytes that `put` takes for an image."""

    def put(self, source: Source, place: NDArray[np.float32]) -> None:
        """Write an image to its place in a batch; raises `ImageError` if it is broken."""

    def observe(self, images: int, seconds: float) -> None:
        """Count the images of a batch, and the time of its forward pass."""


class Memory:
    """Memory for one array at a time, which grows to the largest."""

    def __init__(self) -> None:
        self._values = np.empty(0, np.float32)

    def array(self, *shape: int) -> NDArray[np.float32]:
        """Return the memory as an array of this shape."""
        size = math.prod(shape)
        if size > self._values.size:
            self._values = np.empty(size, np.float32)
        return self._values[:size].reshape(shape)


class Work:
    """An image on its way through the server.

    Attributes:
        network: What it is for.
        source: The image; dropped as soon as the answer is there or no longer wanted.
        answer: Resolved with the logits or the error of the image.
        place: Where the decoded image is, once it has one.
    """

    def __init__(self, network: Network, source: Source, answer: Answer) -> None:
        self.network = network
        self.source: Source | None = source
        self.answer = answer
        self.place: Memory
        answer.add_done_callback(self.drop)

    def drop(self, answer: Answer) -> None:
        """Release the image."""
        self.source = None


class Batcher:
    """Decodes images on one thread per processor, and runs them in batches on another thread.

    Decoding is ahead of the networks by a few batches, and all images that are decoded when the
    thread of the networks is free run together, those of each network in a batch. It waits for more
    only while others are being decoded, and not longer than `Limits.delay`: on an idle server an
    image goes through at once. The queue, the threads and the memory for images are the same for
    any number of networks.

    All methods are called on the thread of the event loop.

    Args:
        limits: Sizes of the batch and of the queue.
        memory: What images share while they are decoded.
    """

    def __init__(self, limits: Limits, memory: MemoryBudget) -> None:
        self.limits = limits
        self.memory = memory
        self.unanswered = 0
        self._loop = asyncio.get_running_loop()
        self._batch = Memory()
        self._free: SimpleQueue[Memory] = SimpleQueue()
        for _ in range(AHEAD * limits.batch):
            self._free.put(Memory())
        self._accepted: SimpleQueue[Work | None] = SimpleQueue()
        self._decoded: SimpleQueue[Work | None] = SimpleQueue()
        self._decoding = [False] * processors()
        self._decoders = [
            threading.Thread(target=self._decode_all, args=(number,), daemon=True)
            for number in range(len(self._decoding))
        ]
        self._runner = threading.Thread(target=self._run_all, daemon=True)
        for thread in (*self._decoders, self._runner):
            thread.start()

    async def run(self, network: Network, sources: list[Source]) -> list[Logits | ImageError]:
        """Run the images of a request. Cancelling this takes them out of the queue.

        Raises:
            Refusal: There is no room for the images.
        """
        answers = self.submit(network, sources)
        try:
            return await asyncio.gather(*answers)
        finally:
            for answer in answers:
                answer.cancel()

    def submit(self, network: Network, sources: list[Source]) -> list[Answer]:
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
        works = [Work(network, source, self._loop.create_future()) for source in sources]
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
        self._runner.join()

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
            del work

    def _decode(self, work: Work) -> bool:
        """Write an image to its place, and return whether the network should run on it."""
        source = work.source
        if source is None:
            return False
        try:
            self._put(work.network, source, work.place)
        except ImageError as error:
            # Another one, since the traceback of this one keeps the image in memory.
            self._resolve([work], [ImageError(str(error))])
        except Exception as error:
            self._fail([work], error)
        else:
            return True
        return False

    def _put(self, network: Network, source: Source, place: Memory) -> None:
        """Write an image to its place once there is memory to decode it."""
        size = network.memory_for(source)
        if size > self.memory.size:
            raise ImageError(f"this image {self.memory.beyond(size)}; make a smaller copy")
        with self.memory.share(size, "this image"):
            network.put(source, place.array(*network.input_shape))

    def _run_all(self) -> None:
        """Run batches of decoded images until `close`."""
        while (first := self._decoded.get()) is not None:
            self._run_gathered(self._gather(first))
            del first  # with its network, which may be unloaded before the next image comes

    def _run_gathered(self, gathered: list[Work]) -> None:
        """Run the images of each network together."""
        works = [work for work in gathered if not self._dropped(work)]
        for network in {work.network: None for work in works}:
            self._run_batch(network, [work for work in works if work.network is network])

    def _run_batch(self, network: Network, works: list[Work]) -> None:
        images = self._take(network, works)
        try:
            self._resolve(works, self._run_network(network, images))
        except Exception as error:
            self._fail(works, error)

    def _run_network(
        self, network: Network, images: NDArray[np.float32]
    ) -> list[Logits | ImageError]:
        start = time.perf_counter()
        values = network(images)
        seconds = time.perf_counter() - start
        network.observe(len(images), seconds)
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

    def _take(self, network: Network, works: list[Work]) -> NDArray[np.float32]:
        """Copy decoded images into one array and free their places."""
        shape = network.input_shape
        images = self._batch.array(self.limits.batch, *shape)[: len(works)]
        np.stack([work.place.array(*shape) for work in works], out=images)
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
