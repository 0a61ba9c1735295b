"""GhostNet for MindSpore: verified hub models and fused graph-mode kernels.

Names are imported when first used, so that ``import ghostnet`` does not wait for MindSpore.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from ghostnet.errors import (
    BenchmarkError,
    CardError,
    CheckpointError,
    DatasetError,
    DeviceError,
    ExportError,
    FetchError,
    GhostNetError,
    ImageError,
    IntegrityError,
    KernelError,
    PackageError,
)

if TYPE_CHECKING:
    from ghostnet.hub.loader import load
    from ghostnet.kernels import fuse
    from ghostnet.layers import GhostBottleneck, GhostModule, SqueezeExcite
    from ghostnet.network import GhostNet, ghostnet_1x, ghostnet_600m, ghostnet_nose_1x

__all__ = [
    "BenchmarkError",
    "CardError",
    "CheckpointError",
    "DatasetError",
    "DeviceError",
    "ExportError",
    "FetchError",
    "GhostBottleneck",
    "GhostModule",
    "GhostNet",
    "GhostNetError",
    "ImageError",
    "IntegrityError",
    "KernelError",
    "PackageError",
    "SqueezeExcite",
    "fuse",
    "ghostnet_1x",
    "ghostnet_600m",
    "ghostnet_nose_1x",
    "load",
]

_HOME = {
    "GhostBottleneck": "ghostnet.layers",
    "GhostModule": "ghostnet.layers",
    "GhostNet": "ghostnet.network",
    "SqueezeExcite": "ghostnet.layers",
    "fuse": "ghostnet.kernels",
    "ghostnet_1x": "ghostnet.network",
    "ghostnet_600m": "ghostnet.network",
    "ghostnet_nose_1x": "ghostnet.network",
    "load": "ghostnet.hub.loader",
}


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(_HOME[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
