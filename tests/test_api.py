"""The names that users import: those of today, those that moved, and the registry behind them."""

import importlib
import subprocess
import sys
import warnings

import pytest
from bundled_models import FLOWERS

import ghostnet
from ghostnet import ModelError
from ghostnet.aliases import MOVED
from ghostnet.hub.registry import shipped_uids
from ghostnet.models import MODELS, find_model
from ghostnet.models.registry import canonical


def test_the_package_imports_in_a_moment_and_brings_its_modules() -> None:
    program = (
        "import sys, ghostnet\n"
        "assert 'numpy' not in sys.modules and 'mindspore' not in sys.modules\n"
        "print(ghostnet.hub.load, ghostnet.kernels.set_threads, ghostnet.transforms.Preprocess)\n"
        "assert 'mindspore' not in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-W", "error", "-c", program], capture_output=True)
    assert done.returncode == 0, done.stderr.decode()


@pytest.mark.parametrize("name", ghostnet.__all__)
def test_every_public_name_is_there(name: str) -> None:
    assert getattr(ghostnet, name) is not None


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'resnet50'"):
        _ = ghostnet.resnet50


@pytest.mark.parametrize("old", MOVED)
def test_an_old_module_still_imports_with_a_warning(old: str) -> None:
    name = f"ghostnet.{old}"
    sys.modules.pop(name, None)
    with pytest.warns(DeprecationWarning, match=name):
        importlib.import_module(name)


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("transforms", "Preprocess"),
        ("transforms", "normalise"),
        ("transforms", "find_images"),
        ("network", "GhostNet"),
        ("network", "GHOSTNET_1X"),
        ("network", "create_network"),
        ("layers", "GhostModule"),
        ("checkpoint", "HEAD"),
        ("checkpoint", "read_checkpoint"),
        ("checkpoint", "load_parameters"),
        ("complexity", "complexity"),
        ("predict", "Classifier"),
        ("predict", "Picture"),
        ("training.folders", "read_folder"),
        ("hub.find", "find"),
        ("kernels.library", "set_threads"),
    ],
)
def test_old_names_are_found_in_old_modules(module: str, name: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert getattr(importlib.import_module(f"ghostnet.{module}"), name) is not None


def test_a_name_that_never_was_is_an_attribute_error() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        old = importlib.import_module("ghostnet.transforms")
    with pytest.raises(AttributeError, match=r"ghostnet\.transforms.*'nonsense'"):
        _ = old.nonsense


# The registry --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("ghostnet", "ghostnet_1x"),
        ("GhostNet", "ghostnet_1x"),
        ("ghostnet_100", "ghostnet_1x"),
        ("Ghost-1x", "ghostnet_1x"),
        ("Ghost-1x without SE", "ghostnet_nose_1x"),
        ("GhostNet-600", "ghostnet_600m"),
        ("ghostnet_600m", "ghostnet_600m"),
        ("GHOSTNET_050", "ghostnet_050"),
        ("MobileNetV2-1x", "mobilenet_v2_1x"),
        ("mobilenet_v2_100", "mobilenet_v2_1x"),
    ],
)
def test_a_model_is_found_by_every_name(name: str, expected: str) -> None:
    assert find_model(name).name == expected


def test_no_name_stands_for_two_models() -> None:
    names = [name for entry in MODELS.values() for name in entry.names if name]
    assert len(names) == len(set(names))


def test_models_are_listed_by_pattern() -> None:
    assert ghostnet.list_models() == list(MODELS)
    assert ghostnet.list_models("*nose*") == ["ghostnet_nose_1x"]
    assert ghostnet.list_models("ghostnet_1*") == ["ghostnet_1x", "ghostnet_130"]
    assert "ghostnet_nose_1x" not in ghostnet.list_models(pretrained=True)
    assert ghostnet.list_models("resnet*") == []


def test_registered_weights_have_a_card() -> None:
    for name in ghostnet.list_models(pretrained=True):
        assert MODELS[name].pretrained in shipped_uids()


def test_a_model_is_created_by_name_with_and_without_weights() -> None:
    assert ghostnet.create_model("ghostnet_050", num_classes=7).num_classes == 7
    assert ghostnet.create_model("ghostnet_050").num_classes == 1000
    assert ghostnet.create_model("ghostnet_1x", pretrained=True).num_classes == 1000
    with pytest.warns(UserWarning, match="has to be trained"):
        network = ghostnet.create_model("ghostnet_1x", num_classes=9, pretrained=FLOWERS)
    assert network.num_classes == 9


def test_a_model_that_cannot_be_created_says_why() -> None:
    with pytest.raises(ModelError, match="'resnet50' is not registered"):
        ghostnet.create_model("resnet50")
    with pytest.raises(ModelError, match="ghostnet_nose_1x: expected registered weights"):
        ghostnet.create_model("ghostnet_nose_1x", pretrained=True)
    with pytest.raises(ModelError, match="expected weights of ghostnet_050"):
        ghostnet.create_model("ghostnet_050", pretrained=FLOWERS)


def test_spelling_of_a_name() -> None:
    assert canonical("Ghost-1x without SE") == "ghost_1x_without_se"
