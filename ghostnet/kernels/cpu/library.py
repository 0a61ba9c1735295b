"""The compiled CPU kernels: loading them, calling them, and their settings."""

import ctypes
import enum
import functools
import operator
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from ghostnet.checkpoints.folding import Array
from ghostnet.errors import KernelError
from ghostnet.system.libraries import library_name
from ghostnet.system.machine import processors

PATH = Path(__file__).parents[1] / library_name("ghostnet_cpu")

SYMBOLS = (
    "GhostNetForward",
    "GhostNetBatchNorm",
    "GhostNetBatchNormGradient",
    "GhostNetBranchedDepthwise",
    "GhostNetBranchedDepthwiseGradient",
    "GhostNetBranchedGhost",
    "GhostNetBranchedGhostGradient",
    "GhostNetBranchedGhostResidual",
    "GhostNetDepthwise",
    "GhostNetDepthwiseGradient",
    "GhostNetGate",
    "GhostNetGateGradient",
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
    "ghostnet_bfloat16_size",
    "ghostnet_dense_size",
    "ghostnet_forward",
    "ghostnet_has_bfloat16",
    "ghostnet_has_int8",
    "ghostnet_instruction_set",
    "ghostnet_instruction_sets",
    "ghostnet_int8_size",
    "ghostnet_is_faster_in_bfloat16",
    "ghostnet_is_faster_in_int8",
    "ghostnet_pack_bfloat16",
    "ghostnet_pack_bytes",
    "ghostnet_pack_dense",
    "ghostnet_pack_int8",
    "ghostnet_pack_pointwise",
    "ghostnet_pointwise_size",
    "ghostnet_processor_extensions",
    "ghostnet_set_instruction_set",
    "ghostnet_set_threads",
    "ghostnet_threads",
)
"""Symbols that this version of the package calls in the library."""

Dtype = Literal["float32", "int8", "bfloat16"]
"""Type of the weights and pixels of the layers that gain from it."""

DTYPES: tuple[Dtype, ...] = get_args(Dtype)

Precision = Literal[Dtype, "quantized"]

PRECISIONS: Mapping[Precision, int] = {"float32": 0, "int8": 1, "quantized": 2, "bfloat16": 3}
"""Numbers of the types in the plan; the layers of a quantized network state their own."""

UNITS: Mapping[str, str] = {
    "int8": "VNNI, or dotprod on ARM, which multiply bytes",
    "bfloat16": "AVX512_BF16, which multiplies bfloat16",
}
"""What a processor needs for a type."""

WeightFormat = Literal["float32", "float24", "int8", "bfloat16"]

WEIGHT_FORMATS: Mapping[WeightFormat, int] = {
    "float32": 0,
    "float24": 1,
    "int8": 2,
    "bfloat16": 3,
}
"""Numbers of the formats of a dense layer's weights; 24 bits keep each to within 2⁻¹⁷."""

INSTRUCTION_SET = "GHOSTNET_INSTRUCTION_SET"
"""Environment variable that names the instruction set to use, for tests and measurements."""

MAX_THREADS = 65_536
"""Most threads that can be set."""


class Status(enum.IntEnum):
    """What ``ghostnet_forward`` returns; see csrc/cpu/c_api.cc."""

    DONE = 0
    WRONG_MODEL = 1
    WRONG_SHAPES = 2
    MISSING_KERNELS = 3
    NO_MEMORY = 4


_FLOATS = np.ctypeslib.ndpointer(dtype=np.float32, flags=("C_CONTIGUOUS", "ALIGNED"))
_ADDRESS: Any = ctypes.c_void_p
_SIZES: list[Any] = [ctypes.c_int64] * 3
_VECTORS: list[Any] = [_ADDRESS, ctypes.c_int64] * 3


