"""Requests that try to take a server's memory or time, as bytes to send.

Each has its own connection. What it says of length is true, unless the point is that it is not.
"""

import gzip
import io
import socket
from collections.abc import Callable
from contextlib import suppress

from PIL import Image

BODY = 20 * 2**20 - 2**10
"""Bytes of the largest bodies: just below the server's limit."""

TIMEOUT_SECONDS = 120
BOUNDARY = b"a-boundary-that-no-image-contains"
TENSOR = b'{"inputs":[{"name":"images","datatype":"FP32","shape":[1,3,224,224],"data":['


def post(path: str, body: bytes, *headers: bytes) -> bytes:
    """A request with a body."""
    lines = [b"POST /%b HTTP/1.1" % path.encode(), b"Host: x", b"Connection: close", *headers]
    return b"\r\n".join([*lines, b"Content-Length: %d" % len(body), b"", body])


def image(mode: str, size: int, kind: str, **options: object) -> bytes:
    """A plain image, which compresses well."""
    file = io.BytesIO()
    Image.new(mode, (size, size)).save(file, kind, **options)
    return file.getvalue()


def json_of(part: bytes) -> bytes:
    """A request of JSON as large as may be, of equal parts."""
    return TENSOR + part * ((BODY - len(TENSOR) - 5) // len(part)) + b"0]}]}"


def form_of(content: bytes, count: int) -> bytes:
    """A form with many copies of a file."""
    head = b'Content-Disposition: form-data; name="image"; filename="a.png"\r\n\r\n'
    part = b"--" + BOUNDARY + b"\r\n" + head + content + b"\r\n"
    return part * count + b"--" + BOUNDARY + b"--\r\n"


def requests(infer: str) -> dict[str, bytes]:
    """Hostile requests by name.

    Args:
        infer: Path of the model for inference requests.
    """
    is_form = b"Content-Type: multipart/form-data; boundary=" + BOUNDARY
    is_gzip = b"Content-Encoding: gzip"
    lists = json_of(b"[],")
    return {
        "palette of 9990 × 9990": post("predict", image("P", 9990, "PNG")),
        "transparent, 9990 × 9990": post("predict", image("RGBA", 9990, "PNG")),
        "progressive, 9990 × 9990": post("predict", image("RGB", 9990, "JPEG", progressive=True)),
        "WebP of 5000 × 5000": post("predict", image("RGBA", 5000, "WEBP", lossless=True)),
        "lists": post(infer, lists),
        "lists in gzip": post(infer, gzip.compress(lists, 1), is_gzip),
        "objects": post(infer, json_of(b'{"":{}},')),
        "numbers": post(infer, json_of(b"0.12345678901234567,")),
        "zeros in gzip": post("predict", gzip.compress(bytes(BODY), 9), is_gzip),
        "no image": post("predict", b"no image" + bytes(BODY - 8)),
        "form of 505 images": post("predict", form_of(image("P", 300, "PNG"), 505), is_form),
        "form of 5 large images": post("predict", form_of(image("P", 5000, "PNG"), 5), is_form),
        "form of empty files": post("predict", form_of(b"", 100_000), is_form),
        "headers of 1 MiB": post("predict", b"", b"X: " + b"y" * 2**20),
        "more than is allowed": post("predict", bytes(2 * BODY)),
        "half a body": post("predict", bytes(BODY))[: BODY // 2],
        "offer of h2c": post("predict", b"no image", b"Connection: Upgrade", b"Upgrade: h2c"),
    }


def answer(connection: socket.socket) -> str:
    """The status of a response, or how the connection ends; the rest is read until it does."""
    content = b""
    while part := connection.recv(2**16):
        content = content or part
    return content[9:12].decode() if content else "closed"


def leave(connection: socket.socket) -> str:
    """Leave without waiting for the answer."""
    return "left"


def half_close(connection: socket.socket) -> str:
    """Send no more, and wait for the answer."""
    connection.shutdown(socket.SHUT_WR)
    return answer(connection)


ENDINGS: dict[str, Callable[[socket.socket], str]] = {
    "half a body": leave,
    "no image": half_close,
}
"""How the client of a request goes on, where it does not simply wait."""


def send(port: int, name: str, request: bytes) -> str:
    """Send a hostile request on loopback, and return what came of it."""
    with socket.create_connection(("127.0.0.1", port), TIMEOUT_SECONDS) as connection:
        with suppress(ConnectionError):  # the server may close before it has read all
            connection.sendall(request)
        try:
            return ENDINGS.get(name, answer)(connection)
        except (ConnectionError, TimeoutError) as error:
            return type(error).__name__
