"""Protobuf's wire format, read and written field by field, as far as checkpoints use it.

Our own, because protobuf's reader builds an object for each field before a caller can look at it: a
hostile file would take 200 times its size in memory.
"""

from collections.abc import Iterator

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
SIZES = {FIXED64: 8, FIXED32: 4}
MAX_VARINT_BYTES = 10


class WireError(ValueError):
    """Bytes that are not a protobuf message."""


def fields(message: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Yield the fields of a message as they come, without copying.

    Yields:
        The number of a field, and its integer or bytes.

    Raises:
        WireError: The bytes are cut short or not a message, when the iteration gets there.
    """
    position = 0
    while position < len(message):
        key, position = _read_varint(message, position)
        kind = key & 7
        if kind == VARINT:
            number, position = _read_varint(message, position)
            yield key >> 3, number
            continue
        if kind == BYTES:
            length, position = _read_varint(message, position)
        elif kind in SIZES:
            length = SIZES[kind]
        else:
            raise WireError(f"unknown kind of field: {kind}")
        end = position + length
        if end > len(message):
            raise WireError("cut short")
        yield key >> 3, message[position:end]
        position = end


def integers(content: int | memoryview) -> Iterator[int]:
    """Yield the integers of a repeated field, which come one by one or packed.

    Raises:
        WireError: The bytes are cut short.
    """
    if isinstance(content, int):
        yield content
        return
    position = 0
    while position < len(content):
        number, position = _read_varint(content, position)
        yield number


def varint(number: int) -> bytes:
    """Encode an integer of at least 0."""
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)


def integer_field(number: int, value: int) -> bytes:
    """Encode a field that holds an integer."""
    return varint(number << 3 | VARINT) + varint(value)


def bytes_header(number: int, length: int) -> bytes:
    """Encode what comes before the content of a field of ``length`` bytes."""
    return varint(number << 3 | BYTES) + varint(length)


def bytes_field(number: int, content: bytes) -> bytes:
    """Encode a field that holds bytes, text or a message."""
    return bytes_header(number, len(content)) + content


def _read_varint(message: memoryview, position: int) -> tuple[int, int]:
    """Return the integer at a position, and the position after it."""
    number = 0
    for index, byte in enumerate(message[position : position + MAX_VARINT_BYTES]):
        number |= (byte & 0x7F) << (7 * index)
        if byte < 0x80:
            return number, position + index + 1
    raise WireError("cut short")
