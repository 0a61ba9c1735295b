"""Shared libraries: their names, and what is in them."""

import ctypes
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

SUFFIXES = {"darwin": ".dylib", "win32": ".dll"}
"""Ends of the names of shared libraries, by `sys.platform`, where they are not ``.so``."""


def library_name(stem: str) -> str:
    """Return the file name of a library of this package, such as ``libghostnet_cpu.so``."""
    return f"lib{stem}{SUFFIXES.get(sys.platform, '.so')}"


def c_function(name: str) -> Any:
    """Return a function of the C library, or None if it has none of that name."""
    try:
        return getattr(ctypes.CDLL(None), name, None)
    except TypeError:  # Windows has no library of the whole process
        return None


def thread_variable(folder: Path, stem: str, symbol: str) -> "ctypes.c_int | None":
    """Return a variable of a library, of which each thread has its own, as the calling thread's.

    Args:
        folder: Folder of the library.
        stem: Name of the library, without ``lib`` and its end.
        symbol: Name of the variable.

    Returns:
        The variable; None if it is not found, or if the symbol's address is not the variable's, as
        on systems other than Linux.
    """
    if sys.platform == "linux":
        with suppress(OSError, ValueError):
            return ctypes.c_int.in_dll(ctypes.CDLL(str(folder / library_name(stem))), symbol)
    return None
