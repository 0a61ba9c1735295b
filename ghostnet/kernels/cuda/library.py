"""The compiled CUDA kernels: loading them, and asking them how much memory they need."""

import ctypes
import functools
from collections.abc import Sequence
from pathlib import Path

from ghostnet.errors import KernelError

Shapes = ctypes.POINTER(ctypes.c_int64)

SYMBOLS = {"relu": "GhostNetReluForward", "hard_swish": "GhostNetHardSwishForward"}
"""The operator for each activation, which the host cannot read from memory on the device."""


@functools.cache
def load(path: Path) -> ctypes.CDLL:
    """Load the library at ``path``; it needs no GPU until an operator runs.

    Raises:
        KernelError: The library is not for this platform.
    """
    try:
        library = ctypes.CDLL(str(path))
    except OSError as error:
        raise KernelError(f"{path}: the CUDA kernels cannot be loaded: {error}") from error
    library.ghostnet_scratch_bytes.restype = ctypes.c_int64
    return library


def as_c(shapes: Sequence[Sequence[int]]) -> tuple["ctypes.Array[ctypes.c_int]", object]:
    """Convert shapes for an operator, to ranks (``int*``) and shapes (``int64_t**``)."""
    rows = [(ctypes.c_int64 * len(shape))(*shape) for shape in shapes]
    ranks = (ctypes.c_int * len(rows))(*map(len, rows))
    return ranks, (Shapes * len(rows))(*(ctypes.cast(row, Shapes) for row in rows))


def scratch_bytes(path: Path, shapes: Sequence[Sequence[int]]) -> int:
    """Return the bytes of scratch memory that an operator needs for inputs of these shapes.

    Raises:
        KernelError: These are not the shapes of images and of a packed network.
    """
    ranks, pointers = as_c(shapes)
    size = load(path).ghostnet_scratch_bytes(len(shapes), ranks, pointers)
    if size < 0:
        raise KernelError(f"{list(shapes)} are not the shapes of images and of a packed network")
    return int(size)
