"""The devices that have fused kernels, and what each needs."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from mindspore import Tensor, nn

from ghostnet.errors import KernelError
from ghostnet.kernels import cuda_build, cuda_library, library
from ghostnet.kernels.cuda_pack import pack_for_cuda
from ghostnet.kernels.forward import CpuForward, CudaForward, run_on_cpu
from ghostnet.kernels.pack import pack
from ghostnet.network import GhostNet
from ghostnet.runtime import current_device


class Device(NamedTuple):
    """One kind of device."""

    load: Callable[[], Any]
    """Raises `KernelError` where the kernels cannot be used."""
    pack: Callable[[GhostNet, bool], Sequence[Any]]
    """The weights as arrays, with or without the classifier."""
    forward: Callable[[GhostNet, int], nn.Cell]
    """The operator for a network and a number of outputs."""
    run: Callable[[Tensor, Sequence[Tensor], int], Tensor] | None
    """From pictures, weights and the number of outputs without a graph, if there is a way."""
    trains: bool


def cuda_device(library_path: Callable[[], Path]) -> Device:
    """A device whose operators are those of a compiled csrc/cuda/operator.cu."""
    return Device(
        lambda: cuda_library.load(library_path()),
        pack_for_cuda,
        lambda network, outputs: CudaForward(library_path(), network, outputs),
        run=None,
        trains=False,
    )


DEVICES = {
    "CPU": Device(library.load, pack, CpuForward, run_on_cpu, trains=True),
    "GPU": cuda_device(cuda_build.library_path),
}
"""By MindSpore's names."""


def unavailable_reason(training: bool = False) -> str | None:
    """Why `fuse` would fail here, in one line, or None where it would not.

    Args:
        training: of a network that is fused for training.
    """
    name = current_device()
    known = [device for device, parts in DEVICES.items() if parts.trains or not training]
    if name not in known:
        purpose = "for training " if training else ""
        return f"the fused kernels {purpose}run on {' and '.join(known)}, not on {name}"
    try:
        DEVICES[name].load()
    except KernelError as error:
        return str(error)
    return None


def available() -> bool:
    """Whether a network can be fused here."""
    return unavailable_reason() is None
