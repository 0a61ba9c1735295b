"""Request bodies: reading them within limits, and finding the images in them."""

import asyncio
import zlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from ghostnet.data.transforms import Content
from ghostnet.serving.limits import MEBIBYTE, Limits
from ghostnet.serving.refusal import Refusal, busy

UNNAMED = "-"
"""The name of an image without a file name, as for stdin in ``ghostnet predict``."""

GZIP = ("gzip", "x-gzip")
"""What HTTP calls bodies in gzip."""

MEMBERS = 100
"""Most members of a body in gzip."""

GZIP_FORMAT = zlib.MAX_WBITS | 16
"""What zlib calls it."""

PIECE = 2**18
"""Bytes that are unpacked or parsed before other requests have their turn."""


class Intake:
    """Reads the bodies of requests and counts their bytes in memory.

    Args:
        limits: Size of a body and of all bodies.
    """

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._held = 0
        self._released = asyncio.Event()

    @asynccontextmanager
    async def body(self, request: Request, copies: int = 1) -> AsyncIterator[bytearray]:
        """Read a body; its bytes count as held until the block ends.

        Args:
            request: The request.
            copies: How often its content is held.

        Raises:
            Refusal: The body is too large or compressed, or too many others are in memory.
            ClientDisconnect: The client disconnects before the body is complete.
        """
        declared = request.headers.get("content-length", "0")
        self._check(int(declared) if declared.isdecimal() else 0)
        body = bytearray()
        held = 0
        try:
            async for piece in self._pieces(request):
                held += copies * len(piece)
                self._held += copies * len(piece)
                self._check(len(body) + len(piece))
                body += piece
            yield body
        finally:
            self._release(held)

    async def _pieces(self, request: Request) -> AsyncIterator[bytes]:
        """Yield the content of a body, unpacked."""
        encoding = request.headers.get("content-encoding", "identity").lower()
        if encoding == "identity":
            async for piece in request.stream():
                yield piece
        elif encoding in GZIP:
            async for piece in _unpacked(request.stream()):
                yield piece
        else:
            raise Refusal(
                415, f"the Content-Encoding is {encoding[:20]}; send gzip, or no compression"
            )

    @asynccontextmanager
    async def room(self, length: int) -> AsyncIterator[Callable[[int], None]]:
        """Wait until bytes fit beside those of others, and count them until the block ends.

        The block gets a function that counts another number of bytes from then on. A smaller one is
        never refused; a larger one raises a `Refusal` if too many others are in memory.
        """
        while self._held + length > self.limits.bodies:
            self._released.clear()
            await self._released.wait()
        counted = 0

        def count(other: int) -> None:
            nonlocal counted
            is_larger = other > counted
            self._release(counted - other)
            counted = other
            if is_larger:
                self._check(0)

        count(length)
        try:
            yield count
        finally:
            self._release(counted)

    def _release(self, length: int) -> None:
        self._held -= length
        self._released.set()

    def _check(self, length: int) -> None:
        """Refuse a body of ``length`` bytes that is too large, for now or in general."""
        if length > self.limits.body:
            raise Refusal(
                413,
                f"the body is larger than the limit of {self.limits.body / MEBIBYTE:g} MiB; send a "
                "smaller image or fewer images",
            )
        if self._held > self.limits.bodies:
            raise busy("requests in memory")


async def _unpacked(packed: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Unpack a body in gzip, a piece at a time; it may have a few members."""
    unpacker, members = zlib.decompressobj(GZIP_FORMAT), 1
    async for chunk in packed:
        piece = None
        while chunk or piece:
            if chunk and unpacker.eof:
                unpacker, members = zlib.decompressobj(GZIP_FORMAT), members + 1
                if members > MEMBERS:
                    raise Refusal(400, f"the gzip body has more than {MEMBERS} members; send one")
            try:
                piece = unpacker.decompress(chunk, PIECE)
            except zlib.error as error:
                raise Refusal(400, f"the body is not gzip ({error}); compress it again") from error
            chunk = unpacker.unused_data or unpacker.unconsumed_tail
            yield piece
            await asyncio.sleep(0)
    if not unpacker.eof:
        raise Refusal(400, "the gzip body ends early; send all of it")


@dataclass(frozen=True)
class EncodedImage:
    """An image as the client sent it.

    Attributes:
        name: Its file name, or `UNNAMED`.
        content: Content of the file.
    """

    name: str
    content: Content


async def read_images(request: Request, body: bytearray, limits: Limits) -> list[EncodedImage]:
    """Return the images of a body: the files of a multipart form, or else the body itself.

    Args:
        request: The request.
        body: Its body; that of a form is empty afterwards.
        limits: How many files a form may have.

    Raises:
        Refusal: The form is malformed, or has no file.
    """
    if not request.headers.get("content-type", "").lower().startswith("multipart/form-data"):
        return [EncodedImage(UNNAMED, body)]
    parser = MultiPartParser(request.headers, _consume(body), max_files=limits.queue)
    parser.spool_max_size = limits.body  # in memory, not on disk
    try:
        form = await parser.parse()
    except MultiPartException as error:
        raise Refusal(400, f"the multipart form is malformed: {error.message}") from error
    files = [value for _, value in form.multi_items() if isinstance(value, UploadFile)]
    if not files:
        raise Refusal(400, "the multipart form has no file; send each image as a file")
    return [await _read(file) for file in files]


async def _consume(body: bytearray) -> AsyncGenerator[bytes, None]:
    """Yield a body in pieces, and take these out of it, so that it is in memory only once."""
    while body:
        piece = bytes(body[:PIECE])
        del body[:PIECE]
        yield piece
        await asyncio.sleep(0)


async def _read(file: UploadFile) -> EncodedImage:
    """Read a file of a form, and forget the copy that the form has."""
    content = await file.read()
    await file.close()
    return EncodedImage(file.filename or UNNAMED, content)
