"""Dynamic batching: which images run together, and what becomes of those that do not."""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from typing import Any

import numpy as np
import pytest

from ghostnet.errors import ImageError
from ghostnet.serving.batcher import AHEAD, Batcher, Source
from ghostnet.serving.limits import Limits
from ghostnet.serving.memory import MemoryBudget
from ghostnet.serving.refusal import Refusal

Array = np.ndarray[Any, Any]
WAIT_SECONDS = 30


class Network:
    """A network whose logits are the image itself; ``gate`` holds it up.

    Attributes:
        taken: Released for each batch that the network takes.
        decoded: Released for each image that is decoded.
    """

    def __init__(self, pixels: int = 1) -> None:
        self.input_shape = (pixels,)
        self.batches: list[int] = []
        self.gate = threading.Event()
        self.gate.set()
        self.taken = threading.Semaphore(0)
        self.decoded = threading.Semaphore(0)

    def __call__(self, images: Array) -> Array:
        self.taken.release()
        assert self.gate.wait(WAIT_SECONDS)
        self.batches.append(len(images))
        if (images == 666).any():
            raise RuntimeError("the network failed")
        return images.copy()

    def memory_for(self, source: Source) -> int:
        return 0

    def put(self, source: Source, place: Array) -> None:
        if isinstance(source, bytes):
            raise ImageError("broken")
        place[:] = source
        self.decoded.release()

    def observe(self, images: int, seconds: float) -> None:
        """Called by the batcher; a test may replace it."""


async def happens(what: threading.Semaphore, times: int = 1) -> None:
    """Wait until something has happened so often."""
    for _ in range(times):
        assert await asyncio.to_thread(what.acquire, timeout=WAIT_SECONDS)


def image(value: float) -> Array:
    return np.array([value], np.float32)


def run(use: Callable[[Batcher, Network], Awaitable[None]], **limits: Any) -> Network:
    """Use a batcher on an event loop."""
    network = Network()

    async def main() -> None:
        batcher = Batcher(Limits(**limits), MemoryBudget(1000))
        try:
            await asyncio.wait_for(use(batcher, network), WAIT_SECONDS)
        finally:
            network.gate.set()
            batcher.close()

    asyncio.run(main())
    return network


@pytest.mark.parametrize("batch", [1, 3, 32])
def test_each_image_gets_its_own_answer_whatever_it_runs_with(batch: int) -> None:
    async def use(batcher: Batcher, network: Network) -> None:
        answers = await asyncio.gather(*batcher.submit(network, [image(n) for n in range(200)]))
        assert [float(answer.values[0]) for answer in answers] == list(range(200))

    network = run(use, batch=batch)
    assert sum(network.batches) == 200
    assert max(network.batches) <= batch


def test_images_that_wait_while_the_network_runs_go_together() -> None:
    async def use(batcher: Batcher, network: Network) -> None:
        network.gate.clear()
        first = batcher.submit(network, [image(0)])
        await happens(network.taken)
        others = [answer for n in range(8) for answer in batcher.submit(network, [image(n)])]
        await happens(network.decoded, 1 + len(others))
        network.gate.set()
        await asyncio.gather(*first, *others)

    assert run(use, batch=8, delay=WAIT_SECONDS).batches == [1, 8]


def test_an_image_alone_does_not_wait_for_others() -> None:
    async def use(batcher: Batcher, network: Network) -> None:
        for _ in range(10):
            await asyncio.wait_for(batcher.submit(network, [image(1)])[0], 5)

    assert run(use, delay=3600.0).batches == [1] * 10


def test_a_broken_image_is_answered_alone() -> None:
    async def use(batcher: Batcher, network: Network) -> None:
        good, broken, other = await asyncio.gather(
            *batcher.submit(network, [image(1), b"", image(2)])
        )
        assert (float(good.values[0]), str(broken), float(other.values[0])) == (1, "broken", 2)

    run(use)


def test_images_of_several_networks_share_the_queue_and_run_apart() -> None:
    other = Network(pixels=3)

    async def use(batcher: Batcher, network: Network) -> None:
        network.gate.clear()
        first = batcher.submit(network, [image(0)])
        await happens(network.taken)
        small = batcher.submit(network, [image(1), image(2)])
        large = batcher.submit(other, [np.full(3, 7, np.float32)])
        await happens(other.decoded)
        with pytest.raises(Refusal):
            batcher.submit(other, [np.zeros(3, np.float32)])
        network.gate.set()
        answers = await asyncio.gather(*first, *small, *large)
        assert [answer.values.tolist() for answer in answers] == [[0], [1], [2], [7, 7, 7]]

    assert sum(run(use, queue=4).batches) == 3
    assert other.batches == [1]


