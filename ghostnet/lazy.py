"""Names of a package that are imported when they are first used."""

import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from importlib.abc import MetaPathFinder
from importlib.util import find_spec
from typing import Any

from ghostnet.errors import PackageError
from ghostnet.packages import mindspore_advice

CELLS = {
    "ghostnet.checkpoints.cells",
    "ghostnet.kernels.fused_network",
    "ghostnet.models.classification",
    "ghostnet.models.layers",
    "ghostnet.models.mobilenet_v2",
    "ghostnet.models.network",
}
"""The modules of lazy names that import MindSpore."""


class MissingNameError(PackageError, AttributeError):
    """A name that a package has only where MindSpore is installed; `hasattr` is then false."""


class Explainer(MetaPathFinder):
    """Explains why a name is missing: ``from package import name`` keeps it to itself.

    Python looks for a module of that name then, and this finder, the last one, is asked for it.
    """

    def __init__(self) -> None:
        self.reasons: dict[str, str] = {}

    def find_spec(self, name: str, path: object, target: object = None) -> None:
        """Raise the reason why there is no such name, if one is known."""
        if name in self.reasons:
            raise PackageError(self.reasons[name])


_explainer = Explainer()
sys.meta_path.append(_explainer)


def lazy_names(
    package: str, homes: Mapping[str, tuple[str, ...]]
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Return a package's ``__getattr__`` and ``__dir__`` (PEP 562).

    Names that need MindSpore leave the package's ``__all__`` where it is not installed, so that
    ``from package import *`` brings the others.

    Args:
        package: Name of the package, whose ``__all__`` is complete.
        homes: The names that each module brings.
    """
    home_of = {name: module for module, names in homes.items() for name in names}
    if find_spec("mindspore") is None:
        exported = vars(sys.modules[package])["__all__"]
        exported[:] = [name for name in exported if home_of.get(name) not in CELLS]

    def get(name: str) -> Any:
        if name not in home_of:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        try:
            module = import_module(home_of[name])
        except ImportError as error:
            if (error.name or "").split(".")[0] != "mindspore":
                raise
            full = f"{package}.{name}"
            _explainer.reasons[full] = f"{full} needs MindSpore: {mindspore_advice()} ({error})"
            raise MissingNameError(_explainer.reasons[full]) from None
        return getattr(module, name)

    def names() -> list[str]:
        module = vars(sys.modules[package])
        return sorted({*module, *module["__all__"]})

    return get, names
