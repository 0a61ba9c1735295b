"""Request bodies: reading them within limits, and finding the images in them."""

import zlib
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from ghostnet.serving.limits import HELD_BODIES, MEBIBYTE, Limits
from ghostnet.serving.refusal import Refusal, busy

UNNAMED = "-"
"""The name of an image without a file name, as for stdin in ``ghostnet predict``."""


class Intake:
    """Reads the bodies of requests and counts their bytes in memory.

    Args:
        limits: Size of a body and of the queue.
    """

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._held = 0

    @asynccontextmanager
    async def body(self, request: Request) -> AsyncIterator[bytes]:
        """Read a body; its bytes count as held until the block ends.

        Raises:
            Refusal: The body is too large or compressed, or too many others are in memory.
            ClientDisconnect: The client disconnects before the body is complete.
        """
        encoding = request.headers.get("content-encoding", "identity").lower()
        if encoding not in ("identity", "gzip"):
            raise Refusal(
                415, f"the Content-Encoding is {encoding[:20]}; send gzip, or no compression"
            )
        unpacker = zlib.decompressobj(zlib.MAX_WBITS | 16) if encoding == "gzip" else None
        declared = request.headers.get("content-length", "0")
        self._check(int(declared) if declared.isdecimal() else 0)
        chunks, length = [], 0
        try:
            async for received in request.stream():
                chunk = self._unpacked(unpacker, received) if unpacker else received
                length += len(chunk)
                self._held += len(chunk)
                self._check(length)
                chunks.append(chunk)
            if unpacker and not unpacker.eof:
                raise Refusal(400, "the gzip body ends early; send all of it")
            yield b"".join(chunks)
        finally:
            self._held -= length

    def _unpacked(self, unpacker: "zlib._Decompress", chunk: bytes) -> bytes:
        """Unpack a part of a body; no more of it than makes the body too large."""
        try:
            return unpacker.decompress(chunk, self.limits.body + 1)
        except zlib.error as error:
            raise Refusal(400, f"the body is not gzip ({error}); compress it again") from error

    def _check(self, length: int) -> None:
        """Refuse a body of ``length`` bytes that is too large, for now or in general."""
        if length > self.limits.body:
            raise Refusal(
                413,
                f"the body is larger than the limit of {self.limits.body / MEBIBYTE:g} MiB; send a "
                "smaller image or fewer images",
            )
        if self._held > HELD_BODIES * self.limits.body:
            raise busy("requests in memory")


@dataclass(frozen=True)
class EncodedImage:
    """An image as the client sent it.

    Attributes:
        name: Its file name, or `UNNAMED`.
        content: Content of the file.
    """

    name: str
    content: bytes


async def read_images(request: Request, body: bytes, limits: Limits) -> list[EncodedImage]:
    """Return the images of a body: the files of a multipart form, or else the body itself.

    Raises:
        Refusal: The form is malformed, or has no file.
    """
    if not request.headers.get("content-type", "").lower().startswith("multipart/form-data"):
        return [EncodedImage(UNNAMED, body)]
    parser = MultiPartParser(request.headers, _chunk(body), max_files=limits.queue)
    parser.spool_max_size = limits.body  # in memory, not on disk
    try:
        form = await parser.parse()
    except MultiPartException as error:
        raise Refusal(400, f"the multipart form is malformed: {error.message}") from error
    files = [value for _, value in form.multi_items() if isinstance(value, UploadFile)]
    if not files:
        raise Refusal(400, "the multipart form has no file; send each image as a file")
    return [EncodedImage(file.filename or UNNAMED, await file.read()) for file in files]


async def _chunk(body: bytes) -> AsyncGenerator[bytes, None]:
    yield body
