"""The platforms that wheels are built for, and how CMake compiles for each with zig."""

import sys
from typing import NamedTuple


class Platform(NamedTuple):
    """A platform.

    Attributes:
        tag: As a wheel's name says it.
        target: As zig says it; the oldest release of the system is part of it.
    """

    tag: str
    target: str


PLATFORMS = (
    Platform("manylinux_2_17_x86_64", "x86_64-linux-gnu.2.17"),
    Platform("manylinux_2_17_aarch64", "aarch64-linux-gnu.2.17"),
    Platform("musllinux_1_2_x86_64", "x86_64-linux-musl"),
    Platform("musllinux_1_2_aarch64", "aarch64-linux-musl"),
    Platform("macosx_12_0_x86_64", "x86_64-macos.12.0"),
    Platform("macosx_12_0_arm64", "aarch64-macos.12.0"),
    Platform("win_amd64", "x86_64-windows-gnu"),
)

SYSTEMS = {"linux": "Linux", "macos": "Darwin", "windows": "Windows"}
"""CMake's names of systems, by zig's."""


def cmake_variables(target: str) -> dict[str, str]:
    """CMake's variables for a target of zig."""
    processor, system, *_ = target.split("-")
    return {
        "CMAKE_SYSTEM_NAME": SYSTEMS[system.partition(".")[0]],
        "CMAKE_SYSTEM_PROCESSOR": processor,
    }


def compiler(target: str) -> str:
    """The compiler for a target of zig, as the variable CXX names it."""
    return f"{sys.executable} -m ziglang c++ -target {target}"
