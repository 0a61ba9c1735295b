"""GhostNet as one fused graph-mode operator for CPUs, written in C++ (see docs/kernels.md)."""

from ghostnet.kernels.fallback import fuse_if_possible
from ghostnet.kernels.fuse import FusedGhostNet, fuse
from ghostnet.kernels.library import (
    available,
    instruction_set,
    instruction_sets,
    set_instruction_set,
    set_threads,
    threads,
    unavailable_reason,
)

__all__ = [
    "FusedGhostNet",
    "available",
    "fuse",
    "fuse_if_possible",
    "instruction_set",
    "instruction_sets",
    "set_instruction_set",
    "set_threads",
    "threads",
    "unavailable_reason",
]
