"""Arrays from the bytes of a file. bfloat16, which NumPy does not have, becomes float32."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ghostnet.errors import CheckpointError

BFLOAT16 = np.dtype([("bfloat16", np.uint16)])
"""Stands for bfloat16, the upper half of a float32, in the tables of dtypes."""

NO_ARRAY: NDArray[Any] = np.array(None, object)
"""Stands for a value beside the tensors of a file, such as settings; it fits no parameter."""


def array_of(
    content: bytes | memoryview, dtype: np.dtype[Any], shape: tuple[int, ...], name: str
) -> NDArray[Any]:
    """Interpret bytes as an array.

    Args:
        content: The values in C order, little-endian.
        dtype: The dtype of NumPy, or `BFLOAT16`.
        shape: Shape of the array.
        name: What errors call the array.

    Returns:
        An array that shares the memory of ``content``, or a float32 copy of bfloat16 values.

    Raises:
        CheckpointError: The number of bytes does not match the shape, or NumPy does not allow it.
    """
    if len(content) != dtype.itemsize * math.prod(shape):
        kind = dtype if dtype.names is None else dtype.names[0]
        raise CheckpointError(
            f"{name} is damaged: {len(content):,} bytes are not a {kind} array of shape {shape}"
        )
    try:
        array = np.frombuffer(content, dtype).reshape(shape)
    except (ValueError, OverflowError) as error:  # a longer dimension than NumPy has
        raise CheckpointError(f"{name} has an impossible shape, {shape} ({error})") from error
    return widened(array)


def widened(array: NDArray[Any]) -> NDArray[Any]:
    """Return an array of `BFLOAT16` as float32, and any other as it is."""
    if array.dtype != BFLOAT16:
        return array
    bits = np.left_shift(array["bfloat16"], 16, dtype=np.uint32, casting="unsafe")
    return np.asarray(bits.view(np.float32))
