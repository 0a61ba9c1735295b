"""Memory of this process, and files in memory."""

import os
import re
import sys
from pathlib import Path

from ghostnet.system.libraries import c_function

try:
    import resource
except ImportError:  # Windows
    HAS_USAGE = False
else:
    HAS_USAGE = True

MMAP_THRESHOLD = -3
"""The parameter of glibc's `mallopt` for the size from which on blocks are mapped on their own."""

STATUS = Path("/proc/self/status")
"""What Linux says about this process."""

FOLDER = "/dev/shm"
"""Where files are in memory on Linux, also in a container whose root is read-only."""


def peak_memory() -> int | None:
    """Return the most memory that this process had so far, in bytes; None if no system tells."""
    if STATUS.exists():  # without the memory of the process that started this one
        return 1024 * int(re.findall(r"VmHWM:\s+(\d+) kB", STATUS.read_text())[0])
    if HAS_USAGE:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else 1024 * peak
    return None


def return_large_blocks(size: int) -> None:
    """Let blocks of this many bytes go back to the system as soon as they are free.

    Other C libraries than glibc do so by themselves.
    """
    if mallopt := c_function("mallopt"):
        mallopt(MMAP_THRESHOLD, size)


def return_freed_memory() -> None:
    """Give the system the freed memory that glibc keeps."""
    if trim := c_function("malloc_trim"):
        trim(0)


def folder_in_memory() -> str | None:
    """Return a folder in memory where files can be written, or None if there is none."""
    return FOLDER if os.access(FOLDER, os.W_OK) else None
