"""Python as on macOS, as far as this package can tell: what macOS lacks is gone."""

import os
import resource
from typing import Any

import absent

absent.remove(os, "sched_getaffinity", "sched_setaffinity", "pipe2", "memfd_create")
absent.hide_linux_files()


def check_limit(kind: int, limits: tuple[int, int]) -> None:
    """Refuse more open files than macOS allows, although it names no limit."""
    if kind == resource.RLIMIT_NOFILE and limits[0] > 10_240:
        raise ValueError("current limit exceeds maximum limit")


getrlimit = resource.getrlimit


def unlimited(kind: int) -> Any:
    """Return the limits; there is no highest one of open files."""
    soft, hard = getrlimit(kind)
    return (soft, resource.RLIM_INFINITY) if kind == resource.RLIMIT_NOFILE else (soft, hard)


resource.getrlimit = unlimited
absent.wrap(resource, "setrlimit", check_limit)
