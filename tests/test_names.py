"""One word, one meaning: what a package offers does not hide a module of the same name."""

import importlib
import pkgutil
from types import ModuleType

import pytest

import ghostnet

PACKAGES = ["ghostnet"] + [
    module.name for module in pkgutil.walk_packages(ghostnet.__path__, "ghostnet.") if module.ispkg
]


@pytest.mark.parametrize("name", PACKAGES)
def test_no_function_hides_a_module(name: str) -> None:
    package = importlib.import_module(name)
    for module in pkgutil.iter_modules(package.__path__):
        value = getattr(package, module.name, None)
        assert value is None or isinstance(value, ModuleType), f"{name}.{module.name}"
