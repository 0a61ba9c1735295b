"""Messages of gRPC as bytes: how many parts they have, before memory is taken for these."""

from typing import Any

from ghostnet.serving.protocol import PARTS
from ghostnet.serving.refusal import Refusal

FIXED = {1: 8, 5: 4}
"""Lengths of the values that have one, by the kind in their tag."""

VARINT, DELIMITED = 0, 2
KINDS = {VARINT, DELIMITED, *FIXED}


def parse(content: bytes, message: Any) -> Any:
    """Parse a message; one of few parts takes little more memory than its bytes.

    Args:
        content: The bytes.
        message: Its class.

    Raises:
        Refusal: It has more parts than the images of a request, or it is malformed.
    """
    _check_parts(content, message.DESCRIPTOR)
    try:
        return message.FromString(content)
    except Exception as error:  # DecodeError, which differs between implementations
        raise _malformed() from error


def _check_parts(content: bytes, descriptor: Any) -> None:
    """Count fields, those of messages inside too, and the bytes of lists of integers."""
    parts = 0
    unread = [(memoryview(content), descriptor)]
    while unread:
        view, outer = unread.pop()
        place = 0
        while place < len(view):
            tag, place = _varint(view, place)
            number, kind = tag >> 3, tag & 7
            if kind not in KINDS:
                raise _malformed()
            length, place = (FIXED[kind], place) if kind in FIXED else _varint(view, place)
            parts += 1
            if kind == DELIMITED and (field := outer.fields_by_number.get(number)):
                if field.message_type:
                    unread.append((view[place : place + length], field.message_type))
                elif field.cpp_type == field.CPPTYPE_INT64:
                    parts += length
            if kind != VARINT:
                place += length
            if parts > PARTS:
                raise Refusal(413, f"the message has more than {PARTS:,} parts; send fewer images")


def _varint(view: memoryview, place: int) -> tuple[int, int]:
    """Return a number that is stored in 7 bits of each byte, and the place after it."""
    value, end = 0, min(place + 10, len(view))
    for shift, index in enumerate(range(place, end)):
        value |= (view[index] & 0x7F) << (7 * shift)
        if view[index] < 0x80:
            return value, index + 1
    raise _malformed()


def _malformed() -> Refusal:
    return Refusal(400, "the message is not one of this method; see the protocol")
