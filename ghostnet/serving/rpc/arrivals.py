"""Messages on their way to the server: how many arrive at a time, and for how long."""

import asyncio
from contextlib import AsyncExitStack
from typing import Any
from weakref import WeakValueDictionary

import grpc

from ghostnet.serving.intake import Intake
from ghostnet.serving.refusal import Refusal, busy

ARRIVING = 1 / 2
"""Share of the memory for bodies that messages on their way may take; others wait."""


class Arrivals:
    """Reads messages by turns, since any may be as large as is allowed until it is there.

    A connection has at most half of the turns, so that others are heard beside a silent one.

    Args:
        intake: What counts the messages in memory.
    """

    def __init__(self, intake: Intake) -> None:
        self._intake = intake
        limits = intake.limits
        turns = int(limits.bodies * ARRIVING / limits.body)
        self._turns = asyncio.Semaphore(max(1, turns))
        self._most_of_connection = max(1, turns // 2)
        self._turns_of = WeakValueDictionary[str, asyncio.Semaphore]()
        self._requests = 0

    async def read(self, context: Any, copies: int, memory: AsyncExitStack) -> bytes:
        """Return the message of a request.

        Args:
            context: The request.
            copies: How often its content is held.
            memory: Counts the copies as held until it is closed.

        Raises:
            Refusal: It does not arrive in time, or too many others are on their way or in memory.
        """
        limits = self._intake.limits
        if self._requests == limits.queue:  # each has headers, which are in memory
            raise busy("requests that arrive")
        own = asyncio.Semaphore(self._most_of_connection)
        own = self._turns_of.setdefault(context.peer(), own)
        self._requests += 1
        try:
            async with own, self._turns:
                count = await memory.enter_async_context(self._intake.room(limits.body))
                # Not by its iterator, which would keep the message until garbage is collected.
                content = await asyncio.wait_for(context.read(), limits.arrival)
        except asyncio.TimeoutError as error:
            raise Refusal(
                408, f"the request did not arrive within {limits.arrival:g} s; send it faster"
            ) from error
        finally:
            self._requests -= 1
        if content is grpc.aio.EOF:
            raise Refusal(400, "the request has no message; send one")
        count(copies * len(content))
        return bytes(content)
