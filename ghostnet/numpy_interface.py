"""NumPy's C interface, which MindSpore asks for at its first operator.

MindSpore 2.10 asks NumPy for the interface of version 1, once in a process. NumPy 2 refuses and
prints why; so do Python, by ``sys.excepthook``, and MindSpore, in its log; and an operator with a
Python number fails with SystemError. After that, MindSpore works without the interface. `settle`
lets MindSpore ask at a moment when nothing is lost, and keeps the refusal to itself.
"""

import functools
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from ghostnet.system.libraries import thread_variable

LOG_LEVEL = "_ZN9mindspore25this_thread_max_log_levelE"
"""MindSpore's variable for the most severe message that the calling thread may log."""

SILENT = -1

LAST_EXCEPTION = ("last_type", "last_value", "last_traceback", "last_exc")
"""Where Python keeps the exception that it printed last."""

_asking = threading.RLock()


def settle() -> None:
    """Let MindSpore ask for the interface, if it has not done so; call before its first operator.

    Other threads print and log as before meanwhile, and nothing stays changed.
    """
    with _asking:
        _settle_once()


@functools.cache
def _settle_once() -> None:
    from mindspore import ops

    with _silent_thread(), suppress(Exception):
        ops.add(None, None)  # refused, but only after MindSpore has asked; no operator runs


@contextmanager
def _silent_thread() -> Iterator[None]:
    """Print and log nothing from this thread."""
    thread = threading.get_ident()
    with ExitStack() as stack:
        for name, stand_in in (("stderr", _OthersStream), ("excepthook", _others_hook)):
            stack.enter_context(_replaced(name, stand_in, thread))
        stack.enter_context(_last_exception_kept())
        stack.enter_context(_silent_log())
        yield


@contextmanager
def _replaced(name: str, stand_in: Callable[[Any, int], Any], thread: int) -> Iterator[None]:
    """Put a stand-in for an attribute of `sys`, which it gets with the thread to be silent."""
    before = getattr(sys, name)
    replacement = stand_in(before, thread)
    setattr(sys, name, replacement)
    try:
        yield
    finally:
        if getattr(sys, name) is replacement:  # else another thread has put its own
            setattr(sys, name, before)


class _OthersStream:
    """A stream that drops what one thread writes."""

    def __init__(self, stream: Any, thread: int) -> None:
        self._stream = stream
        self._thread = thread

    def write(self, text: str) -> int:
        if self._stream is None or threading.get_ident() == self._thread:
            return len(text)
        return int(self._stream.write(text))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def _others_hook(hook: Callable[..., object], thread: int) -> Callable[..., None]:
    """Return an exception hook that ignores the exceptions of one thread."""

    def show(*exception: Any) -> None:
        if threading.get_ident() != thread:
            hook(*exception)

    return show


@contextmanager
def _last_exception_kept() -> Iterator[None]:
    before = {name: getattr(sys, name) for name in LAST_EXCEPTION if hasattr(sys, name)}
    try:
        yield
    finally:
        for name in LAST_EXCEPTION:
            if name in before:
                setattr(sys, name, before[name])
            elif hasattr(sys, name):
                delattr(sys, name)


@contextmanager
def _silent_log() -> Iterator[None]:
    """Keep what this thread logs off the terminal, where MindSpore's variable can be found."""
    import mindspore

    folder = Path(mindspore.__file__).parent / "lib"
    level = thread_variable(folder, "mindspore_core", LOG_LEVEL)
    if level is None:
        yield
        return
    before, level.value = level.value, SILENT
    try:
        yield
    finally:
        level.value = before
