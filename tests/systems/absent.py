"""Take from Python what other systems lack; each folder beside this file stands for one."""

import builtins
import errno
import functools
import io
import os
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

LINUX = ("/proc/", "/dev/shm")
"""Where Linux alone has files."""


def remove(module: ModuleType, *names: str) -> None:
    """Remove names that Linux, or this version of Python, has."""
    for name in names:
        if hasattr(module, name):
            delattr(module, name)


def remove_modules(*names: str) -> None:
    """Let the import of modules fail as if there were none."""
    for name in names:
        sys.modules[name] = None  # type: ignore[assignment]


def wrap(module: ModuleType, name: str, check: Callable[..., None]) -> None:
    """Call a function with the arguments of another, before it: it may raise."""
    wrapped = getattr(module, name)

    @functools.wraps(wrapped)
    def checked(*arguments: Any, **options: Any) -> Any:
        check(*arguments, **options)
        return wrapped(*arguments, **options)

    setattr(module, name, checked)


def hide_linux_files() -> None:
    """Let no file be where Linux alone has some."""

    def check(path: Any, *arguments: Any, **options: Any) -> None:
        if isinstance(path, str | os.PathLike) and os.fspath(path).startswith(LINUX):
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), os.fspath(path))

    for module, name in ((builtins, "open"), (io, "open"), (os, "stat"), (os, "open")):
        wrap(module, name, check)
    access = os.access
    os.access = lambda path, mode, **options: (
        not str(path).startswith(LINUX) and access(path, mode, **options)
    )
