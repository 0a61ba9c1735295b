"""MindSpore's checkpoint files, read and written without MindSpore."""

import zlib
from collections.abc import Mapping
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ghostnet.checkpoints.arrays import BFLOAT16, array_of
from ghostnet.checkpoints.budget import MAX_BYTES
from ghostnet.checkpoints.parameters import Parameters, check_finite
from ghostnet.checkpoints.protobuf import (
    BYTES,
    WireError,
    bytes_field,
    bytes_header,
    fields,
    integer_field,
    integers,
)
from ghostnet.errors import CheckpointError
from ghostnet.files import raising, read_whole, replacing

MAX_PARAMETERS = 10_000
MAX_DIMS = 32

_VALUE = 1
_TAG, _TENSOR = 1, 2
_DIMS, _TYPE, _CONTENT = 1, 2, 3
"""Field numbers of a checkpoint, of its values and of their tensors."""

_DTYPES: dict[bytes, np.dtype[Any]] = {
    b"Float64": np.dtype(np.float64),
    b"Float32": np.dtype(np.float32),
    b"Float16": np.dtype(np.float16),
    b"BFloat16": BFLOAT16,
    b"Int64": np.dtype(np.int64),
    b"Int32": np.dtype(np.int32),
    b"Int16": np.dtype(np.int16),
    b"Int8": np.dtype(np.int8),
    b"UInt64": np.dtype(np.uint64),
    b"UInt32": np.dtype(np.uint32),
    b"UInt16": np.dtype(np.uint16),
    b"UInt8": np.dtype(np.uint8),
    b"Bool": np.dtype(np.bool_),
}
_DTYPE_NAMES = {dtype: name for name, dtype in _DTYPES.items()}

_TEXT = b"str"
"""Type of a text that ``append_dict`` added, in UTF-32."""

_CRC_MARK, _CRC_BYTES = b"crc_num", 10
"""What ``crc_check=True`` adds after the values: the mark, then their CRC-32, big-endian."""


def is_checkpoint(content: bytes) -> bool:
    """Whether bytes start like a MindSpore checkpoint, with a value."""
    return content.startswith(bytes([_VALUE << 3 | BYTES]))


def parse_checkpoint(data: bytes, name: str = "checkpoint") -> Parameters:
    """Parse the bytes of a MindSpore checkpoint.

    Args:
        data: Content of the file, so that a caller can parse the very bytes that it has hashed.
        name: What errors call the file.

    Returns:
        The values by name: those of the network and whatever was saved beside them. They share the
        memory of ``data``, but bfloat16 becomes float32, and a text an array of one string.

    Raises:
        CheckpointError: The bytes are not a MindSpore checkpoint, or do not match its CRC-32.
    """
    parameters: Parameters = {}
    try:
        for number, entry in fields(_checked(data, name)):
            if number != _VALUE or isinstance(entry, int):
                raise WireError(f"field {number}")
            if len(parameters) == MAX_PARAMETERS:
                raise CheckpointError(f"{name} holds more than {MAX_PARAMETERS:,} parameters")
            tag, array = _parameter(entry, name)
            if tag in parameters:
                raise CheckpointError(
                    f"{name} holds the parameter {tag} twice; the file is damaged"
                )
            parameters[tag] = array
    except (WireError, UnicodeDecodeError) as error:
        raise CheckpointError(f"{name} is not a MindSpore checkpoint, or it is damaged") from error
    if not parameters:
        raise CheckpointError(f"{name} holds no parameters")
    return parameters


def _checked(data: bytes, name: str) -> memoryview:
    """Return the bytes of the values, after checking their CRC-32 if the file states it."""
    values = memoryview(data)
    end = len(data) - len(_CRC_MARK) - _CRC_BYTES
    if end < 0 or not data.startswith(_CRC_MARK, end):
        return values
    if zlib.crc32(values[:end]) != int.from_bytes(data[-_CRC_BYTES:], "big"):
        raise CheckpointError(f"{name} is damaged: its bytes do not match its CRC-32")
    return values[:end]


def _parameter(entry: memoryview, name: str) -> tuple[str, NDArray[Any]]:
    """Return the name of a parameter and its values, which share the memory of ``entry``."""
    parts = dict(islice(fields(entry), 2))
    tag, tensor = parts.get(_TAG), parts.get(_TENSOR)
    if not isinstance(tag, memoryview) or not isinstance(tensor, memoryview):
        raise WireError("no tensor")
    text = str(tag, "utf-8")
    return text, _array(tensor, f"{name}: {text}")


def _array(tensor: memoryview, name: str) -> NDArray[Any]:
    shape: list[int] = []
    parts: dict[int, int | memoryview] = {_TYPE: memoryview(b""), _CONTENT: memoryview(b"")}
    for number, part in islice(fields(tensor), MAX_DIMS + 3):
        if number == _DIMS:
            shape += islice(integers(part), MAX_DIMS + 1)
        else:
            parts[number] = part
    if len(shape) > MAX_DIMS:
        raise CheckpointError(f"{name} has more than {MAX_DIMS} dimensions")
    kind, content = parts[_TYPE], parts[_CONTENT]
    if isinstance(kind, int) or isinstance(content, int):
        raise WireError("no tensor")
    if kind == _TEXT:
        return np.array(str(content, "utf-32-le"))
    dtype = _DTYPES.get(bytes(kind[:16]))
    if dtype is None:
        known = ", ".join(key.decode() for key in _DTYPES)
        raise CheckpointError(
            f"{name} has the dtype {bytes(kind[:16])!r}, which is not supported; save it as {known}"
        )
    if shape == [0] and len(content) == dtype.itemsize:  # how MindSpore 1 writes a number
        shape = []
    return array_of(content, dtype, tuple(shape), name)


def read_checkpoint(path: Path) -> Parameters:
    """Read a MindSpore checkpoint file.

    Raises:
        CheckpointError: The file cannot be read, or is not a MindSpore checkpoint.
    """
    with raising(CheckpointError, f"{path}: cannot be read"):
        content = read_whole(path, MAX_BYTES)
    return parse_checkpoint(content, str(path))


def write_checkpoint(parameters: Mapping[str, NDArray[Any]], path: Path) -> None:
    """Write a MindSpore checkpoint atomically; an existing file is replaced.

    Args:
        parameters: Arrays of numbers, by name.
        path: File to write.

    Raises:
        CheckpointError: A value is not finite, the folder cannot be written, or the disk is full.
    """
    check_finite(parameters, str(path))
    with raising(CheckpointError, f"{path}: cannot be written"), replacing(path) as file:
        for name, array in parameters.items():
            file.write(_encoded(name, np.asarray(array)))


def _encoded(name: str, array: NDArray[Any]) -> bytes:
    """Encode one value of a checkpoint."""
    content = array.tobytes()
    tensor = b"".join(integer_field(_DIMS, side) for side in array.shape)
    tensor += bytes_field(_TYPE, _DTYPE_NAMES[array.dtype]) + bytes_header(_CONTENT, len(content))
    tag = bytes_field(_TAG, name.encode())
    length = len(tensor) + len(content)
    value = tag + bytes_header(_TENSOR, length) + tensor
    return bytes_header(_VALUE, len(value) + len(content)) + value + content
