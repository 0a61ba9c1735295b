"""The devices that have fused kernels, and what each needs."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ghostnet import runtime
from ghostnet.errors import KernelError
from ghostnet.kernels import cpu, cuda
from ghostnet.kernels.session import Session
from ghostnet.models import Architecture

if TYPE_CHECKING:
    from mindspore import nn


class Device(NamedTuple):
    """One kind of device.

    Attributes:
        load: Loads the kernels; raises `KernelError` if they cannot be used.
        pack: Packs an architecture and its parameters into arrays; ``features=True`` leaves the
            classifier out.
        operator: Makes the MindSpore operator for an architecture and a number of outputs.
        session: Answers a call from Python without a graph; None if there is no such way.
        unsupported_reason: Says which layer of an architecture the kernels do not support.
        untrainable_reason: Says the same of training; None if the device has no training kernels.
    """

    load: Callable[[], Any]
    pack: Callable[..., Sequence[Any]]
    operator: "Callable[[Architecture, int], nn.Cell]"
    session: type[Session] | None
    unsupported_reason: Callable[[Architecture], str | None]
    untrainable_reason: Callable[[Architecture], str | None] | None = None


def cpu_operator(architecture: Architecture, outputs: int) -> Any:
    """Make the operator of the CPU kernels."""
    from ghostnet.kernels.cpu.forward import ForwardOperator

    return ForwardOperator(architecture, outputs)


def cuda_device(library_path: Callable[[], Path]) -> Device:
    """Describe a device whose operators are in a compiled csrc/cuda/operator.cu."""

    def operator(architecture: Architecture, outputs: int) -> Any:
        from ghostnet.kernels.cuda.forward import Forward

        return Forward(library_path(), architecture, outputs)

    return Device(
        load=lambda: cuda.library.load(library_path()),
        pack=cuda.packing.pack,
        operator=operator,
        session=None,
        unsupported_reason=cuda.packing.unsupported_reason,
    )


DEVICES = {
    "CPU": Device(
        load=cpu.library.load,
        pack=cpu.packing.pack,
        operator=cpu_operator,
        session=Session,
        unsupported_reason=cpu.packing.unsupported_reason,
        untrainable_reason=cpu.packing.untrainable_reason,
    ),
    "GPU": cuda_device(cuda.build.library_path),
}
"""The devices, by MindSpore's names."""


def unavailable_reason(
    training: bool = False, architecture: Architecture | None = None
) -> str | None:
    """Return why `ghostnet.fuse` would fail on this machine, in one line; None if it would not.

    Args:
        training: Whether the network should be fused for training.
        architecture: Table of the network; None stands for one that the kernels support.
    """
    name = runtime.current_device()
    reasons = {
        device: parts.untrainable_reason if training else parts.unsupported_reason
        for device, parts in DEVICES.items()
    }
    known = [device for device, reason in reasons.items() if reason]
    reason_of = reasons.get(name)
    if reason_of is None:
        purpose = "for training " if training else ""
        return f"the fused kernels {purpose}run on {' and '.join(known)}, not on {name}"
    try:
        DEVICES[name].load()
    except KernelError as error:
        return str(error)
    return reason_of(architecture) if architecture else None


def available(architecture: Architecture | None = None) -> bool:
    """Whether a network, or any at all, can be fused on this machine."""
    return unavailable_reason(architecture=architecture) is None
