"""Bodies of requests: what is in memory at once is bounded."""

import asyncio
import gzip
from collections.abc import Iterator
from contextlib import AsyncExitStack

import pytest
from starlette.requests import ClientDisconnect, Request

from ghostnet.serving.intake import PIECE, Intake
from ghostnet.serving.limits import Limits
from ghostnet.serving.refusal import Refusal

LIMIT = 1000
HELD = 4
"""Bodies of the largest size that are in memory at most."""

LIMITS = Limits(body=LIMIT, memory=4 * HELD * LIMIT)


def request(*chunks: int | bytes, leaves: bool = False, **headers: str) -> Request:
    """A request whose body comes in chunks, or zeros so long, unless its client leaves first."""
    contents = [chunk if isinstance(chunk, bytes) else bytes(chunk) for chunk in chunks]
    messages: Iterator[dict[str, object]] = iter(
        [{"type": "http.request", "body": content, "more_body": True} for content in contents]
    )
    last = {"type": "http.disconnect" if leaves else "http.request"}

    async def receive() -> dict[str, object]:
        return next(messages, last)

    lines = [(name.replace("_", "-").encode(), text.encode()) for name, text in headers.items()]
    return Request({"type": "http", "headers": lines}, receive)


async def fill(intake: Intake, stack: AsyncExitStack) -> None:
    """Hold as many bodies of the largest size as there may be."""
    for _ in range(HELD):
        await stack.enter_async_context(intake.body(request(LIMIT // 2, LIMIT // 2)))


def test_bodies_beyond_the_bound_are_refused_until_others_are_done() -> None:
    async def main() -> None:
        intake = Intake(LIMITS)
        for _ in range(2):
            async with AsyncExitStack() as stack:
                await fill(intake, stack)
                with pytest.raises(Refusal) as refused:
                    await stack.enter_async_context(intake.body(request(1)))
                assert refused.value.status == 503
                assert refused.value.headers == {"Retry-After": "1"}

    asyncio.run(main())


def test_a_body_that_is_copied_counts_as_often() -> None:
    async def main() -> None:
        intake = Intake(LIMITS)
        async with AsyncExitStack() as stack:
            for _ in range(HELD // 2):
                await stack.enter_async_context(intake.body(request(LIMIT), copies=2))
            with pytest.raises(Refusal):
                await stack.enter_async_context(intake.body(request(1)))
        async with AsyncExitStack() as stack:
            await fill(intake, stack)

    asyncio.run(main())


def test_a_body_that_grows_over_the_limit_is_refused_and_forgotten() -> None:
    async def main() -> None:
        intake = Intake(LIMITS)
        for _ in range(2 * HELD):
            with pytest.raises(Refusal) as refused:
                async with intake.body(request(LIMIT, 1)):
                    pass
            assert refused.value.status == 413
        async with AsyncExitStack() as stack:
            await fill(intake, stack)

    asyncio.run(main())


def test_the_body_of_a_client_that_leaves_is_forgotten() -> None:
    async def main() -> None:
        intake = Intake(LIMITS)
        for _ in range(2 * HELD):
            with pytest.raises(ClientDisconnect):
                async with intake.body(request(LIMIT, leaves=True)):
                    pass
        async with AsyncExitStack() as stack:
            await fill(intake, stack)

    asyncio.run(main())


@pytest.mark.parametrize("length", [0, 1, PIECE - 1, PIECE, PIECE + 1, 3 * PIECE])
@pytest.mark.parametrize("chunk", [7, 2**16])
def test_gzip_is_unpacked_in_pieces_with_turns_for_others(length: int, chunk: int) -> None:
    content = bytes(length // 2) + bytes(i % 251 for i in range(length - length // 2))
    packed = gzip.compress(content)
    chunks = [packed[start : start + chunk] for start in range(0, len(packed), chunk)]

    async def main() -> None:
        turns = asyncio.ensure_future(count_turns())
        intake = Intake(Limits(body=4 * PIECE))
        async with intake.body(request(*chunks, content_encoding="gzip")) as body:
            assert body == content
        turns.cancel()
        assert await turns >= length // PIECE

    asyncio.run(main())


async def count_turns() -> int:
    """How often another task has its turn until it is cancelled."""
    count = 0
    try:
        while True:
            await asyncio.sleep(0)
            count += 1
    except asyncio.CancelledError:
        return count


def test_bytes_on_their_way_wait_for_room() -> None:
    intake = Intake(Limits(memory=400, body=50))
    order = []

    async def arrive(name: str, length: int) -> None:
        async with intake.room(length):
            order.append(name)
            await asyncio.sleep(0)

    async def all_arrive() -> None:
        async with intake.room(60):
            waiting = asyncio.gather(arrive("large", 50), arrive("small", 30))
            await asyncio.sleep(0)
            assert order == ["small"]
        await waiting

    asyncio.run(all_arrive())
    assert order == ["small", "large"]


def test_a_message_that_turns_out_small_is_not_refused_for_those_that_wait() -> None:
    intake = Intake(Limits(memory=400, body=50))

    async def arrive() -> None:
        async with intake.room(50), intake.room(50) as count:
            waiting = asyncio.create_task(wait())
            await asyncio.sleep(0)
            count(3)
            await waiting
            with pytest.raises(Refusal, match="too many requests in memory"):
                count(100)

    async def wait() -> None:
        async with intake.room(40):
            pass

    asyncio.run(arrive())
