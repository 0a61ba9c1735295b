"""Safetensors files."""

from collections.abc import Mapping
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ghostnet.checkpoints.arrays import BFLOAT16, array_of
from ghostnet.checkpoints.parameters import Parameters, check_finite
from ghostnet.errors import CheckpointError
from ghostnet.files import raising, write_whole

_LENGTH_BYTES = 8

_DTYPES: dict[str, np.dtype[Any]] = {
    "F64": np.dtype(np.float64),
    "F32": np.dtype(np.float32),
    "F16": np.dtype(np.float16),
    "BF16": BFLOAT16,
    "I64": np.dtype(np.int64),
    "I32": np.dtype(np.int32),
    "I16": np.dtype(np.int16),
    "I8": np.dtype(np.int8),
    "U64": np.dtype(np.uint64),
    "U32": np.dtype(np.uint32),
    "U16": np.dtype(np.uint16),
    "U8": np.dtype(np.uint8),
    "BOOL": np.dtype(np.bool_),
}


def is_safetensors(content: bytes) -> bool:
    """Whether bytes start with a safetensors header: its length, then JSON."""
    length = int.from_bytes(content[:_LENGTH_BYTES], "little")
    header = content[_LENGTH_BYTES : _LENGTH_BYTES + 1]
    return header == b"{" and length <= len(content) - _LENGTH_BYTES


def parse_safetensors(content: bytes, name: str = "checkpoint") -> Parameters:
    """Parse the bytes of a safetensors file.

    Args:
        content: Content of the file.
        name: What errors call the file.

    Returns:
        The tensors by name, in alphabetical order.

    Raises:
        CheckpointError: The bytes are not a safetensors file, or a tensor's dtype is not supported.
    """
    from safetensors import SafetensorError, deserialize

    try:
        tensors: list[tuple[str, dict[str, Any]]] = deserialize(content)  # type: ignore[no-untyped-call]
    except (SafetensorError, ValueError) as error:
        raise CheckpointError(
            f"{name} is not a safetensors file, or it is damaged ({error})"
        ) from error
    for key, tensor in tensors:
        if tensor["dtype"] not in _DTYPES:
            raise CheckpointError(
                f"{name}: {key} has the dtype {tensor['dtype']}, which is not supported; save it "
                f"as {', '.join(_DTYPES)}"
            )
    return {
        key: array_of(
            tensor["data"], _DTYPES[tensor["dtype"]], tuple(tensor["shape"]), f"{name}: {key}"
        )
        for key, tensor in sorted(tensors, key=itemgetter(0))
    }


def write_safetensors(parameters: Mapping[str, NDArray[Any]], path: Path) -> None:
    """Write a safetensors file atomically; an existing file is replaced.

    Args:
        parameters: Arrays of numbers, by name.
        path: File to write.

    Raises:
        CheckpointError: A value is not finite, or the file cannot be written.
    """
    from safetensors.numpy import save

    check_finite(parameters, str(path))
    whole = {name: np.ascontiguousarray(array) for name, array in parameters.items()}
    with raising(CheckpointError, f"{path}: cannot be written"):
        write_whole(path, save(whole, {"format": "pt"}))
