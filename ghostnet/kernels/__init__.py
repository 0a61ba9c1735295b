"""GhostNet as one fused operator: C++ for CPUs, CUDA for GPUs.

`Session` runs a network from arrays to arrays without MindSpore; `fuse` makes a MindSpore cell. The
documentation describes the CPU kernels and the GPU kernels.
"""

from typing import TYPE_CHECKING

from ghostnet.kernels.cpu.library import (
    instruction_set,
    instruction_sets,
    set_instruction_set,
    set_threads,
    threads,
)
from ghostnet.kernels.devices import available, unavailable_reason
from ghostnet.kernels.session import Session
from ghostnet.lazy import lazy_names

if TYPE_CHECKING:
    from ghostnet.kernels.fused_network import FusedGhostNet, fuse, fuse_if_possible

__all__ = [
    "FusedGhostNet",
    "Session",
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

__getattr__, __dir__ = lazy_names(
    __name__, {"ghostnet.kernels.fused_network": ("FusedGhostNet", "fuse", "fuse_if_possible")}
)
