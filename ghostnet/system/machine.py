"""The machine and its system: their names, processors, and whether MindSpore has releases."""

import os
import platform
import sys

PROCESSORS = {"x86_64": "x86-64", "AMD64": "x86-64", "aarch64": "AArch64", "arm64": "AArch64"}
"""Names of processors, by what systems call them."""

SYSTEMS = {"Darwin": "macOS"}
"""Names of systems, where they call themselves otherwise."""

MINDSPORE_SYSTEMS = {
    ("Linux", "x86-64"),
    ("Linux", "AArch64"),
    ("macOS", "x86-64"),
    ("macOS", "AArch64"),
    ("Windows", "x86-64"),
}
"""Systems and processors that MindSpore 2.10 is released for; pyproject.toml says the same."""

MINDSPORE_BEFORE = (3, 13)
"""The first release of Python that MindSpore 2.10 is not released for."""


def processors() -> int:
    """Return how many processors this process may use; all of the machine where no system tells."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def processor() -> str:
    """Return the name of the processor's kind, such as ``x86-64``."""
    return PROCESSORS.get(platform.machine(), platform.machine())


def system() -> str:
    """Return the name of the system, such as ``Linux``."""
    return SYSTEMS.get(platform.system(), platform.system())


def c_library() -> str:
    """Return Linux's C library, such as ``glibc 2.36``; empty on other systems."""
    if system() != "Linux":
        return ""
    return " ".join(platform.libc_ver()).strip() or "musl"


def description() -> str:
    """Return the system and its processor, such as ``Linux with glibc 2.36 on x86-64``."""
    library = c_library()
    return f"{system()}{library and f' with {library}'} on {processor()}"


def has_mindspore_releases() -> bool:
    """Whether MindSpore is released for this Python, system and processor."""
    return _python_has_mindspore() and _system_has_mindspore()


def without_mindspore() -> str:
    """Return what MindSpore is not released for: this version of Python, or this system."""
    return python() if _system_has_mindspore() else description()


def python() -> str:
    """Return the version of Python, such as ``Python 3.12``, or of another implementation."""
    name = platform.python_implementation().replace("CPython", "Python")
    return f"{name} {sys.version_info[0]}.{sys.version_info[1]}"


def has_gpu_releases() -> bool:
    """Whether MindSpore is released for GPUs on this system."""
    return has_mindspore_releases() and (system(), processor()) == ("Linux", "x86-64")


def _python_has_mindspore() -> bool:
    return sys.version_info < MINDSPORE_BEFORE and sys.implementation.name == "cpython"


def _system_has_mindspore() -> bool:
    return (system(), processor()) in MINDSPORE_SYSTEMS and c_library() != "musl"
