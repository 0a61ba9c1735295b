"""A real HTTP server on loopback that answers as badly as a test asks it to."""

import socket
import socketserver
import ssl
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

    def do_CONNECT(self) -> None:
        self.do_GET()

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
def serving(tls: ssl.SSLContext | None = None) -> Iterator[MisbehavingServer]:
    """A running server, shut down at the end; with `tls` it speaks HTTPS."""
    with MisbehavingServer() as server:
        if tls:
            server.socket = tls.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def proxying(port: int) -> Iterator[int]:
    """The port of a proxy whose every tunnel leads to `port` of this machine."""

    class Tunnel(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            while self.rfile.readline().strip():
                pass
            with socket.create_connection(("127.0.0.1", port)) as server:
                self.wfile.write(b"HTTP/1.1 200 Connected\r\n\r\n")
                threading.Thread(target=pump, args=(server, self.connection)).start()
                pump(self.connection, server)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Tunnel) as proxy:
        thread = threading.Thread(target=proxy.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield proxy.server_address[1]
        finally:
            proxy.shutdown()
            thread.join()


def pump(source: socket.socket, target: socket.socket) -> None:
    """Passes bytes on until one side hangs up."""
    with suppress(OSError):
        while content := source.recv(65536):
            target.sendall(content)
        target.shutdown(socket.SHUT_WR)


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


def endless_chunks(handler: Handler) -> None:
    """Answers 200 with chunks that never end while anybody reads them."""
    handler.protocol_version = "HTTP/1.1"
    handler.send(200, Transfer_Encoding="chunked")
    with suppress(OSError):
        while True:
            handler.wfile.write(b"10000\r\n" + bytes(65536) + b"\r\n")


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


def stalling(body: bytes) -> Answer:
    """Sends half of `body`, then nothing until the client hangs up."""

    def answer(handler: Handler) -> None:
        handler.send(200, body[: len(body) // 2], Content_Length=str(len(body)))
        handler.rfile.read(1)

    return answer


def trickling(beginning: bytes, piece: bytes, end: bytes) -> Answer:
    """Sends bytes as they are: a beginning, a thousand pieces a little apart, and an end."""

    def answer(handler: Handler) -> None:
        handler.wfile.write(beginning)
        for _ in range(1000):
            handler.wfile.write(piece)
            time.sleep(0.02)
        handler.wfile.write(end)

    return answer
