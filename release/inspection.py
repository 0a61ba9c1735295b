"""What a wheel asks of the system that it is for, as auditwheel and delocate look at it."""

import re
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import lief
from platforms import Platform

LIBRARY = re.compile(r"ghostnet/kernels/libghostnet_cpu\.(so|dylib|dll)")

SYSTEM_LIBRARIES = {
    "ELF": r"(libc|libm|libpthread|libdl|librt|ld-linux-[\w-]+)\.so(\.\d+)?",
    "MACHO": r"/usr/lib/libSystem\.B\.dylib",
    "PE": r"(?i)(kernel32|ntdll|api-ms-win-crt-[\w-]+)\.dll",
}
"""Libraries that every system of a format has."""

MACHINES = {
    "x86_64": {"X86_64", "AMD64"},
    "amd64": {"X86_64", "AMD64"},
    "aarch64": {"AARCH64", "ARM64"},
    "arm64": {"AARCH64", "ARM64"},
}
"""What formats call the processors of tags."""


def problems(wheel: Path, platform: Platform) -> Iterator[str]:
    """Yield what is wrong with a wheel, in words."""
    with zipfile.ZipFile(wheel) as archive:
        names = [name for name in archive.namelist() if LIBRARY.fullmatch(name)]
        if len(names) != 1:
            yield f"it has {len(names)} libraries of kernels, where one is needed"
            return
        library = lief.parse(archive.read(names[0]))
    yield from foreign_libraries(library)
    yield from wrong_machine(library, platform)
    if isinstance(library, lief.MachO.Binary):
        yield from newer_macos(library, platform)
    if "linux" in platform.tag:
        yield from newer_linux(wheel, platform)


def foreign_libraries(library: lief.Binary) -> Iterator[str]:
    """Yield the libraries that the system may not have."""
    allowed = SYSTEM_LIBRARIES[library.format.name]
    for needed in library.libraries:
        name = needed if isinstance(needed, str) else needed.name
        if not re.fullmatch(allowed, name) and name != getattr(library, "name", ""):
            yield f"the library needs {name}, which the system may not have"


def wrong_machine(library: lief.Binary, platform: Platform) -> Iterator[str]:
    """Yield the processor of a library if it is not that of the tag."""
    header = library.header
    machine = getattr(header, "machine_type", None) or getattr(header, "cpu_type", header.machine)
    wanted = next(names for part, names in MACHINES.items() if platform.tag.endswith(part))
    if machine.name not in wanted:
        yield f"the library is for {machine.name}"


def newer_macos(library: lief.MachO.Binary, platform: Platform) -> Iterator[str]:
    """Yield the release of macOS that a library needs if the tag names an older one."""
    least = tuple(library.build_version.minos[:2])
    _, major, minor, *_ = platform.tag.split("_")
    if least > (int(major), int(minor)):
        yield f"the library needs macOS {least[0]}.{least[1]}"


def newer_linux(wheel: Path, platform: Platform) -> Iterator[str]:
    """Yield what auditwheel says of a wheel whose symbols are newer than its tag."""
    command = [sys.executable, "-m", "auditwheel", "show", wheel]
    shown = subprocess.run(command, capture_output=True, text=True)
    if f'"{platform.tag}"' not in re.sub(r"\s+", " ", shown.stdout):
        yield f"auditwheel does not find it consistent with its tag: {shown.stdout}{shown.stderr}"
