"""Clients that leave before they are answered."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from starlette.requests import ClientDisconnect, Request

Outcome = TypeVar("Outcome")


async def unless_left(request: Request, work: Coroutine[Any, Any, Outcome]) -> Outcome:
    """Work for a request whose body has been read, until it is done or the client leaves.

    Raises:
        ClientDisconnect: The client left; the work is cancelled.
    """
    working = asyncio.ensure_future(work)
    leaving = asyncio.ensure_future(_leaves(request))
    leaving.add_done_callback(lambda _: working.cancel())
    try:
        return await working
    except asyncio.CancelledError:
        if leaving.done() and not leaving.cancelled():
            raise ClientDisconnect from None
        working.cancel()
        raise
    finally:
        leaving.cancel()


async def _leaves(request: Request) -> None:
    """Return when the client closes the connection."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