@functools.cache
def load() -> ctypes.CDLL:
    """Load the compiled kernels.

    Raises:
        KernelError: They were not compiled, or not for this platform or version, or the environment
            names an instruction set that there is not.
    """
    if not PATH.exists():
        raise KernelError(
            f"the compiled kernels are missing: there is no {PATH}; install the package with a C++ "
            "compiler and without GHOSTNET_NO_KERNELS"
        )
    try:
        library = ctypes.CDLL(str(PATH))
    except OSError as error:
        raise KernelError(f"the compiled kernels cannot be loaded: {error}") from error
    missing = [symbol for symbol in SYMBOLS if not hasattr(library, symbol)]
    if missing:
        raise KernelError(
            f"{PATH} belongs to another version: it has no {missing[0]}; install the package "
            "again, or run in a checkout: cmake -S . -B build && cmake --build build"
        )
    matrix: list[Any] = [_FLOATS, ctypes.c_int, ctypes.c_int]
    library.ghostnet_pack_bfloat16.argtypes = [*matrix, _FLOATS]
    library.ghostnet_pack_bytes.argtypes = [*matrix, _FLOATS]
    library.ghostnet_pack_dense.argtypes = [ctypes.c_int, *matrix, _FLOATS]
    library.ghostnet_pack_int8.argtypes = [*matrix, *[_FLOATS] * 4]
    library.ghostnet_pack_pointwise.argtypes = [*matrix, _FLOATS]
    for kind in ("bfloat16", "bytes", "dense", "int8", "pointwise"):
        getattr(library, f"ghostnet_pack_{kind}").restype = None
    for kind in ("bfloat16", "dense", "int8", "pointwise"):
        getattr(library, f"ghostnet_{kind}_size").restype = ctypes.c_int64
    library.ghostnet_forward.argtypes = [_ADDRESS, *_SIZES, *_VECTORS]
    library.ghostnet_instruction_set.restype = ctypes.c_char_p
    library.ghostnet_instruction_sets.restype = ctypes.c_char_p
    library.ghostnet_processor_extensions.restype = ctypes.c_char_p
    library.ghostnet_set_threads(default_threads())
    if name := os.environ.get(INSTRUCTION_SET):
        _choose(library, name, INSTRUCTION_SET)
    return library


def default_threads() -> int:
    """Return the processors of this process, or ``OMP_NUM_THREADS`` where that is lower."""
    most = processors()
    wanted = os.environ.get("OMP_NUM_THREADS", "")
    return min(most, int(wanted)) if wanted.isdecimal() and int(wanted) else most


def set_threads(count: int) -> None:
    """Set the threads that work on one call.

    A call runs on fewer where the system does not start as many, and on at most 16 if the machine
    has no more processors; its answer is the same.

    Args:
        count: From 1 to 65,536. By default, the processors of this process or ``OMP_NUM_THREADS``.

    Raises:
        KernelError: ``count`` is not a whole number of that range.
    """
    try:
        number = 0 if isinstance(count, bool) else operator.index(count)
    except TypeError:
        number = 0
    if not 1 <= number <= MAX_THREADS:
        raise KernelError(
            f"the number of threads is {count!r}; set a whole number from 1 to {MAX_THREADS:,}"
        )
    load().ghostnet_set_threads(number)


def threads() -> int:
    """Return the number of threads that work on one call."""
    return int(load().ghostnet_threads())


def instruction_sets() -> tuple[str, ...]:
    """List the instruction sets that this processor and the kernels have, best first."""
    return _instruction_sets(load())


def _instruction_sets(library: ctypes.CDLL) -> tuple[str, ...]:
    return tuple(library.ghostnet_instruction_sets().decode().split())


def processor_extensions() -> tuple[str, ...]:
    """List the extensions of this processor that kernels can use, as Linux names them."""
    return tuple(load().ghostnet_processor_extensions().decode().split())


def instruction_set() -> str:
    """Return the instruction set in use: the best there is, unless another was chosen."""
    return str(load().ghostnet_instruction_set().decode())


def set_instruction_set(name: str) -> None:
    """Use one of `instruction_sets`, for tests and measurements.

    The environment variable ``GHOSTNET_INSTRUCTION_SET`` does the same from the start.

    Raises:
        KernelError: This processor or the kernels do not have it.
    """
    _choose(load(), name, "instruction set")


def _choose(library: ctypes.CDLL, name: str, source: str) -> None:
    known = _instruction_sets(library)
    if name not in known:
        raise KernelError(
            f"{source}: {name!r} is not available here; choose one of {', '.join(known)}"
        )
    library.ghostnet_set_instruction_set(name.encode())


def forward(images: Array, plan: NDArray[np.int32], weights: Array, outputs: int) -> Array:
    """Run a packed network.

    Args:
        images: (batch, 3, height, width) float32, contiguous and aligned.
        plan: Plan of a `ghostnet.kernels.cpu.packing.PackedNetwork`.
        weights: Weights of the same.
        outputs: Length of the logits or features.

    Returns:
        (batch, outputs) float32.

    Raises:
        KernelError: Plan and weights are not those of one network, the network has another number
            of outputs, the images are too large, or the instruction set does not have the
            plan's precision.
        MemoryError: The call needs more memory than there is.
    """
    batch, _, height, width = images.shape
    logits = np.empty((batch, outputs), np.float32)
    vectors = _address(plan), plan.size, _address(weights), weights.size, _address(logits), outputs
    status = load().ghostnet_forward(_address(images), batch, height, width, *vectors)
    if status:
        raise _error(Status(status), images.shape, plan, outputs)
    return logits


