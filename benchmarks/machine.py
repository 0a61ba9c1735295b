"""The machine that a benchmark runs on, as its results record it.

``python benchmarks/machine.py`` prints it.
"""

import json
import os
import platform
import re
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

FAMILIES = {
    ("AuthenticAMD", 25, 0x00, 0x0F): "Zen 3",
    ("AuthenticAMD", 25, 0x10, 0x1F): "Zen 4",
    ("AuthenticAMD", 25, 0x20, 0x5F): "Zen 3",
    ("AuthenticAMD", 25, 0x60, 0xAF): "Zen 4",
    ("AuthenticAMD", 26, 0x00, 0xFF): "Zen 5",
    ("GenuineIntel", 6, 0x55, 0x55): "Skylake or Cascade Lake",
    ("GenuineIntel", 6, 0x6A, 0x6C): "Ice Lake",
    ("GenuineIntel", 6, 0x8F, 0x8F): "Sapphire Rapids",
    ("GenuineIntel", 6, 0xAD, 0xAE): "Granite Rapids",
    ("GenuineIntel", 6, 0xCF, 0xCF): "Emerald Rapids",
}
"""Microarchitectures by vendor, family, and the first and last model."""

UNITS = ("avx2", "avx_vnni", "avx512f", "avx512_vnni", "avx512_bf16", "amx_int8", "amx_bf16")
"""Flags of the vector and matrix units that decide how fast a kernel can be."""


def machine(packages: Iterable[str]) -> dict[str, Any]:
    """Return processor, system and versions of packages, as JSON types."""
    return {
        "processor": processor(),
        "units": [unit for unit in UNITS if unit in _field("flags").split()],
        "processors": len(os.sched_getaffinity(0)),
        "system": platform.platform(),
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in packages},
    }


def slug() -> str:
    """Return the kind of the processor as part of a file name, such as ``zen_4``."""
    kind = microarchitecture(_field("vendor_id"), _field("cpu family"), _field("model"))
    return re.sub(r"\W+", "_", kind or processor()).strip("_").lower()


def processor() -> str:
    """Return the name of the processor with its microarchitecture, which clouds leave out."""
    name = _field("model name") or platform.processor() or platform.machine()
    name = re.sub(r"\((R|TM)\)| Processor", "", name)
    family = microarchitecture(_field("vendor_id"), _field("cpu family"), _field("model"))
    return f"{name} ({family})" if family else name


def microarchitecture(vendor: str, family: str, model: str) -> str | None:
    """Return the name of a microarchitecture, None where `FAMILIES` does not list it."""
    if not (family.isdecimal() and model.isdecimal()):
        return None
    for (maker, number, first, last), name in FAMILIES.items():
        if (maker, number) == (vendor, int(family)) and first <= int(model) <= last:
            return name
    return None


def _field(name: str) -> str:
    """Return a field of the first processor in ``/proc/cpuinfo``; empty where there is none."""
    file = Path("/proc/cpuinfo")
    lines = file.read_text().splitlines() if file.exists() else []
    pairs = (line.partition(":") for line in lines)
    return next((value.strip() for key, _, value in pairs if key.strip() == name), "")


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


if __name__ == "__main__":
    print(json.dumps(machine(()), indent=2))
