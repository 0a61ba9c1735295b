"""Protobuf's wire format, as far as MindSpore's checkpoints use it, read field by field.

Protobuf's own reader, which in MindSpore's processes is the one written in Python, builds an object
for each field before anyone can look: two bytes of a hostile file take 400 bytes of memory.
"""

from collections.abc import Iterator

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
SIZES = {FIXED64: 8, FIXED32: 4}
MAX_VARINT_BYTES = 10


class WireError(ValueError):
    """Bytes that are no protobuf message."""


def fields(message: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """The fields of a message as they come: number, and integer or bytes; nothing is copied.

    Raises:
        WireError: the bytes are cut short or no message, when the iteration gets there.
    """
    position = 0
    while position < len(message):
        key, position = _varint(message, position)
        kind = key & 7
        if kind == VARINT:
            number, position = _varint(message, position)
            yield key >> 3, number
            continue
        if kind == BYTES:
            length, position = _varint(message, position)
        elif kind in SIZES:
            length = SIZES[kind]
        else:
            raise WireError(f"no field is of kind {kind}")
        end = position + length
        if end > len(message):
            raise WireError("cut short")
        yield key >> 3, message[position:end]
        position = end


def integers(content: int | memoryview) -> Iterator[int]:
    """The integers of a repeated field, which come singly or packed. Raises `WireError`."""
    if isinstance(content, int):
        yield content
        return
    position = 0
    while position < len(content):
        number, position = _varint(content, position)
        yield number


def _varint(message: memoryview, position: int) -> tuple[int, int]:
    """The integer at a position, and the position after it."""
    number = 0
    for index, byte in enumerate(message[position : position + MAX_VARINT_BYTES]):
        number |= (byte & 0x7F) << (7 * index)
        if byte < 0x80:
            return number, position + index + 1
    raise WireError("cut short")
