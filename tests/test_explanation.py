"""Explanations: the logits are the network's, and the evidence points at what it is about."""

import io
import itertools
from dataclasses import replace
from pathlib import Path

import mindspore as ms
import numpy as np
import pytest
from bundled_models import BREEDS, FLOWERS
from command_line import Ghostnet
from family import KINDS, tiny
from PIL import Image
from pointing_game import hits
from random_parameters import random_parameters

import ghostnet
from ghostnet.checkpoints import load_parameters
from ghostnet.data.transforms import Preprocess
from ghostnet.errors import ImageError, KernelError
from ghostnet.hub.catalog import assets_folder
from ghostnet.model import Model
from ghostnet.model.evidence import SLOPES, evidence
from ghostnet.model.explanation import Explanation
from ghostnet.model.last_map import ACTIVATIONS, LastMap
from ghostnet.models import Architecture, build_network, find_model

IMAGES = assets_folder() / "images"
CAT = IMAGES / "cat.jpg"

BREED_PHOTOGRAPHS = (
    (IMAGES / "cat.jpg", "Abyssinian"),
    (IMAGES / "kitten.jpg", "Ragdoll"),
    (IMAGES / "longhair_cat.jpg", "Egyptian_Mau"),
    (IMAGES / "pug.jpg", "pug"),
)
FLOWER_PHOTOGRAPHS = (
    (IMAGES / "dandelion.jpg", "dandelion"),
    (IMAGES / "sunflower.jpg", "sunflowers"),
)


def small(name: str) -> Architecture:
    """A tiny network; one without a head classifies what the last layer gives."""
    table = tiny(name)
    is_headless = table.family == "mobilenet_v2"
    return replace(table, head_channels=table.last_channels) if is_headless else table


@pytest.fixture(scope="module")
def model() -> Model:
    return ghostnet.open_model()


@pytest.fixture(scope="module")
def explanation(model: Model) -> Explanation:
    return model.explain(CAT)


# The numbers ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", KINDS)
def test_the_map_leads_to_the_logits_of_the_network(name: str) -> None:
    architecture = small(name)
    parameters = random_parameters(architecture, 7)
    network = build_network(architecture, num_classes=7)
    load_parameters(network, parameters)
    image = np.random.default_rng(3).standard_normal((1, 3, 65, 49), np.float32)
    expected = network.set_train(False)(ms.Tensor(image)).asnumpy()[0]
    found = evidence(LastMap(architecture, parameters), image[0]).logits
    np.testing.assert_allclose(found, expected, atol=1e-4 * np.abs(expected).max())


@pytest.mark.parametrize("name", ["ghostnet_nose_1x", "ghostnet_600m", "mobilenet_v2_1x"])
def test_the_evidence_is_the_gradient(name: str) -> None:
    architecture = small(name)
    last_map = LastMap(architecture, random_parameters(architecture, 7))
    image = np.random.default_rng(4).standard_normal((3, 64, 64), np.float32)
    places = evidence(last_map, image).places
    features = last_map(image).astype(np.float64)

    def logits(change: float) -> np.ndarray:
        """The logits if the map were stronger in its second column, in float64."""
        changed = features.copy()
        changed[:, :, 1] *= 1 + change
        x = changed.mean((1, 2))
        if head := last_map.spec.head:
            layer = last_map.layers[head.name]
            x = ACTIVATIONS[head.activation](layer.matrix.astype(float) @ x + layer.bias)
        layer = last_map.layers[last_map.spec.classifier.name]
        return layer.matrix.astype(float) @ x + layer.bias

    slope = (logits(1e-4) - logits(-1e-4)) / 2e-4
    np.testing.assert_allclose(places[:, :, 1].sum(1), slope, atol=2e-3 * np.abs(slope).max())


def test_behind_relu_the_logit_is_the_evidence_and_a_constant(model: Model) -> None:
    """Halving what every place adds leaves the active units as they are, and half the evidence."""
    last_map = model._last_map
    image = model.preprocess(model.preprocess.decode(CAT))
    whole = evidence(last_map, image)
    head, classifier = (last_map.layers[name] for name in ("conv_head", "classifier"))
    active = head.matrix @ last_map(image).mean((1, 2)) + head.bias > 0
    constant = classifier.matrix @ (active * head.bias) + classifier.bias
    np.testing.assert_allclose(whole.places.sum((1, 2)) + constant, whole.logits, atol=1e-4)


@pytest.mark.parametrize("activation", [name for name in ACTIVATIONS if name])
def test_slopes_are_derivatives(activation: str) -> None:
    x = np.linspace(-8, 8, 97, dtype=np.float32) + 0.03
    apply = ACTIVATIONS[activation]
    expected = (apply(x + 0.01) - apply(x - 0.01)) / 0.02
    np.testing.assert_allclose(SLOPES[activation](x), expected, atol=2e-3)


def test_a_network_that_rounds_its_inputs_is_refused() -> None:
    architecture = find_model("ghostnet_int8_1x").architecture
    with pytest.raises(KernelError, match="on 8 bits cannot be explained"):
        LastMap(architecture, {})


