"""How MindSpore is to run: on which device, in which mode, and how loud."""

import os
from enum import Enum

from ghostnet.errors import DeviceError


class Device(str, Enum):
    """Where networks run; ``auto`` takes what MindSpore finds."""

    AUTO = "auto"
    CPU = "CPU"
    GPU = "GPU"
    ASCEND = "Ascend"


class Mode(str, Enum):
    """Whether networks are compiled to graphs or run cell by cell."""

    GRAPH = "graph"
    PYNATIVE = "pynative"


def hush() -> None:
    """Keep MindSpore's log off the terminal; call before MindSpore is imported.

    Levels that the user has set in ``GLOG_v`` stay.
    """
    os.environ.setdefault("GLOG_v", "4")


def configure(device: Device = Device.AUTO, mode: Mode = Mode.GRAPH) -> None:
    """Choose MindSpore's device and mode for this process.

    Raises:
        DeviceError: MindSpore does not reach the device.
    """
    import mindspore as ms

    ms.set_context(mode=ms.GRAPH_MODE if mode is Mode.GRAPH else ms.PYNATIVE_MODE)
    if device not in (Device.AUTO, current_device()):
        try:
            ms.set_device(device.value)
        except RuntimeError as error:
            raise DeviceError(
                f"MindSpore does not reach device {device.value} on this machine; "
                f"use --device CPU, or repair the installation ({str(error).splitlines()[0]})"
            ) from error


def current_device() -> str:
    """MindSpore's device: ``CPU``, ``GPU`` or ``Ascend``."""
    import mindspore as ms

    return str(ms.get_context("device_target"))
