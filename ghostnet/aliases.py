"""Modules that moved in version 1.1: their old names work until 2.0, with a DeprecationWarning."""

import sys
import warnings
from collections.abc import Sequence
from importlib import import_module
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

MOVED = {
    "backends": ("export.runtimes", "export.formats"),
    "checkpoint": ("checkpoints", "checkpoints.mindspore", "checkpoints.convert"),
    "complexity": ("models.complexity",),
    "engines": ("benchmark.engines", "benchmark.preparation"),
    "export.onnx_graph": ("export.onnx",),
    "extras": ("packages",),
    "hub.cache": ("hub.registry",),
    "hub.fetch": ("hub.download",),
    "hub.find": ("hub.registry", "hub.download"),
    "hub.store": ("hub.verified_file",),
    "hub.web": ("hub.http",),
    "kernels.cuda_build": ("kernels.cuda.build",),
    "kernels.cuda_library": ("kernels.cuda.library",),
    "kernels.cuda_pack": ("kernels.cuda.packing",),
    "kernels.fallback": ("kernels.fused_network",),
    "kernels.library": ("kernels.cpu.library",),
    "kernels.pack": ("kernels.cpu.packing", "kernels.folding"),
    "kernels.training": ("kernels.cpu.training",),
    "layers": ("models.layers",),
    "network": ("models", "models.network", "models.architectures", "models.registry"),
    "oxford_pets": ("data.oxford_pets",),
    "predict": ("inference.classifier",),
    "torch_network": ("benchmark.torch_network",),
    "training.evaluation": ("inference.evaluation",),
    "training.head": ("training.logistic_regression",),
    "training.folders": ("data.image_folder",),
    "training.pets": ("data.oxford_pets",),
    "training.report": ("training.model_card",),
    "transforms": ("data.transforms", "data.image_folder"),
    "wire": ("checkpoints.protobuf",),
}
"""Each old module and the modules that now have its names, all below ``ghostnet``."""

RENAMED = {
    "HEAD": "CLASSIFIER",
    "Picture": "ImageSource",
    "find": "find_card",
    "list_cards": "shipped_uids",
    "normalise": "normalize",
    "num_classes": "count_classes",
    "pack_for_cuda": "pack",
    "serialised": "serialized",
    "widened": "scale_width",
}
"""Each old name and the new one."""

PACKAGE = "ghostnet."


class _AliasFinder:
    """Finds old modules; registered last, so that it is asked only for what nobody else finds.

    It is no `importlib.abc.MetaPathFinder`, since that takes 0.01 s to import.
    """

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return the specification of an old module, or None for any other name."""
        if name.removeprefix(PACKAGE) in MOVED and name.startswith(PACKAGE):
            loader: Any = self
            return ModuleSpec(name, loader)
        return None

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        """Leave the creation to Python."""
        return None

    def exec_module(self, module: ModuleType) -> None:
        """Let an old module look its names up in the new ones."""
        homes = [PACKAGE + home for home in MOVED[module.__name__.removeprefix(PACKAGE)]]
        warnings.warn(
            f"{module.__name__} has moved to {' and '.join(homes)}; the old name will be removed "
            "in version 2.0",
            DeprecationWarning,
            stacklevel=2,
        )

        def get(name: str) -> Any:
            for home in map(import_module, homes):
                for candidate in (name, RENAMED.get(name, name)):
                    if hasattr(home, candidate):
                        return getattr(home, candidate)
            raise AttributeError(f"module {module.__name__!r} has no attribute {name!r}")

        module.__dict__["__getattr__"] = get


def register() -> None:
    """Make old module names importable."""
    sys.meta_path.append(_AliasFinder())
