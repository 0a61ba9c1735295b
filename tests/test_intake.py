"""Bodies of requests: what is in memory at once is bounded."""

import asyncio
from collections.abc import Iterator
from contextlib import AsyncExitStack

import pytest
from starlette.requests import ClientDisconnect, Request

from ghostnet.serving.intake import Intake
from ghostnet.serving.limits import HELD_BODIES, Limits
from ghostnet.serving.refusal import Refusal

LIMIT = 1000


def request(*chunks: int, leaves: bool = False) -> Request:
    """A request whose body comes in chunks of these lengths, unless its client leaves first."""
    messages: Iterator[dict[str, object]] = iter(
        [{"type": "http.request", "body": bytes(size), "more_body": True} for size in chunks]
    )
    last = {"type": "http.disconnect" if leaves else "http.request"}

    async def receive() -> dict[str, object]:
        return next(messages, last)

    return Request({"type": "http", "headers": []}, receive)


async def fill(intake: Intake, stack: AsyncExitStack) -> None:
    """Hold as many bodies of the largest size as there may be."""
    for _ in range(HELD_BODIES):
        await stack.enter_async_context(intake.body(request(LIMIT // 2, LIMIT // 2)))


def test_bodies_beyond_the_bound_are_refused_until_others_are_done() -> None:
    async def main() -> None:
        intake = Intake(Limits(body=LIMIT))
        for _ in range(2):
            async with AsyncExitStack() as stack:
                await fill(intake, stack)
                with pytest.raises(Refusal) as refused:
                    await stack.enter_async_context(intake.body(request(1)))
                assert refused.value.status == 503
                assert refused.value.headers == {"Retry-After": "1"}

    asyncio.run(main())


def test_a_body_that_grows_over_the_limit_is_refused_and_forgotten() -> None:
    async def main() -> None:
        intake = Intake(Limits(body=LIMIT))
        for _ in range(2 * HELD_BODIES):
            with pytest.raises(Refusal) as refused:
                async with intake.body(request(LIMIT, 1)):
                    pass
            assert refused.value.status == 413
        async with AsyncExitStack() as stack:
            await fill(intake, stack)

    asyncio.run(main())


def test_the_body_of_a_client_that_leaves_is_forgotten() -> None:
    async def main() -> None:
        intake = Intake(Limits(body=LIMIT))
        for _ in range(2 * HELD_BODIES):
            with pytest.raises(ClientDisconnect):
                async with intake.body(request(LIMIT, leaves=True)):
                    pass
        async with AsyncExitStack() as stack:
            await fill(intake, stack)

    asyncio.run(main())
