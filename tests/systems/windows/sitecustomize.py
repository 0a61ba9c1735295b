"""Python as on Windows, as far as this package can tell: what Windows lacks is gone or refused."""

import ctypes
import errno
import fcntl
import os
import signal
import socket
import struct
import subprocess  # noqa: F401  before there is a msvcrt, by which it knows Windows
import sys
from glob import iglob
from types import ModuleType
from typing import Any

import absent

ATTEMPTS = 3
"""How often LK_LOCK tries to get a lock: ten times, once a second, on Windows itself."""

status, same_file = os.stat, os.path.samestat


def is_open(path: Any) -> bool:
    """Whether any process has a regular file open."""
    try:
        wanted = status(path, follow_symlinks=False)
    except OSError:
        return False
    for descriptor in iglob("/proc/[0-9]*/fd/[0-9]*"):
        try:
            if same_file(wanted, status(descriptor)):
                return True
        except OSError:
            continue
    return False


def refuse_open(*paths: Any, **options: Any) -> None:
    """Refuse what Windows does not do to a file that is open."""
    for path in paths:
        if isinstance(path, str | os.PathLike) and is_open(path):
            raise PermissionError(errno.EACCES, "it is being used by another process", str(path))


def refuse_folder(path: Any, flags: int, *arguments: Any, **options: Any) -> None:
    """Refuse to open a folder; a file without a name, which tempfile asks for, is none."""
    if not flags & os.O_TMPFILE == os.O_TMPFILE and os.path.isdir(path):
        raise PermissionError(errno.EACCES, "Permission denied", str(path))


def refuse_taken(source: Any, target: Any, **options: Any) -> None:
    """Refuse to rename a file to the name of another."""
    if os.path.lexists(target):
        raise FileExistsError(errno.EEXIST, "the file exists", str(target))


def refuse_whole_process(self: Any, name: Any, *arguments: Any, **options: Any) -> None:
    """Refuse to open the library of the whole process."""
    if name is None:
        raise TypeError("bad argument type for built-in operation")


def locking(descriptor: int, mode: int, length: int) -> None:
    """Lock bytes from the place in the file on, for this opening of it: ``msvcrt.locking``."""
    place = os.lseek(descriptor, 0, os.SEEK_CUR)
    wanted = struct.pack("hhqqi", fcntl.F_WRLCK, os.SEEK_SET, place, length, 0)
    for _ in range(ATTEMPTS if mode == msvcrt.LK_LOCK else 1):
        try:
            fcntl.fcntl(descriptor, F_OFD_SETLK, wanted)
        except OSError as error:
            if error.errno not in (errno.EAGAIN, errno.EACCES):
                raise
        else:
            return
    if mode == msvcrt.LK_LOCK:
        raise OSError(errno.EDEADLOCK, "Resource deadlock avoided")
    raise PermissionError(errno.EACCES, "Permission denied")


F_OFD_SETLK = 37
"""Linux's locks that belong to an opening of a file; Python names them from 3.9 on, not always."""

msvcrt: Any = ModuleType("msvcrt")
msvcrt.LK_UNLCK, msvcrt.LK_LOCK, msvcrt.LK_NBLCK = 0, 1, 2
msvcrt.locking = locking
sys.modules["msvcrt"] = msvcrt

for name in ("replace", "rename", "unlink", "remove"):
    absent.wrap(os, name, refuse_open)
absent.wrap(os, "rename", refuse_taken)
absent.wrap(os, "open", refuse_folder)
absent.wrap(ctypes.CDLL, "__init__", refuse_whole_process)  # type: ignore[arg-type]
absent.hide_linux_files()
absent.remove_modules("fcntl", "resource", "termios", "pwd", "grp", "uvloop")
absent.remove(os, "O_NONBLOCK", "O_NOFOLLOW", "O_CLOEXEC", "O_DIRECTORY", "fchmod", "fchown")
absent.remove(os, "fork", "register_at_fork", "sched_getaffinity", "link", "pread", "pwrite")
absent.remove(os, "getuid", "geteuid", "getgid", "killpg", "mkfifo", "pipe2")
absent.remove(signal, "SIGHUP", "SIGKILL", "SIGSTOP", "SIGCONT", "SIGUSR1", "SIGUSR2", "SIGQUIT")
absent.remove(signal, "pthread_sigmask", "pthread_kill", "sigwait", "alarm", "setitimer")
absent.remove(socket, "SO_REUSEPORT")
