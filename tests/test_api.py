"""The names that users import: and the registry behind them."""

import subprocess
import sys

import mindspore as ms
import numpy as np
import pytest
from bundled_models import FLOWERS

import ghostnet
from ghostnet import ModelError, errors
from ghostnet.hub.catalog import shipped_uids
from ghostnet.models import GHOSTNET_1X, MODELS, find_model
from ghostnet.models.registry import BACKBONE_MODEL, canonical
from ghostnet.training.config import Recipe
from ghostnet.training.run.task import start


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


def test_completion_offers_every_public_name() -> None:
    for module in (ghostnet, ghostnet.hub, ghostnet.kernels):
        assert set(module.__all__) <= set(dir(module))
    assert "__version__" in dir(ghostnet)


def test_every_error_can_be_caught_by_its_name() -> None:
    kinds = {name for name in vars(errors) if name.endswith("Error")}
    assert kinds <= set(ghostnet.__all__)


def test_imports_leave_the_process_as_it_is() -> None:
    program = """
import importlib, logging, pkgutil, sys, warnings
import numpy, PIL.Image, requests, ghostnet
sys.modules |= {"mindspore": None, "torch": None}  # their imports change more than ours
def process():
    return (sys.excepthook, sys.meta_path[:], warnings.filters[:], logging.getLogger().handlers[:],
            sys.modules["numpy"], numpy.geterr(), PIL.Image.MAX_IMAGE_PIXELS)
before = process()
for module in pkgutil.walk_packages(ghostnet.__path__, "ghostnet."):
    if not module.name.endswith("__main__"):
        try:
            importlib.import_module(module.name)
        except (ImportError, ghostnet.PackageError):
            pass
print([(b, a) for b, a in zip(before, process()) if a != b])
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr


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
    with pytest.raises(ModelError, match="ghostnet_nose_1x: no weights are registered"):
        ghostnet.create_model("ghostnet_nose_1x", pretrained=True)
    with pytest.raises(ModelError, match="these are not weights of ghostnet_050"):
        ghostnet.create_model("ghostnet_050", pretrained=FLOWERS)


def test_no_classes_give_the_features() -> None:
    images = ms.Tensor(np.zeros((2, 3, 64, 64), np.float32))
    features = ghostnet.create_model("ghostnet_050", num_classes=0, in_chans=3).set_train(False)
    assert features(images).shape == (2, 1280)


@pytest.mark.parametrize(
    ("arguments", "advice"),
    [
        ({"in_chans": 1}, "repeat a gray channel three times"),
        ({"features_only": True}, "StageFeatures"),
        ({"global_pool": ""}, "StageFeatures"),
        ({"drop_path_rate": 0.1}, "drop_rate sets dropout"),
        ({"act_layer": "gelu"}, "remove act_layer"),
    ],
)
def test_what_only_timm_does_is_refused_with_advice(arguments: dict, advice: str) -> None:
    with pytest.raises(ModelError, match=f"does not support .*{advice}"):
        ghostnet.create_model("ghostnet_050", **arguments)


def test_spelling_of_a_name() -> None:
    assert canonical("Ghost-1x without SE") == "ghost_1x_without_se"


@pytest.mark.parametrize("name", ["ghostnet_100", "GhostNet", "ghostnet-1x"])
def test_an_alias_works_like_the_name(name: str) -> None:
    assert ghostnet.list_models(name) == ["ghostnet_1x"]
    assert ghostnet.create_model(name, num_classes=3).architecture is GHOSTNET_1X
    assert start(Recipe(architecture=name), 3).architecture is GHOSTNET_1X
    opened, expected = ghostnet.open_model(name), ghostnet.open_model(BACKBONE_MODEL)
    assert opened.labels == expected.labels
    for key, array in expected.parameters.items():
        assert opened.parameters[key].tobytes() == array.tobytes()


def test_a_network_without_weights_says_how_to_get_some() -> None:
    with pytest.raises(ModelError, match="ghostnetv2_100: no weights are registered; convert a"):
        ghostnet.open_model("ghostnetv2_100")
