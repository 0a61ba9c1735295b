"""What MindSpore 2.10 lacks for NumPy 2, in one place.

At its first operator outside a graph, MindSpore asks NumPy for the C interface of version 1. NumPy
2 prints twelve lines of advice and MindSpore a traceback; then MindSpore works without it.
`MissingInterface` keeps both quiet.
"""

import sys
from importlib import import_module
from types import TracebackType
from typing import Any

import numpy as np


class MissingInterface(ImportError):
    """Stands for NumPy's own error, and is never printed."""


def quieten() -> None:
    """Keep the missing interface off the terminal; call before MindSpore runs an operator."""
    if np.lib.NumpyVersion(np.__version__) < "2.0.0":
        return
    module: Any = import_module("numpy.core._multiarray_umath")
    if getattr(module.__getattr__, "is_quiet", False):
        return
    get, show = module.__getattr__, sys.excepthook

    def get_quietly(name: str) -> Any:
        if name == "_ARRAY_API":
            raise MissingInterface(name)
        return get(name)

    def show_others(
        kind: type[BaseException], error: BaseException, traceback: TracebackType | None
    ) -> None:
        if kind is not MissingInterface:
            show(kind, error, traceback)

    get_quietly.is_quiet = True  # type: ignore[attr-defined]
    module.__getattr__, sys.excepthook = get_quietly, show_others