# The pointing game ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("uid", "photographs"), [(BREEDS, BREED_PHOTOGRAPHS), (FLOWERS, FLOWER_PHOTOGRAPHS)]
)
def test_the_model_points_at_the_photograph_of_the_class(
    uid: str, photographs: tuple[tuple[Path, str], ...]
) -> None:
    pairs = [*itertools.pairwise(photographs)]
    found = hits(ghostnet.open_model(uid), [*pairs, (pairs[0][1], pairs[0][0])])
    assert all(found), found


# In Python ------------------------------------------------------------------------------------


def test_an_explanation_has_the_labels_of_predict(model: Model, explanation: Explanation) -> None:
    predicted = model.predict(CAT)
    assert explanation.result.logits == pytest.approx(predicted.logits, abs=1e-3)
    assert explanation.predictions == tuple(explanation.result.top(3))
    assert [one.label for one in explanation.predictions] == [one.label for one in predicted.top(3)]
    assert explanation.evidence.shape == (3, 7, 7)
    assert "Abyssinian 72.1%" in repr(explanation)


def test_heat_covers_what_the_network_saw(model: Model, explanation: Explanation) -> None:
    heat = explanation.heat(0)
    assert heat.shape == (224, 224)
    assert (heat.min(), heat.max()) == (0, 1)
    column, row = explanation.peak(0)
    assert heat[row, column] == 1
    seen = np.asarray(explanation.seen)
    assert (seen == np.asarray(model.preprocess.crop(model.preprocess.decode(CAT)))).all()


def test_a_label_that_nothing_speaks_for_has_no_heat(explanation: Explanation) -> None:
    against = Explanation(
        explanation.result, explanation.seen, explanation.predictions, -np.ones((3, 7, 7), "f4")
    )
    assert not against.heat(1).any()
    assert against.plot().size == explanation.plot().size


def test_any_image_can_be_explained(model: Model, explanation: Explanation) -> None:
    with Image.open(CAT) as image:
        for source in (CAT.read_bytes(), image, np.asarray(image)):
            found = model.explain(source, count=1)
            assert found.predictions[0].label == "Abyssinian"
    normalized = model.preprocess(model.preprocess.decode(CAT))
    found = model.explain(normalized, count=3)
    assert (np.asarray(found.seen) == np.asarray(explanation.seen)).all()


@pytest.mark.parametrize("image", [IMAGES, [CAT, CAT], b"broken", "none.jpg"])
def test_what_is_not_one_image_is_an_error(image: object, model: Model) -> None:
    with pytest.raises(ImageError):
        model.explain(image)


def test_the_plot_shows_the_image_and_a_panel_for_each_label(explanation: Explanation) -> None:
    plot = np.asarray(explanation.plot()).astype(int)
    height, width, _ = plot.shape
    assert width > 3.9 * height * 0.8
    first = Image.fromarray(plot[12:332, 12:332].astype(np.uint8)).resize((224, 224))
    assert np.abs(np.asarray(first).astype(int) - np.asarray(explanation.seen)).mean() < 6
    with Image.open(io.BytesIO(explanation._repr_png_())) as shown:
        assert shown.size == (width, height)


# The command ----------------------------------------------------------------------------------


def test_the_command_writes_a_plot(ghostnet: Ghostnet, tmp_path: Path) -> None:
    out = tmp_path / "new" / "why.png"
    answer = ghostnet.json("explain", CAT, "--out", out, "--top-k", 2)
    assert answer["file"] == str(CAT)
    assert answer["plot"] == str(out)
    assert [one["label"] for one in answer["predictions"]] == ["Abyssinian", "Bengal"]
    assert answer["seen"] == [224, 224]
    assert all(0 <= place < 224 for one in answer["predictions"] for place in one["peak"])
    with Image.open(out) as plot:
        assert plot.format == "PNG"
    assert "Abyssinian" in ghostnet("explain", CAT, "--out", out)


def test_the_command_refuses_what_it_cannot_do(ghostnet: Ghostnet, tmp_path: Path) -> None:
    own = tmp_path / "cat.jpg"
    own.write_bytes(CAT.read_bytes())
    ghostnet("explain", own, "--out", own, status=2)
    assert own.read_bytes() == CAT.read_bytes()
    ghostnet("explain", CAT, "--out", tmp_path / "why.gif", status=1)
    assert "use one of .jpeg, .jpg, .png, .webp" in ghostnet.err
    ghostnet("explain", IMAGES, "--out", tmp_path / "why.png", status=1)
    assert not (tmp_path / "why.png").exists()


def test_a_preprocessed_size_of_another_network_works() -> None:
    architecture = tiny("ghostnet_nose_1x")
    parameters = random_parameters(architecture, 4)
    model = Model("tiny", architecture, parameters, tuple("abcd"), Preprocess(96))
    explanation = model.explain(CAT, count=9)
    assert len(explanation.predictions) == 4
    assert explanation.evidence.shape == (4, 12, 12)
