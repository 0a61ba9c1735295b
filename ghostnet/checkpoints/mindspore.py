"""MindSpore's checkpoint files, read and written without MindSpore."""

import math
from collections.abc import Mapping
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ghostnet.checkpoints.parameters import Parameters, check_finite
from ghostnet.checkpoints.protobuf import (
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
    b"Float32": np.dtype(np.float32),
    b"Float16": np.dtype(np.float16),
    b"Int32": np.dtype(np.int32),
    b"Int64": np.dtype(np.int64),
}
_DTYPE_NAMES = {dtype: name for name, dtype in _DTYPES.items()}


def parse_checkpoint(data: bytes, name: str = "checkpoint") -> Parameters:
    """Parse the bytes of a MindSpore checkpoint.

    Args:
        data: Content of the file; bytes rather than a path, so that a caller can parse the very
            bytes that it has hashed.
        name: What errors call the file.

    Returns:
        The parameters by name, which share the memory of ``data``.

    Raises:
        CheckpointError: The bytes are not a MindSpore checkpoint.
    """
    parameters: Parameters = {}
    try:
        for number, entry in fields(memoryview(data)):
            if number != _VALUE or isinstance(entry, int):
                raise WireError(f"field {number}")
            if len(parameters) == MAX_PARAMETERS:
                raise CheckpointError(f"{name}: more than {MAX_PARAMETERS:,} parameters")
            tag, array = _parameter(entry, name)
            if tag in parameters:
                raise CheckpointError(
                    f"{name}: {tag}: expected each parameter once, found it twice"
                )
            parameters[tag] = array
    except (WireError, UnicodeDecodeError) as error:
        raise CheckpointError(f"{name}: not a MindSpore checkpoint, or cut short") from error
    if not parameters:
        raise CheckpointError(f"{name}: holds no parameters")
    return parameters


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
        raise CheckpointError(f"{name}: expected at most {MAX_DIMS} dimensions, found more")
    kind, content = parts[_TYPE], parts[_CONTENT]
    if isinstance(kind, int) or isinstance(content, int):
        raise WireError("no tensor")
    dtype = _DTYPES.get(bytes(kind[:16]))
    if dtype is None:
        known = ", ".join(key.decode() for key in _DTYPES)
        raise CheckpointError(f"{name}: expected a dtype of {known}, found {bytes(kind[:16])!r}")
    if len(content) != dtype.itemsize * math.prod(shape):
        raise CheckpointError(
            f"{name}: expected the bytes of {dtype} {tuple(shape)}, found {len(content)} bytes"
        )
    try:
        return np.frombuffer(content, dtype).reshape(shape)
    except ValueError as error:  # a longer dimension than NumPy has
        raise CheckpointError(f"{name}: shape {tuple(shape)}: {error}") from error


def read_checkpoint(path: Path) -> Parameters:
    """Read a MindSpore checkpoint file.

    Raises:
        CheckpointError: The file cannot be read, or is not a MindSpore checkpoint.
    """
    with raising(CheckpointError, f"{path}: cannot be read"):
        content = read_whole(path)
    return parse_checkpoint(content, str(path))


def write_checkpoint(parameters: Mapping[str, NDArray[Any]], path: Path) -> None:
    """Write a MindSpore checkpoint atomically; an existing file is replaced.

    Args:
        parameters: Arrays of float32, float16, int32 or int64, by name.
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