def test_logits_that_are_not_finite_are_an_error_of_their_image() -> None:
    async def use(batcher: Batcher, network: Network) -> None:
        good, bad = await asyncio.gather(*batcher.submit(network, [image(1), image(np.nan)]))
        assert float(good.values[0]) == 1
        assert "NaN or infinity" in str(bad)

    run(use)


def test_a_failure_of_the_network_reaches_its_batch_and_no_other() -> None:
    async def use(batcher: Batcher, network: Network) -> None:
        with pytest.raises(RuntimeError, match="the network failed"):
            await batcher.submit(network, [image(666)])[0]
        assert float((await batcher.submit(network, [image(5)])[0]).values[0]) == 5
        assert batcher.unanswered == 0

    run(use, batch=1)


def test_a_failure_of_the_observer_reaches_its_batch_and_no_other() -> None:
    observed = []

    def observe(images: int, seconds: float) -> None:
        observed.append(images)
        if len(observed) == 1:
            raise RuntimeError("the metrics failed")

    async def use(batcher: Batcher, network: Network) -> None:
        network.observe = observe
        with pytest.raises(RuntimeError, match="the metrics failed"):
            await batcher.submit(network, [image(4)])[0]
        assert float((await batcher.submit(network, [image(5)])[0]).values[0]) == 5

    run(use, batch=1)


def test_a_full_queue_refuses_and_takes_again_when_there_is_room() -> None:
    async def use(batcher: Batcher, network: Network) -> None:
        network.gate.clear()
        accepted = [batcher.submit(network, [image(n)])[0] for n in range(4)]
        with pytest.raises(Refusal) as refused:
            batcher.submit(network, [image(4)])
        assert (refused.value.status, refused.value.headers) == (503, {"Retry-After": "1"})
        network.gate.set()
        await asyncio.gather(*accepted)
        await asyncio.gather(*batcher.submit(network, [image(n) for n in range(4)]))

    run(use, queue=4)


def test_a_large_request_leaves_room_for_others() -> None:
    async def use(batcher: Batcher, network: Network) -> None:
        network.gate.clear()
        large = batcher.submit(network, [image(n) for n in range(7)])
        others = [batcher.submit(network, [image(n)])[0] for n in range(4)]
        with pytest.raises(Refusal):
            batcher.submit(network, [image(8)])
        network.gate.set()
        results = await asyncio.gather(*large, *others)
        assert [float(result.values[0]) for result in results] == [*range(7), *range(4)]
        assert batcher.unanswered == 0

    run(use, batch=2, queue=8)


def test_more_images_than_the_queue_holds_are_refused_for_good() -> None:
    async def use(batcher: Batcher, network: Network) -> None:
        with pytest.raises(Refusal) as refused:
            batcher.submit(network, [image(n) for n in range(5)])
        assert refused.value.status == 413

    run(use, queue=4)


def test_images_that_nobody_waits_for_do_not_run() -> None:
    batch = 4

    async def use(batcher: Batcher, network: Network) -> None:
        network.gate.clear()
        first = batcher.submit(network, [image(0)])
        await happens(network.taken)
        left = batcher.submit(network, [image(n) for n in range(50)])
        await happens(network.decoded, 1 + AHEAD * batch)
        for answer in left:
            answer.cancel()
        while batcher.unanswered > 1:
            await asyncio.sleep(0)
        network.gate.set()
        await asyncio.gather(*first, *batcher.submit(network, [image(7)]))

    assert sum(run(use, batch=batch).batches) <= 3


def test_closing_finishes_what_was_accepted() -> None:
    async def use(batcher: Batcher, network: Network) -> None:
        answers = batcher.submit(network, [image(n) for n in range(20)])
        batcher.close()
        assert len(await asyncio.gather(*answers)) == 20

    async def main() -> None:
        await use(Batcher(Limits(batch=4), MemoryBudget(1000)), Network())

    asyncio.run(main())
