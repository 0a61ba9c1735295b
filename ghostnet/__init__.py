"""GhostNet for MindSpore: verified hub models and fused kernels.

Names are imported when they are first used, so that ``import ghostnet`` takes a few milliseconds.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from ghostnet.errors import (
    BenchmarkError,
    CardError,
    CheckpointError,
    ClusterError,
    DatasetError,
    DeviceError,
    ExportError,
    FetchError,
    GhostNetError,
    ImageError,
    IntegrityError,
    KernelError,
    LabelError,
    ModelError,
    PackageError,
    ResultsError,
    ServingError,
    TrainingError,
)
from ghostnet.lazy import lazy_names

if TYPE_CHECKING:
    from ghostnet import hub, kernels
    from ghostnet.checkpoints import merge_branches
    from ghostnet.data import transforms
    from ghostnet.hub import create_model, load, open_model
    from ghostnet.kernels import fuse
    from ghostnet.models import (
        GhostBottleneck,
        GhostModule,
        GhostNet,
        SqueezeExcite,
        ghostnet_1x,
        ghostnet_600m,
        ghostnet_int8_1x,
        ghostnet_nose_1x,
        list_models,
        mobilenet_v2_1x,
    )

__all__ = [
    "BenchmarkError",
    "CardError",
    "CheckpointError",
    "ClusterError",
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
    "LabelError",
    "ModelError",
    "PackageError",
    "ResultsError",
    "ServingError",
    "SqueezeExcite",
    "TrainingError",
    "create_model",
    "fuse",
    "ghostnet_1x",
    "ghostnet_600m",
    "ghostnet_int8_1x",
    "ghostnet_nose_1x",
    "hub",
    "kernels",
    "list_models",
    "load",
    "merge_branches",
    "mobilenet_v2_1x",
    "open_model",
    "transforms",
]

_MODULES = {
    "hub": "ghostnet.hub",
    "kernels": "ghostnet.kernels",
    "transforms": "ghostnet.data.transforms",
}

_find_name, _names = lazy_names(
    __name__,
    {
        "ghostnet.checkpoints.cells": ("merge_branches",),
        "ghostnet.hub": ("create_model", "load", "open_model"),
        "ghostnet.kernels.fused_network": ("fuse",),
        "ghostnet.models.layers": ("GhostBottleneck", "GhostModule", "SqueezeExcite"),
        "ghostnet.models.network": (
            "GhostNet",
            "ghostnet_1x",
            "ghostnet_600m",
            "ghostnet_int8_1x",
            "ghostnet_nose_1x",
            "mobilenet_v2_1x",
        ),
        "ghostnet.models.registry": ("list_models",),
    },
)


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version  # takes 0.05 s to import

        return version("mindspore-ghostnet")
    if name in _MODULES:
        return import_module(_MODULES[name])
    return _find_name(name)


def __dir__() -> list[str]:
    return sorted({*_names(), *_MODULES, "__version__"})
