"""Connections that neither wait forever nor fill memory, whatever a client sends."""

import json
from asyncio import TimerHandle, Transport
from http import HTTPStatus
from typing import Any

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from ghostnet.serving.limits import Limits

HEAD_BYTES = 64 * 1024
"""Most bytes of a request line and its headers."""

HEADERS = 100
"""Most headers of a request."""

OFFERS = (b"upgrade", b"http2-settings")
"""Headers that offer another protocol, and words of ``Connection`` that announce them."""


PIPELINED = 100
"""Most requests of a connection that wait for the answers to earlier ones."""


class _HeadTooLarge(Exception):
    """The headers of a request are too many or too long."""


class _TooManyWait(Exception):
    """A client sends requests without end, and does not wait for the answers."""


class PromptConnection(HttpToolsProtocol):
    """A connection of uvicorn with limits for the head and for the arrival of each request.

    Uvicorn itself waits without end for the rest of a request, stores headers of any length, drops
    a request that offers another protocol, closes at once on a client that sends no more, queues
    requests without end, and does not tell one that its client has left if another one follows.

    Args:
        limits: How long a request may take to arrive.
        **arguments: Those of uvicorn.
    """

    def __init__(self, limits: Limits, **arguments: Any) -> None:
        super().__init__(**arguments)
        self._limits = limits
        self._deadline: TimerHandle | None = None
        self._is_arriving = True
        self._is_in_head = True
        self._is_all_head = True
        self._head_bytes = 0
        self._answering: RequestResponseCycle | None = None

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]
        """Wait for the first request."""
        super().connection_made(transport)
        self._expect()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the timer: the connection is closed, and no later request will be answered."""
        self._forget()
        self.pipeline.clear()
        if self._answering is not None:
            self._answering.disconnected = True
            self._answering.message_event.set()
        super().connection_lost(exc)

    def eof_received(self) -> bool:  # type: ignore[override]
        """Answer a whole request although its client sends no more; close after that."""
        if self._is_arriving or self.cycle is None or self.cycle.response_complete:
            return False
        self.cycle.keep_alive = False
        return True

    def data_received(self, data: bytes) -> None:
        """Read a part of a request, and wait for the rest unless it is complete."""
        self._unset_keepalive_if_required()
        self._is_all_head = self._is_in_head
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as offer:
            self._decline(data[offer.args[0] :])
        except httptools.HttpParserError as error:
            if isinstance(error.__context__, _TooManyWait):
                self.transport.close()
            elif isinstance(error.__context__, _HeadTooLarge):
                self._refuse_head()
            else:
                self._refuse(
                    HTTPStatus.BAD_REQUEST, "the request is not valid HTTP/1.1; correct it"
                )
        else:
            if self._is_all_head and self._is_arriving:
                self._head_bytes += len(data)
                if self._head_bytes > HEAD_BYTES:
                    self._refuse_head()
            if self._is_arriving and self._deadline is None:
                self._expect()

    def on_message_begin(self) -> None:
        """Expect the head of a request."""
        self._is_arriving = self._is_in_head = True
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Store a header; those that follow a body in chunks say nothing here."""
        if self._is_in_head:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Start to answer, unless the head is too large or offers another protocol."""
        self._is_in_head = self._is_all_head = False
        self._head_bytes = 0
        head = len(self.url) + sum(len(name) + len(value) for name, value in self.headers)
        if head > HEAD_BYTES or len(self.headers) > HEADERS:
            raise _HeadTooLarge
        if len(self.pipeline) == PIPELINED:
            raise _TooManyWait
        if not self.parser.should_upgrade():
            super().on_headers_complete()

    def on_message_complete(self) -> None:
        """Stop the timer: the request is complete."""
        if self.parser.should_upgrade():
            return  # its body follows
        self._is_arriving = False
        self._is_in_head = True
        self._forget()
        super().on_message_complete()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._answering = cycle
        super()._start_asgi_task(cycle, app)

    def _decline(self, rest: bytes) -> None:
        """Read the head again without its offer of another protocol, then the rest.

        The parser takes what follows an offer for that protocol. HTTP lets a server ignore offers.
        """
        method = self.parser.get_method()
        if method == b"CONNECT":
            self._refuse(HTTPStatus.NOT_IMPLEMENTED, "this server is no proxy; send POST or GET")
            return
        lines = [method + b" " + self.url + b" HTTP/1.1"]
        for name, value in self.headers:
            if name == b"connection":
                words = (word.strip() for word in value.lower().split(b","))
                value = b", ".join(word for word in words if word not in OFFERS)
            if name not in OFFERS:
                lines.append(name + b": " + value)
        self.parser = httptools.HttpRequestParser(self)
        self.data_received(b"\r\n".join([*lines, b"", rest]))

    def _refuse_head(self) -> None:
        self._refuse(
            HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
            f"the headers are larger than {HEAD_BYTES // 1024} KiB, or more than {HEADERS}; send "
            "fewer",
        )

    def _refuse(self, status: HTTPStatus, sentence: str) -> None:
        """Answer a request that no application sees, and close."""
        body = json.dumps({"error": sentence}).encode()
        self.transport.write(
            b"HTTP/1.1 %d %b\r\nContent-Type: application/json\r\nContent-Length: %d\r\n"
            b"Connection: close\r\n\r\n%b" % (status, status.phrase.encode(), len(body), body)
        )
        self.transport.close()

    def _expect(self) -> None:
        self._deadline = self.loop.call_later(self._limits.arrival, self._close)

    def _forget(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _close(self) -> None:
        self.transport.close()
