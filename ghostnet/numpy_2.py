"""What MindSpore 2.10 lacks for NumPy 2, in one place.

At its first operator outside a graph, MindSpore asks NumPy for the C interface of version 1. NumPy
2 prints twelve lines of advice and MindSpore a traceback; then MindSpore works without it.
`MissingInterface` keeps both quiet.
"""

import sys
from collections.abc import Callable
from importlib import import_module
from types import TracebackType
from typing import Any, TypeAlias

import numpy as np

Hook: TypeAlias = Callable[[type[BaseException], BaseException, TracebackType | None], None]


class MissingInterface(ImportError):
    """Stands for NumPy's own error, and is never printed."""


def quieten() -> None:
    """Keep the missing interface off the terminal; call before MindSpore runs an operator."""
    if np.lib.NumpyVersion(np.__version__) < "2.0.0":
        return
    module: Any = import_module("numpy.core._multiarray_umath")
    if getattr(module.__getattr__, "is_quiet", False):
        return
    get = module.__getattr__

    def get_quietly(name: str) -> Any:
        if name == "_ARRAY_API":
            raise MissingInterface(name)
        return get(name)

    get_quietly.is_quiet = True  # type: ignore[attr-defined]
    module.__getattr__ = get_quietly
    holders: tuple[Any, Any] = (sys, _shell())
    for holder in holders:
        if holder is not None:
            holder.excepthook = _showing_others(holder.excepthook)


def _shell() -> Any:
    """Return the shell of IPython, which shows exceptions of a cell its own way; None without."""
    ipython = sys.modules.get("IPython")
    return ipython.get_ipython() if ipython else None


def _showing_others(show: Hook) -> Hook:
    def show_others(
        kind: type[BaseException], error: BaseException, traceback: TracebackType | None
    ) -> None:
        if kind is not MissingInterface:
            show(kind, error, traceback)

    return show_others
