"""Runs a command that can write to devices only, as in a container whose root is read-only.

``python read_only_root.py COMMAND …`` forbids it by Landlock, which stays with a process and its
children. `is_possible` says whether the system has it.
"""

import ctypes
import os
import struct
import sys

CREATE_RULESET, ADD_RULE, RESTRICT_SELF = 444, 445, 446
"""System calls."""

VERSION = 1
"""Flag of the first call: return the version."""

WRITES = 1 << 1 | sum(1 << bit for bit in range(4, 13))
"""Writing to files, removing and making files and folders."""

PATH_BENEATH = 1
NO_NEW_PRIVILEGES = 38

libc = ctypes.CDLL(None, use_errno=True)


def is_possible() -> bool:
    return sys.platform == "linux" and libc.syscall(CREATE_RULESET, None, 0, VERSION) > 0


def check(result: int) -> int:
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


def forbid_writing(allowed: str) -> None:
    """Forbid this process to write outside a folder."""
    handled = struct.pack("Q", WRITES)
    rules = check(libc.syscall(CREATE_RULESET, handled, len(handled), 0))
    folder = os.open(allowed, os.O_PATH)
    check(libc.syscall(ADD_RULE, rules, PATH_BENEATH, struct.pack("=Qi", WRITES, folder), 0))
    check(libc.prctl(NO_NEW_PRIVILEGES, 1, 0, 0, 0))
    check(libc.syscall(RESTRICT_SELF, rules, 0))


if __name__ == "__main__":
    forbid_writing("/dev")
    os.execv(sys.argv[1], sys.argv[1:])
