"""Connections that do not wait forever for a request."""

from asyncio import TimerHandle, Transport
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol


class PromptConnection(HttpToolsProtocol):
    """A connection of uvicorn that is closed unless each request arrives in time.

    Uvicorn itself waits without end for the rest of a request.

    Args:
        arrival: Seconds from the connection, or from the first byte of a later request, to the
            last byte of the request.
        **arguments: Those of uvicorn.
    """

    def __init__(self, arrival: float, **arguments: Any) -> None:
        super().__init__(**arguments)
        self._arrival = arrival
        self._deadline: TimerHandle | None = None

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]
        """Wait for the first request."""
        super().connection_made(transport)
        self._expect()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the timer: the connection is closed."""
        self._forget()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Wait for the rest of a request, unless it is complete."""
        if self._deadline is None:
            self._expect()
        super().data_received(data)

    def on_message_complete(self) -> None:
        """Stop the timer: the request is complete."""
        self._forget()
        super().on_message_complete()

    def _expect(self) -> None:
        self._deadline = self.loop.call_later(self._arrival, self._close)

    def _forget(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _close(self) -> None:
        self.transport.close()
