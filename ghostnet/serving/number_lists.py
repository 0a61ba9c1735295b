"""Long lists of numbers in JSON, which are taken out of it and parsed in pieces.

A parser holds the interpreter until it is done, and makes an object of each number. In pieces,
others have their turn in between, and the objects of one piece are gone before the next.
"""

import re
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic_core import from_json

from ghostnet.serving.refusal import Refusal

LONG = 256
"""Bytes of the shortest list that is taken out."""

PIECE = 2**16
"""Bytes that are parsed at a time."""

TAKEN = [None]
"""What is left in the place of a list."""

_QUOTE = re.compile(rb'\\.|"', re.DOTALL)
_OTHERS = (b'"', b"{", b":")
"""What a list of numbers does not contain."""


def take_numbers(text: bytearray) -> tuple[bytes, list[NDArray[np.float32]]]:
    """Take the long lists of numbers out of JSON.

    Args:
        text: JSON, which need not be valid.

    Returns:
        The text with `TAKEN` in the place of each list, and the lists in their order.

    Raises:
        Refusal: A list is malformed, or has something else among its numbers.
    """
    kept: list[bytes | bytearray] = []
    taken = []
    position = scanned = 0
    is_in_string = False
    for start, end in _long_lists(text):
        quotes = _QUOTE.finditer(text, scanned, start)
        is_in_string ^= sum(found[0] == b'"' for found in quotes) % 2 == 1
        scanned = start
        if not is_in_string:
            taken.append(_parse(text, start + 1, end))
            kept += [text[position:start], b"[null]"]
            position = scanned = end + 1
    return b"".join([*kept, text[position:]]), taken


def put_back(data: Any, taken: Iterator[NDArray[np.float32]]) -> Any:
    """Return parsed data with arrays in the places of the lists that were taken out of its text."""
    if data == TAKEN:
        return next(taken, data)
    if isinstance(data, list):
        return [put_back(part, taken) if isinstance(part, list) else part for part in data]
    return data


def _long_lists(text: bytearray) -> Iterator[tuple[int, int]]:
    """Yield where lists without lists, texts and objects in them begin and end."""
    position = 0
    while (end := text.find(b"]", position)) >= 0:
        start = text.rfind(b"[", position, end)
        is_long = start >= 0 and end - start >= LONG
        if is_long and all(text.find(other, start, end) < 0 for other in _OTHERS):
            yield start, end
        position = end + 1


def _parse(text: bytearray, start: int, end: int) -> NDArray[np.float32]:
    """Parse the numbers between the brackets of a list."""
    pieces = []
    while start <= end:
        cut = end if end - start <= PIECE else text.rfind(b",", start, start + PIECE)
        if cut < start:
            raise Refusal(400, "a number in the JSON has too many digits")
        pieces.append(_parse_piece(b"[" + text[start:cut] + b"]"))
        start = cut + 1
    return pieces[0] if len(pieces) == 1 else np.concatenate(pieces)


def _parse_piece(piece: bytes) -> NDArray[np.float32]:
    try:
        numbers = from_json(piece)
    except ValueError as error:
        raise Refusal(400, f"a list of numbers in the JSON is malformed ({error})") from error
    if not numbers or not set(map(type, numbers)) <= {int, float}:
        raise Refusal(400, "a list in the JSON has something else among its numbers")
    try:
        return np.array(numbers, np.float32)
    except OverflowError as error:
        raise Refusal(400, "an integer in the JSON is larger than any float") from error
