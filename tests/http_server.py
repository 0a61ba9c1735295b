"""A real HTTP server on loopback that answers as badly as a test asks it to."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

Answer = Callable[["Handler"], None]


class Handler(BaseHTTPRequestHandler):
    """Answers each path by what the server's table says of it, and counts the requests."""

    server: "MisbehavingServer"

    def do_GET(self) -> None:
        self.server.requests.append(self.path)
        self.server.answers[self.path](self)

    def send(self, status: int, body: bytes = b"", **headers: str) -> None:
        """Sends a status, headers (`Content_Length="3"`) and as much of a body as there is."""
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def handle(self) -> None:
        with suppress(OSError):  # the client may hang up at any byte
            super().handle()

    def log_message(self, *_: object) -> None:
        """Keeps the test output clean."""


class MisbehavingServer(ThreadingHTTPServer):
    """`answers` maps a path to what to do with it; `requests` lists the paths asked for."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers: dict[str, Answer] = {}
        self.requests: list[str] = []

    def url(self, path: str, answer: Answer) -> str:
        """Answers `path` with `answer` from now on; the URL to ask for."""
        self.answers[path] = answer
        return f"http://127.0.0.1:{self.server_port}{path}"


@contextmanager
def serving() -> Iterator[MisbehavingServer]:
    """A running server, shut down at the end."""
    with MisbehavingServer() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def whole(body: bytes) -> Answer:
    return lambda handler: handler.send(200, body, Content_Length=str(len(body)))


def without_length(body: bytes) -> Answer:
    return lambda handler: handler.send(200, body)


def claiming(length: int, body: bytes) -> Answer:
    """Says that `length` bytes follow, sends `body` and hangs up."""
    return lambda handler: handler.send(200, body, Content_Length=str(length))


def status(code: int, **headers: str) -> Answer:
    return lambda handler: handler.send(code, Content_Length="0", **headers)


def redirect(location: str, code: int = 302) -> Answer:
    return status(code, Location=location)


def endless(code: int, **headers: str) -> Answer:
    """A status with a body that never ends while anybody reads it."""

    def answer(handler: Handler) -> None:
        handler.send(code, **headers)
        with suppress(OSError):
            while True:
                handler.wfile.write(bytes(65536))

    return answer


def in_turn(*answers: Answer) -> Answer:
    """The first answer to the first request, and so on; the last one for all that follow."""
    remaining = list(answers)
    return lambda handler: (remaining.pop(0) if len(remaining) > 1 else remaining[0])(handler)


def slowly(body: bytes, pieces: int, pause: float) -> Answer:
    """Sends `body` in `pieces` with a pause, in seconds, after each."""

    def answer(handler: Handler) -> None:
        handler.send(200, Content_Length=str(len(body)))
        size = -(-len(body) // pieces)
        for start in range(0, len(body), size):
            handler.wfile.write(body[start : start + size])
            time.sleep(pause)

    return answer


def stalling(body: bytes, pause: float = 2.0) -> Answer:
    """Sends half of `body`, then nothing for `pause` seconds."""

    def answer(handler: Handler) -> None:
        handler.send(200, body[: len(body) // 2], Content_Length=str(len(body)))
        time.sleep(pause)

    return answer
