"""Signals, limits of a process, and ports that processes share."""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import asyncio
    import socket

try:
    import resource
except ImportError:  # Windows
    HAS_LIMITS = False
else:
    HAS_LIMITS = True

HANGUP: Final[int | None] = getattr(signal, "SIGHUP", None)
"""The signal that a terminal sends when it closes; Windows has none."""

MACOS_FILES = 10_240
"""The limit that macOS takes, whatever it says the highest is."""


def ignore_hangups() -> None:
    """Ignore the signal that a terminal sends when it closes."""
    if HANGUP is not None:
        signal.signal(HANGUP, signal.SIG_IGN)


def on_hangup(loop: "asyncio.AbstractEventLoop", react: Callable[[], None]) -> None:
    """Call a function of an event loop for each hangup."""
    if HANGUP is not None:
        loop.add_signal_handler(HANGUP, react)


def hang_up(process: int) -> None:
    """Send a process the signal that a terminal sends when it closes."""
    if HANGUP is not None:
        os.kill(process, HANGUP)


def pause(process: int) -> None:
    """Stop a process until `resume`, where the system can; another that has ended is no error."""
    _send(process, "SIGSTOP")


def resume(process: int) -> None:
    """Let a process go on after `pause`."""
    _send(process, "SIGCONT")


def kill(process: int) -> None:
    """End a process at once, whatever it does; one that has ended is no error."""
    _send(process, "SIGKILL" if hasattr(signal, "SIGKILL") else "SIGTERM")


def _send(process: int, name: str) -> None:
    if number := getattr(signal, name, None):
        with suppress(ProcessLookupError):
            os.kill(process, number)


@contextmanager
def interrupts_blocked() -> Iterator[None]:
    """Start threads and processes that Ctrl-C does not reach, where they inherit that."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def raise_file_limit() -> None:
    """Raise the limit of open files, and so of connections, as far as the system allows."""
    if not HAS_LIMITS:
        return
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    for limit in (most, min(most, MACOS_FILES)):
        with suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (limit, most))
            return


def shares_ports() -> bool:
    """Whether several processes can listen on one port, each with a socket of its own."""
    import socket

    return hasattr(socket, "SO_REUSEPORT")


def share_port(listener: "socket.socket") -> None:
    """Let other sockets of this user listen on the port of a socket, which is not bound yet."""
    import socket

    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
