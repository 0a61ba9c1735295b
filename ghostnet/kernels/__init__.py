"""GhostNet as one fused graph-mode operator: C++ for CPUs, CUDA for GPUs.

See docs/kernels.md and docs/gpu.md.
"""

from ghostnet.kernels.devices import available, unavailable_reason
from ghostnet.kernels.fallback import fuse_if_possible
from ghostnet.kernels.fuse import FusedGhostNet, fuse
from ghostnet.kernels.library import (
    instruction_set,
    instruction_sets,
    set_instruction_set,
    set_threads,
    threads,
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
