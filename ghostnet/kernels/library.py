"""The compiled kernels: where they are, whether they can be used, and their settings."""

import ctypes
import functools
import os
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from mindspore import Tensor, context

from ghostnet.errors import KernelError

PATH = Path(__file__).with_name("libghostnet_cpu.so")

SYMBOLS = (
    "GhostNetForward",
    "GhostNetBatchNorm",
    "GhostNetBatchNormGradient",
    "GhostNetDepthwise",
    "GhostNetDepthwiseGradient",
    "GhostNetGhost",
    "GhostNetGhostGradient",
    "GhostNetGhostResidual",
    "GhostNetPointwise",
    "GhostNetPointwiseInputGradient",
    "GhostNetPointwiseWeightGradient",
    "GhostNetSqueezeExcite",
    "GhostNetSqueezeExciteGradient",
    "GhostNetUnfold",
    "GhostNetUnfoldGradient",
    "ghostnet_dense_size",
    "ghostnet_forward",
    "ghostnet_instruction_set",
    "ghostnet_instruction_sets",
    "ghostnet_pack_dense",
    "ghostnet_pack_pointwise",
    "ghostnet_pack_short_dense",
    "ghostnet_pointwise_size",
    "ghostnet_set_instruction_set",
    "ghostnet_set_threads",
    "ghostnet_short_dense_size",
    "ghostnet_threads",
)
"""What this version of the package calls in the library."""

KINDS = ("pointwise", "dense", "short_dense")
"""How the kernels read the weights of a layer; the last within 2⁻¹⁷ of each."""

Array = npt.NDArray[np.float32]

_FLOATS = np.ctypeslib.ndpointer(dtype=np.float32, flags="C_CONTIGUOUS")
_ADDRESS: Any = ctypes.c_void_p
_SIZES: list[Any] = [ctypes.c_int] * 3
_VECTORS: list[Any] = [_ADDRESS, ctypes.c_int64] * 2


@functools.cache
def load() -> ctypes.CDLL:
    """The compiled kernels, with the threads that MindSpore would use.

    Raises:
        KernelError: they were not compiled, or not for this platform or version.
    """
    if not PATH.exists():
        raise KernelError(
            f"the fused kernels are not compiled: {PATH} is missing; install the package with a "
            "C++ compiler and without GHOSTNET_NO_KERNELS"
        )
    try:
        library = ctypes.CDLL(str(PATH))
    except OSError as error:
        raise KernelError(f"the fused kernels cannot be loaded: {error}") from error
    missing = [symbol for symbol in SYMBOLS if not hasattr(library, symbol)]
    if missing:
        raise KernelError(
            f"the fused kernels are those of another version: {PATH} has no {missing[0]}; install "
            "the package again, or in a checkout: cmake -S . -B build && cmake --build build"
        )
    for kind in KINDS:
        getattr(library, f"ghostnet_{kind}_size").restype = ctypes.c_int64
        pack = getattr(library, f"ghostnet_pack_{kind}")
        pack.argtypes = [_FLOATS, ctypes.c_int, ctypes.c_int, _FLOATS]
        pack.restype = None
    library.ghostnet_forward.argtypes = [_ADDRESS, *_SIZES, *_VECTORS, _ADDRESS]
    library.ghostnet_instruction_set.restype = ctypes.c_char_p
    library.ghostnet_instruction_sets.restype = ctypes.c_char_p
    library.ghostnet_set_threads(default_threads())
    return library


def default_threads() -> int:
    """MindSpore's own number of threads, but no more than this process has processors."""
    return min(int(context.get_context("runtime_num_threads")), len(os.sched_getaffinity(0)))


def set_threads(count: int) -> None:
    """Let one call work on ``count`` threads; calls that come while it does use their own thread.

    Raises:
        KernelError: ``count`` is below 1.
    """
    if count < 1:
        raise KernelError(f"the kernels need at least one thread: {count}")
    load().ghostnet_set_threads(count)


def threads() -> int:
    """The threads that one call works on."""
    return int(load().ghostnet_threads())


def instruction_sets() -> tuple[str, ...]:
    """The instruction sets of this processor that the kernels know, best first."""
    return tuple(load().ghostnet_instruction_sets().decode().split())


def instruction_set() -> str:
    """The instruction set in use: the best there is, or what was set."""
    return str(load().ghostnet_instruction_set().decode())


def set_instruction_set(name: str) -> None:
    """Use one of `instruction_sets`, for tests and measurements.

    Raises:
        KernelError: this processor does not have it.
    """
    if load().ghostnet_set_instruction_set(name.encode()):
        raise KernelError(f"instruction set {name!r} is not one of {instruction_sets()}")


def forward(pictures: Array, plan: Tensor, weights: Tensor, outputs: int) -> Tensor:
    """(batch, outputs) for (batch, 3, height, width) pictures, on the calling thread and the pool.

    Plan and weights lie in the memory of a CPU.

    Raises:
        KernelError: plan and weights are not those of one network.
    """
    batch, _, height, width = pictures.shape
    answer = Tensor.from_numpy(np.empty((batch, outputs), np.float32))
    vectors = plan.data_ptr(), plan.shape[0], weights.data_ptr(), weights.shape[0]
    first = pictures.__array_interface__["data"][0]  # `pictures.ctypes` takes ten times as long
    if load().ghostnet_forward(first, batch, height, width, *vectors, answer.data_ptr()):
        raise KernelError("the plan and the weights of the fused network do not fit together")
    return answer


def packed(kind: str, weights: Array) -> Array:
    """(out, in) weights as the kernels read them, in one of `KINDS`."""
    library = load()
    vector = np.empty(getattr(library, f"ghostnet_{kind}_size")(*weights.shape), np.float32)
    getattr(library, f"ghostnet_pack_{kind}")(np.ascontiguousarray(weights), *weights.shape, vector)
    return vector
