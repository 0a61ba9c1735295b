"""The compiled CUDA kernels: how Python asks them what memory they need."""

import ctypes
import functools
from collections.abc import Sequence
from pathlib import Path

from ghostnet.errors import KernelError

Shapes = ctypes.POINTER(ctypes.c_int64)


@functools.cache
def load(path: Path) -> ctypes.CDLL:
    """The library at ``path``; it needs no GPU until an operator runs.

    Raises:
        KernelError: it is not for this platform.
    """
    try:
        library = ctypes.CDLL(str(path))
    except OSError as error:
        raise KernelError(f"the CUDA kernels cannot be loaded: {error}") from error
    library.ghostnet_scratch_bytes.restype = ctypes.c_int64
    return library


def as_c(shapes: Sequence[Sequence[int]]) -> tuple["ctypes.Array[ctypes.c_int]", object]:
    """Ranks and shapes as an operator takes them: ``int*`` and ``int64_t**``."""
    rows = [(ctypes.c_int64 * len(shape))(*shape) for shape in shapes]
    ranks = (ctypes.c_int * len(rows))(*map(len, rows))
    return ranks, (Shapes * len(rows))(*(ctypes.cast(row, Shapes) for row in rows))


def scratch_bytes(path: Path, shapes: Sequence[Sequence[int]]) -> int:
    """The memory that an operator with inputs of these shapes works in.

    Raises:
        KernelError: they are not the shapes of pictures and of a packed network.
    """
    ranks, pointers = as_c(shapes)
    size = load(path).ghostnet_scratch_bytes(len(shapes), ranks, pointers)
    if size < 0:
        raise KernelError(f"not the shapes of pictures and a packed network: {list(shapes)}")
    return int(size)
