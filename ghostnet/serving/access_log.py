"""Middleware that gives each request an ID, and writes a line about it."""

import json
import sys
import time
import uuid

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ghostnet.serving.access import LogFormat
from ghostnet.serving.trace_context import trace_id

REQUEST_ID = "X-Request-ID"
"""The header of a request and of its response that identifies them in logs."""

MOST_CHARACTERS = 128
"""Of an ID that a client chooses; a longer one is replaced."""


class AccessLog:
    """Middleware that takes over the ID of a request, or makes one, and logs the response.

    Args:
        app: The application behind it.
        log: Format of the log.
    """

    def __init__(self, app: ASGIApp, log: LogFormat) -> None:
        self.app = app
        self.log = log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on a request, and write a line after its response."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        identity = request_id(scope)
        start, status = time.perf_counter(), 500

        async def watch(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)[REQUEST_ID] = identity
            await send(message)

        try:
            await self.app(scope, receive, watch)
        finally:
            write_line(self.log, scope, status, time.perf_counter() - start, identity)


def request_id(scope: Scope) -> str:
    """Return the ID of a request: its own, or a new one."""
    given = Headers(scope=scope).get(REQUEST_ID, "")
    is_good = 0 < len(given) <= MOST_CHARACTERS and given.isascii() and given.isprintable()
    return given if is_good else uuid.uuid4().hex


def write_line(log: LogFormat, scope: Scope, status: int, seconds: float, identity: str) -> None:
    """Write a line about a request that was answered, unless the log is off."""
    if log is LogFormat.OFF:
        return
    line = {
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "client": (scope["client"] or ["-"])[0],
        "method": scope["method"],
        "path": scope["path"],
        "status": status,
        "milliseconds": round(1000 * seconds, 1),
        "request_id": identity,
        "trace_id": trace_id(scope) or "-",
    }
    if log is LogFormat.JSON:
        text = json.dumps(line)
    else:
        text = " ".join(json.dumps(value).strip('"') for value in line.values())
    sys.stderr.write(text + "\n")
    sys.stderr.flush()
