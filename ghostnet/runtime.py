"""MindSpore's settings: device, execution mode and log, applied when MindSpore is imported.

MindSpore takes 3 to 4 s and 400 MB to import, which a fused network on a CPU does not need. So the
settings are kept here until something does import it.
"""

import ctypes
import functools
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from enum import Enum
from importlib.util import find_spec
from pathlib import Path

from ghostnet import numpy_interface
from ghostnet.errors import DeviceError
from ghostnet.packages import needs
from ghostnet.system.machine import processor


class Device(str, Enum):
    """The device that networks run on; ``auto`` is MindSpore's default."""

    AUTO = "auto"
    CPU = "CPU"
    GPU = "GPU"
    ASCEND = "Ascend"


class Execution(str, Enum):
    """How MindSpore runs a network that is not fused: as a compiled graph, or cell by cell."""

    GRAPH = "graph"
    PYNATIVE = "pynative"


@dataclass
class Settings:
    """What `configure` was told."""

    device: Device = Device.AUTO
    execution: Execution = Execution.GRAPH


_settings = Settings()

ACCELERATORS = ("libcuda.so.1", "/dev/davinci_manager")
"""Traces of an accelerator: NVIDIA's driver, and the device file of Ascend's."""

ONEDNN_LIMIT = "ONEDNN_MAX_CPU_ISA"
"""The variable by which a user limits every copy of oneDNN."""

ONEDNN_AVX2 = 7
"""``dnnl_cpu_isa_avx2`` of oneDNN 3."""


def hush() -> None:
    """Keep MindSpore's log off the terminal, unless ``GLOG_v`` is set; call before its import."""
    os.environ.setdefault("GLOG_v", "4")


def configure(device: Device = Device.AUTO, execution: Execution = Execution.GRAPH) -> None:
    """Choose MindSpore's device and execution mode for this process.

    Raises:
        DeviceError: MindSpore is imported already and cannot use the device.
    """
    _settings.device, _settings.execution = device, execution
    if _is_imported():
        _apply()


def start_mindspore() -> None:
    """Import MindSpore with the chosen settings.

    Ctrl-C waits until the import ends, since a MindSpore that is half imported aborts the process.

    Raises:
        PackageError: MindSpore is not installed.
        DeviceError: MindSpore cannot use the device.
    """
    if _is_imported():
        return
    with _interrupts_later(), needs("mindspore"):
        import mindspore  # noqa: F401
    _apply()


def keep_operators_on_one_thread() -> None:
    """Let MindSpore's own operators run on one thread each, and start from one.

    In a network that is fused for training, few of its operators are left, and all are small: their
    threads would mostly wait for one another, and on a busy machine for the processor. A choice
    that the process made earlier stays, as MindSpore takes only one.
    """
    import mindspore as ms

    set_cpu_threads = ms.device_context.cpu.op_tuning.threads_num
    for set_threads in (ms.runtime.dispatch_threads_num, set_cpu_threads):
        with suppress(RuntimeError):
            set_threads(1)


@functools.cache
def prepare_operators() -> None:
    """Mend what MindSpore 2.10 does at its first operator; call before building a cell."""
    numpy_interface.settle()
    keep_onednn_to_avx2()


def keep_onednn_to_avx2() -> None:
    """Keep the oneDNN that comes with MindSpore from AVX-512; call before the first operator.

    With AVX-512, oneDNN computes depthwise convolutions in MindSpore's layout by its reference
    code, and a network takes five times as long (``python benchmarks/plain_graph.py``). A limit
    that the environment sets stays. Only MindSpore for Linux on x86-64 needs this.
    """
    import mindspore as ms

    if ONEDNN_LIMIT in os.environ or processor() != "x86-64":
        return
    for library in Path(ms.__file__).parent.glob("lib/libdnnl.so.3*"):
        ctypes.CDLL(str(library)).dnnl_set_max_cpu_isa(ONEDNN_AVX2)


@contextmanager
def _interrupts_later() -> Iterator[None]:
    """Let Ctrl-C and termination wait until the block ends.

    Their handlers are replaced; blocking the signals would leave them to any other thread, NumPy's
    for example.
    """
    if threading.current_thread() is not threading.main_thread():  # which alone is interrupted
        yield
        return
    received: list[int] = []
    before = {
        number: signal.signal(number, lambda number, frame: received.append(number))
        for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler or signal.SIG_DFL)
        for caught in received[:1]:
            signal.raise_signal(caught)


def current_device() -> str:
    """Return the device in use: ``CPU``, ``GPU`` or ``Ascend``.

    MindSpore is imported only where the device was left open and an accelerator may be present.
    """
    if not _is_imported():
        if _settings.device is not Device.AUTO:
            return str(_settings.device.value)
        if find_spec("mindspore") is None or not any(map(_is_present, ACCELERATORS)):
            return Device.CPU.value
        start_mindspore()
    import mindspore as ms

    return str(ms.get_context("device_target"))


def _is_imported() -> bool:
    return sys.modules.get("mindspore") is not None


def _is_present(trace: str) -> bool:
    if trace.startswith("/"):
        return Path(trace).exists()
    try:
        ctypes.CDLL(trace)
    except OSError:
        return False
    return True


def _apply() -> None:
    import mindspore as ms

    is_graph = _settings.execution is Execution.GRAPH
    ms.set_context(mode=ms.GRAPH_MODE if is_graph else ms.PYNATIVE_MODE)
    device = _settings.device
    if device in (Device.AUTO, ms.get_context("device_target")):
        return
    try:
        ms.set_device(device.value)
    except RuntimeError as error:
        raise DeviceError(
            f"MindSpore cannot use the device {device.value} here; use --device CPU, "
            f"or repair the installation ({str(error).splitlines()[0]})"
        ) from error
