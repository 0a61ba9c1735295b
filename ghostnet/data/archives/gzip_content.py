"""What a gzip file holds, read at any place: forward in a stream, back from kept states."""

import errno
import threading
import zlib
from collections import OrderedDict
from copy import copy
from pathlib import Path

from ghostnet.data.archives.archive import ENDS_EARLY
from ghostnet.data.archives.content import content_of_file

BLOCK = 1024 * 1024
"""Bytes that are decompressed at a time."""

SIGNATURE = b"\x1f\x8b"
"""First bytes of a stream."""

CHUNK = 16 * 1024
"""Bytes of the file that are read at a time."""

KEPT_BLOCKS = 64
"""Blocks that are kept for threads that are a little behind."""

KEPT_STATES = 256
"""States of the decompressor that are kept, at about 50 kB each."""

FREE_BYTES = 256 * 1024**2
"""Length from which the content may not be compressed more than `MAX_RATIO` allows."""

MAX_RATIO = 200
"""How many times as long as the file a large content may be: images hardly shrink."""

FORMAT = zlib.MAX_WBITS | 16
"""Window of zlib for the gzip format."""


class GzipContent:
    """The content of a gzip file of one or several streams; several threads may read it.

    Args:
        path: The file.
    """

    def __init__(self, path: Path) -> None:
        self._blocks: OrderedDict[int, bytes] = OrderedDict()
        self._kept = {0: _State(path)}
        self._step = 1
        self._running = 0, self._kept[0]
        self._lock = threading.Lock()

    def read(self, offset: int, length: int) -> bytes:
        """Return the bytes at a place; fewer only at the end.

        Raises:
            OSError: The file cannot be read, is broken, or is a bomb.
        """
        parts = []
        while length > 0:
            number, start = divmod(offset, BLOCK)
            with self._lock:
                part = self._block(number)[start : start + length]
            if not part:
                break
            parts.append(part)
            offset += len(part)
            length -= len(part)
        return b"".join(parts)

    def _block(self, number: int) -> bytes:
        """Return a block; only the last one is shorter than `BLOCK`, and others are empty."""
        if number not in self._blocks:
            before = max(place for place in self._kept if place <= number)
            if not before <= self._running[0] <= number:
                self._running = before, self._kept[before]
            while self._running[0] <= number:
                self._run()
        self._blocks.move_to_end(number)
        return self._blocks[number]

    def _run(self) -> None:
        """Decompress a block, and keep it and, at times, the state after it."""
        number, before = self._running
        state = before.copy()
        length = (number + 1) * BLOCK
        self._blocks[number] = state.read(BLOCK)
        if length > max(FREE_BYTES, MAX_RATIO * state.offset):
            raise OSError(errno.EFBIG, f"it is compressed more than {MAX_RATIO} times")
        self._running = number + 1, state
        if (number + 1) % self._step == 0:
            self._kept.setdefault(number + 1, state)
        if len(self._kept) > KEPT_STATES:
            self._step *= 2
            self._kept = {n: kept for n, kept in self._kept.items() if n % self._step == 0}
        if len(self._blocks) > KEPT_BLOCKS:
            self._blocks.popitem(last=False)


class _State:
    """A decompressor, and how far it has read.

    Args:
        path: The file.

    Attributes:
        offset: Bytes of the file that it has got.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._decompressor = zlib.decompressobj(FORMAT)
        self.offset = 0

    def copy(self) -> "_State":
        """Return a state that goes on by itself."""
        other = copy(self)
        other._decompressor = self._decompressor.copy()
        return other

    def read(self, length: int) -> bytes:
        """Return the next bytes; fewer only at the end.

        Raises:
            OSError: The file cannot be read, is broken, or ends early.
        """
        content = bytearray()
        while len(content) < length and self._has_stream():
            source = self._decompressor.unconsumed_tail or self._chunk()
            try:
                part = self._decompressor.decompress(source, length - len(content))
            except zlib.error as error:
                raise OSError(errno.EIO, f"it is broken: {error}") from error
            if not (part or source):
                raise OSError(errno.EIO, ENDS_EARLY)
            content += part
        return bytes(content)

    def _has_stream(self) -> bool:
        """Whether a stream is under way, or another follows; other bytes there do not count."""
        if not self._decompressor.eof:
            return True
        end = self.offset - len(self._decompressor.unused_data)
        if content_of_file(self._path, end, len(SIGNATURE)) != SIGNATURE:
            return False
        self.offset = end
        self._decompressor = zlib.decompressobj(FORMAT)
        return True

    def _chunk(self) -> bytes:
        chunk = content_of_file(self._path, self.offset, CHUNK)
        self.offset += len(chunk)
        return chunk