def _error(
    status: Status, images: tuple[int, ...], plan: NDArray[np.int32], outputs: int
) -> Exception:
    """Say why a call failed."""
    if status == Status.NO_MEMORY:
        return MemoryError(
            f"there is not enough memory to run the kernels on images of shape {images}; pass "
            "fewer or smaller images at a time, or set fewer threads"
        )
    if status == Status.MISSING_KERNELS:
        names = {number: name for name, number in PRECISIONS.items()}
        return KernelError(missing_reason(names[int(plan[0])]))
    if status == Status.WRONG_SHAPES:
        return KernelError(
            f"the kernels do not map images of shape {images} to {outputs} outputs with this "
            "network: images have at most 2²⁸ pixels each, and the outputs are the network's"
        )
    return KernelError(
        "the plan and the weights are not of one network; pack both from the same parameters"
    )


def missing_reason(precision: Precision) -> str:
    """Say why there are no kernels of a precision; empty where there are."""
    if precision not in UNITS or getattr(load(), f"ghostnet_has_{precision}")():
        return ""
    return (
        f"the dtype {precision} needs a processor with {UNITS[precision]}; {instruction_set()} is "
        f"without it here, on a processor with {', '.join(processor_extensions()) or 'neither'}; "
        "use float32"
    )


def is_faster_in_bfloat16(outputs: int) -> bool:
    """Whether a pointwise convolution gains from bfloat16."""
    return bool(load().ghostnet_is_faster_in_bfloat16(outputs))


def packed_bfloat16(weights: Array) -> Array:
    """Pack (out, in) weights of a pointwise convolution as bfloat16."""
    library = load()
    vector = np.empty(library.ghostnet_bfloat16_size(*weights.shape), np.float32)
    library.ghostnet_pack_bfloat16(aligned(weights), *weights.shape, vector)
    return vector


def is_faster_in_int8(outputs: int, inputs: int) -> bool:
    """Whether a pointwise convolution gains from int8."""
    return bool(load().ghostnet_is_faster_in_int8(outputs, inputs))


def packed_int8(weights: Array, bias: Array, low: Array, high: Array) -> tuple[Array, Array]:
    """Pack (out, in) weights in 8 bits, for inputs of a range.

    Returns:
        The packed weights, and the (out,) bias that belongs to them.
    """
    library = load()
    vector = np.empty(library.ghostnet_int8_size(*weights.shape), np.float32)
    moved = bias.copy()
    library.ghostnet_pack_int8(aligned(weights), *weights.shape, low, high, vector, moved)
    return vector, moved


def aligned(array: Array) -> Array:
    """Return float32 values as the kernels read them: contiguous, and at a multiple of 4 bytes.

    A view of a checkpoint's bytes can begin anywhere, and NumPy counts it as contiguous.
    """
    flags = array.flags
    return array if flags.c_contiguous and flags.aligned else array.copy(order="C")


def _address(array: NDArray[Any]) -> int:
    """Return where an array lies; `ndarray.ctypes` takes ten times as long."""
    return int(array.__array_interface__["data"][0])


def packed_pointwise(weights: Array) -> Array:
    """Pack (out, in) weights of a pointwise convolution."""
    library = load()
    vector = np.empty(library.ghostnet_pointwise_size(*weights.shape), np.float32)
    library.ghostnet_pack_pointwise(aligned(weights), *weights.shape, vector)
    return vector


def packed_dense(weight_format: WeightFormat, weights: Array) -> Array:
    """Pack (out, in) weights of a dense layer."""
    library, number = load(), WEIGHT_FORMATS[weight_format]
    vector = np.empty(library.ghostnet_dense_size(number, *weights.shape), np.float32)
    library.ghostnet_pack_dense(number, aligned(weights), *weights.shape, vector)
    return vector


def packed_bytes(weights: Array) -> Array:
    """Pack (out, in) whole numbers from -128 to 127 for a pointwise convolution.

    ``in`` is a multiple of four.
    """
    vector = np.empty(weights.size // 4, np.float32)
    load().ghostnet_pack_bytes(aligned(weights), *weights.shape, vector)
    return vector
