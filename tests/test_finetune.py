"""`ghostnet finetune`: a folder of images in, a model for its classes out."""

from dataclasses import replace
from pathlib import Path

import mindspore as ms
import numpy as np
import pytest
from bundled_models import FLOWERS
from command_line import Ghostnet
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from random_parameters import random_parameters
from schedule import at_night
from toy_images import draw

import ghostnet.hub as mshub
from ghostnet.checkpoints import classifier_names, write_checkpoint
from ghostnet.data.image_folder import ImageFolder
from ghostnet.data.labels import check_labels
from ghostnet.data.split import hold_out, read_split
from ghostnet.data.transforms import Preprocess, decode
from ghostnet.errors import CheckpointError, DatasetError
from ghostnet.files import sha256_of
from ghostnet.hub import open_model
from ghostnet.hub.card import read_card
from ghostnet.model import Model
from ghostnet.model.evaluation import tally
from ghostnet.models import find_model
from ghostnet.models.network import HeadFeatures
from ghostnet.training.augment import Augment, random_box
from ghostnet.training.head.feature_cache import FeatureCache
from ghostnet.training.head.features import View, extract
from ghostnet.training.head.finetune import finetune_head
from ghostnet.training.head.logistic_regression import Samples, choose_penalty, fit
from ghostnet.training.model_card import Origin, write_model


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache for each test."""
    monkeypatch.setenv("GHOSTNET_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture(scope="session")
def small_card(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The card of a small network with random weights, for images of 32×32."""
    architecture = find_model("ghostnet_050").architecture
    labels = tuple("abcdefg")
    parameters = random_parameters(architecture, len(labels))
    model = Model("small", architecture, parameters, labels, Preprocess(32))
    nothing = tally(labels, np.zeros(1, np.int64), np.zeros((1, 7), np.float32))
    origin = Origin("ghostnet test", "nothing", 0, "CPU")
    return write_model(model, nothing, origin, tmp_path_factory.mktemp("small"))


@pytest.fixture
def small(small_card: Path) -> Model:
    return open_model(small_card)


def test_a_folder_becomes_a_model(ghostnet: Ghostnet, small_card: Path, tmp_path: Path) -> None:
    images = draw(tmp_path / "images")
    val = draw(tmp_path / "val", 3, ("Green", "rot"))
    out = tmp_path / "my model"
    answer = ghostnet.json(
        "finetune", images, "--out", out, "--model", small_card, "--val", val, "--views", 2
    )
    assert answer["card"] == str(out / "card.md")
    assert answer["labels"] == ["blue one", "Green", "rot"]
    assert (answer["images"], answer["top1"]) == (6, 1.0)

    (prediction,) = ghostnet.json("predict", val / "rot" / "0.png", "--model", out / "card.md")
    assert prediction["predictions"][0]["label"] == "rot"
    evaluation = ghostnet.json("eval", val, "--model", out / "card.md")
    assert evaluation["confusion"] == answer["confusion"]
    network = mshub.load(out / "card.md").set_train(False)
    image = Preprocess(32)(decode(val / "Green" / "0.png"))
    assert network(ms.Tensor(image[None])).asnumpy().argmax() == 1


@pytest.mark.nightly
def test_the_table_names_card_and_accuracy(
    ghostnet: Ghostnet, small_card: Path, tmp_path: Path
) -> None:
    images = draw(tmp_path / "images")
    out = ghostnet("finetune", images, "--out", tmp_path / "out", "--model", small_card)
    assert "100.00% (3 of 3 held-out images)" in out
    assert "15 images" in out
    assert f"ghostnet predict --model {tmp_path / 'out' / 'card.md'}" in out.replace("\n", "")


def test_the_card_tells_what_the_hub_client_asks_for(
    ghostnet: Ghostnet, small_card: Path, tmp_path: Path
) -> None:
    images = draw(tmp_path / "images")
    ghostnet("finetune", images, "--out", tmp_path / "out", "--model", small_card)
    card = read_card(tmp_path / "out" / "card.md")
    assert card.labels == ("blue one", "Green", "rot")
    assert card.accuracy == 1.0
    assert card.input_shape == (32, 32, 3)
    assert card.claims[0].figure("GhostNet_050", "Accuracy (Top1)") == 100
    assert card.checkpoint.sha256 == sha256_of(tmp_path / "out" / "ghostnet.ckpt")
    lines = (tmp_path / "out" / "card.md").read_text().splitlines()
    assert sum(line.startswith("---") for line in lines) == 2
    assert f"ghostnet finetune {images} --out {tmp_path / 'out'} --model {small_card}" in lines
    front = lines[lines.index("---") + 1 : -lines[::-1].index("---") - 1]
    fields = dict(line.split(": ", 1) for line in front if ": " in line and line[0] != " ")
    assert not [name for name, text in fields.items() if ":" in text and name != "repo-link"]
    required = "user-id used-for license summary update-time mindspore-version model-version"
    assert set(required.split()) < set(fields)


def test_the_same_images_give_the_same_checkpoint(
    small_card: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train, held_out = read_split(draw(tmp_path / "images"), 0.3)
    weights = []
    for cache_dir in (tmp_path / "a", tmp_path / "b", tmp_path / "b"):
        model = open_model(small_card)
        finetune_head(model, train, held_out, views=2, cache_dir=cache_dir)
        weights.append(model.network.classifier.weight.asnumpy())
    np.testing.assert_array_equal(weights[0], weights[1])
    np.testing.assert_array_equal(weights[1], weights[2])


@pytest.mark.parametrize(
    ("arrange", "message"),
    [
        (lambda root: draw(root, 2, ("rot",)), "there is only rot"),
        (lambda root: (draw(root, 2) / "empty").mkdir(), "no images in empty"),
        (lambda root: draw(root, 1), "two images"),
        (lambda root: (draw(root, 2) / "rot").rename(root / "r:t"), "class names 'r:t', which"),
        (lambda root: None, "is not a folder; name one with a sub-folder for each class"),
    ],
)
def test_what_cannot_be_learnt_is_said_before_any_work(
    arrange, message: str, ghostnet: Ghostnet, tmp_path: Path
) -> None:
    arrange(tmp_path / "images")
    answer = ghostnet.json(
        "finetune",
        tmp_path / "images",
        "--out",
        tmp_path / "out",
        "--model",
        "no/1/one",
        status=1,
    )  # the model would be an error too, but is not looked for
    assert message in answer["error"]
    assert not (tmp_path / "out").exists()


def test_a_class_to_measure_that_was_not_learnt_is_an_error(tmp_path: Path) -> None:
    train = draw(tmp_path / "train", 2, ("rot", "Green"))
    val = draw(tmp_path / "val", 2)
    with pytest.raises(DatasetError, match=r"no classes named blue one; it has Green, rot"):
        read_split(train, val)


def test_a_fraction_is_between_0_and_1(ghostnet: Ghostnet, tmp_path: Path) -> None:
    ghostnet("finetune", draw(tmp_path / "p"), "--out", tmp_path, "--val", "1.5", status=2)
    assert "fraction between 0 and 1" in ghostnet.err


def test_broken_images_are_listed_and_skipped(
    ghostnet: Ghostnet, small_card: Path, tmp_path: Path
) -> None:
    images = draw(tmp_path / "images")
    (images / "rot" / "3.png").write_bytes(b"no image")
    words = ("finetune", images, "--out", tmp_path / "out", "--model", small_card)
    answer = ghostnet.json(*words)
    assert [Path(entry["file"]).name for entry in answer["skipped"]] == ["3.png"]
    assert answer["train_images"] + answer["images"] == 17
    assert "3.png: not an image" in ghostnet(*words).replace("\n", "")


def test_too_many_broken_images_stop_the_work(small: Model, tmp_path: Path) -> None:
    images = draw(tmp_path / "images")
    for index in range(3):
        (images / "rot" / f"{index}.png").write_bytes(b"no image")
    with pytest.raises(DatasetError, match=r"3 of 18 images are broken(.|\n)*0\.png"):
        finetune_head(small, *read_split(images, 0.2))


def test_a_class_with_nothing_but_broken_images_is_an_error(small: Model, tmp_path: Path) -> None:
    images = draw(tmp_path / "images", 12, ("Green", "rot"))
    (images / "broken").mkdir()
    (images / "broken" / "0.png").write_bytes(b"no image")
    with pytest.raises(DatasetError, match="no image in broken can be read"):
        finetune_head(small, *read_split(images, 0.2))


def test_real_flowers_from_the_bundled_model(shared: Path, tmp_path: Path) -> None:
    for folder in sorted((shared / "data/flowers/train").iterdir()):
        (tmp_path / "images" / folder.name).mkdir(parents=True)
        for file in sorted(folder.glob("*.jpg"))[:12]:
            (tmp_path / "images" / folder.name / file.name).symlink_to(file)
    tuned = finetune_head(open_model(FLOWERS), *read_split(tmp_path / "images", 0.25))
    assert tuned.evaluation.images == 15
    assert tuned.evaluation.correct >= 12


def test_nothing_but_broken_images_to_measure_with_is_an_error(
    small: Model, tmp_path: Path
) -> None:
    images = draw(tmp_path / "images")
    (tmp_path / "val" / "rot").mkdir(parents=True)
    (tmp_path / "val" / "rot" / "0.png").write_bytes(b"no image")
    with pytest.raises(DatasetError, match="no held-out image can be read"):
        finetune_head(small, *read_split(images, tmp_path / "val"))


# Features -----------------------------------------------------------------------------------


def test_features_are_those_that_the_classifier_sees(small: Model, tmp_path: Path) -> None:
    (file, *_) = draw(tmp_path / "images").rglob("*.png")
    found, broken = extract(small, [View(file)])
    image = ms.Tensor(small.preprocess(decode(file))[None])
    ms.set_context(mode=ms.GRAPH_MODE)  # as the commands do
    expected = HeadFeatures(small.network)(image).asnumpy()[0]
    np.testing.assert_allclose(found[View(file)], expected, rtol=1e-4, atol=1e-5)
    assert not broken


def test_cached_features_are_used_until_image_view_size_or_weights_change(
    small: Model, small_card: Path, tmp_path: Path, cache: Path
) -> None:
    (file, *_) = draw(tmp_path / "images").rglob("*.png")
    extract(small, [View(file)])
    (path,) = (cache / "features").iterdir()
    kept = FeatureCache(path.parent, path.stem, small.network.num_features)
    kept.write({key: np.full_like(features, 3) for key, features in kept.read().items()})

    def from_cache(model: Model, view: View) -> bool:
        return bool((extract(model, [view])[0][view] == 3).all())

    assert from_cache(small, View(file))
    assert from_cache(open_model(small_card), View(file))
    assert not from_cache(small, View(file, 1))
    assert not from_cache(replace(small, preprocess=Preprocess(64)), View(file))
    classifier = {"classifier.bias": small.parameters["classifier.bias"] + 1}
    assert from_cache(replace(small, parameters=small.parameters | classifier), View(file))
    head = {"conv_head.bias": small.parameters["conv_head.bias"] + 1}
    assert not from_cache(replace(small, parameters=small.parameters | head), View(file))
    renamed = file.rename(file.with_name("renamed.png"))
    assert from_cache(open_model(small_card), View(renamed))
    renamed.write_bytes(renamed.read_bytes() + b" ")
    assert not from_cache(open_model(small_card), View(renamed))


# The classifier -----------------------------------------------------------------------------


def blobs(count: int, seed: int, spread: float = 1.0) -> Samples:
    generator = np.random.default_rng(seed)
    classes = generator.integers(0, 3, count)
    centers = np.array([[4, 0, 9, 0.1], [0, 4, 9, 0.1], [0, 0, 9, 0.2]])
    noise = generator.normal(size=(count, 4)) * spread * [1, 1, 3, 0.01]
    return Samples((centers[classes] + noise).astype(np.float32), classes)


def test_the_head_learns_what_can_be_told_apart() -> None:
    train, other = blobs(300, 1), blobs(300, 2)
    head = fit(train, 3, choose_penalty(train, other, 3))
    assert (head.logits(other.features).argmax(1) == other.targets).mean() > 0.9


def test_more_noise_is_answered_by_more_penalty() -> None:
    chosen = [
        choose_penalty(blobs(30, 1, spread), blobs(300, 2, spread), 3)
        for spread in (0.5, 3.0, 12.0)
    ]
    assert chosen == sorted(chosen)
    assert chosen[0] < chosen[-1]


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([1e-3, 1e-1, 1.0]))
def test_no_step_away_from_the_head_lowers_its_loss(seed: int, penalty: float) -> None:
    train = blobs(60, seed)
    deviation = train.features.std(axis=0).mean()
    head = fit(train, 3, penalty)

    def loss(weights: np.ndarray, bias: np.ndarray) -> float:
        logits = train.features.astype(np.float64) @ weights.T + bias
        shares = np.exp(logits - logits.max(1, keepdims=True))
        shares /= shares.sum(1, keepdims=True)
        fitting = -np.log(shares[np.arange(60), train.targets]).mean()
        return fitting + penalty / 2 * ((weights * deviation) ** 2).sum()

    least = loss(head.weight.astype(np.float64), head.bias.astype(np.float64))
    generator = np.random.default_rng(seed)
    for _ in range(10):
        step = generator.normal(size=(3, 5)) * 0.01
        assert loss(head.weight + step[:, :4] / deviation, head.bias + step[:, 4]) > least - 1e-6


def test_a_feature_that_never_changes_does_no_harm() -> None:
    features = np.zeros((4, 3), np.float32)
    features[:, 0] = [1, 2, 8, 9]
    head = fit(Samples(features, np.array([0, 0, 1, 1])), 2, 0.01)
    assert head.logits(features).argmax(1).tolist() == [0, 0, 1, 1]
    constant = fit(Samples(np.ones((4, 3), np.float32), np.array([0, 1, 1, 1])), 2, 0.01)
    assert np.isfinite(constant.logits(features)).all()


# Splitting, labels, views -------------------------------------------------------------------


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(1, 30), min_size=1, max_size=5), st.floats(0.01, 0.99))
def test_a_part_of_every_class_is_held_out(counts: list[int], fraction: float) -> None:
    files = [(Path(f"{i}/{n}"), i) for i, count in enumerate(counts) for n in range(count)]
    folder = ImageFolder(tuple(map(str, range(len(counts)))), tuple(files))
    kept, held = hold_out(folder, fraction)
    assert sorted(kept.files + held.files) == sorted(files)
    assert hold_out(folder, fraction) == (kept, held)
    for index, count in enumerate(counts):
        share = sum(truth == index for _, truth in held.files)
        assert (share >= 1) == (count > 1)
        assert share < count


@pytest.mark.parametrize("name", ["a:b", "a\nb", " a", "a ", "\udce4", "a\x7f", "\u2028"])
def test_labels_that_no_card_can_hold_are_refused(name: str) -> None:
    with pytest.raises(DatasetError, match="rename the folders"):
        check_labels(("fine", name))


def test_more_labels_than_fit_on_a_card_are_refused() -> None:
    with pytest.raises(DatasetError, match="shorten"):
        check_labels(tuple(f"a fairly long class name {index}" for index in range(30_000)))


def test_thousands_of_classes_fit_on_a_card(small: Model, tmp_path: Path) -> None:
    labels = tuple(f"a fairly long class name {index}" for index in range(3000))
    check_labels(labels)
    parameters = random_parameters(small.architecture, len(labels))
    model = replace(small, labels=labels, parameters=parameters)
    nothing = tally(labels, np.zeros(1, np.int64), np.eye(1, len(labels)))
    assert (
        read_card(write_model(model, nothing, Origin("x", "y", 0, "CPU"), tmp_path)).labels
        == labels
    )


@pytest.mark.parametrize("head", ["none", *at_night("another name", "another width", "no bias")])
def test_a_checkpoint_needs_no_classifier_to_be_tuned(
    ghostnet: Ghostnet, small: Model, tmp_path: Path, head: str
) -> None:
    weight, bias = classifier_names(small.architecture)
    parameters = dict(small.parameters)
    kept = {weight: parameters.pop(weight), bias: parameters.pop(bias)}
    if head == "another name":
        parameters |= {f"classifier.1.{n.split('.')[-1]}": array for n, array in kept.items()}
    elif head == "another width":
        parameters |= {weight: np.zeros((3, 7), np.float32), bias: kept[bias]}
    elif head == "no bias":
        parameters |= {weight: kept[weight]}
    write_checkpoint(parameters, tmp_path / "backbone.ckpt")
    with pytest.raises(CheckpointError):
        open_model(tmp_path / "backbone.ckpt")
    images = draw(tmp_path / "images")
    words = ("--model", tmp_path / "backbone.ckpt", "--out", tmp_path / "out")
    assert ghostnet.json("finetune", images, *words)["labels"] == ["blue one", "Green", "rot"]


@settings(max_examples=30, deadline=None)
@given(st.lists(st.text(min_size=1, max_size=12), min_size=2, max_size=6, unique=True))
def test_labels_that_are_accepted_come_back_from_the_card(
    small_card: Path, tmp_path_factory: pytest.TempPathFactory, labels: list[str]
) -> None:
    try:
        check_labels(tuple(labels))
    except DatasetError:
        return
    out = tmp_path_factory.mktemp("labels")
    nothing = tally(tuple(labels), np.zeros(1, np.int64), np.eye(1, len(labels)))
    model = replace(open_model(small_card), labels=tuple(labels))
    card = write_model(model, nothing, Origin("ghostnet", "x", 0, "CPU"), out)
    assert read_card(card).labels == tuple(labels)


@settings(max_examples=200, deadline=None)
@given(
    st.tuples(st.integers(1, 5000), st.integers(1, 5000)),
    st.floats(0.01, 1),
    st.integers(0, 2**32),
)
def test_random_boxes_lie_in_the_image(size: tuple[int, int], smallest: float, seed: int) -> None:
    left, top, right, bottom = random_box(size, (smallest, 1), np.random.default_rng(seed))
    assert 0 <= left < right <= size[0]
    assert 0 <= top < bottom <= size[1]


def test_augmentation_depends_on_image_and_generator_alone() -> None:
    noise = np.random.default_rng(0).integers(0, 255, (50, 60, 3), dtype=np.uint8)
    image = Image.fromarray(noise)
    augment = Augment(32, color_jitter=0.4)
    first, again, other = (augment(image, np.random.default_rng(seed)) for seed in (5, 5, 6))
    assert first.shape == (3, 32, 32)
    assert first.dtype == np.float32
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_flip_mirrors() -> None:
    image = Image.fromarray(np.arange(32 * 32 * 3, dtype=np.uint8).reshape(32, 32, 3))
    plain, flipped = (
        Augment(32, smallest_crop=1.0, flip=flip)(image, np.random.default_rng(0))
        for flip in (0, 1)
    )
    np.testing.assert_array_equal(plain[:, :, ::-1], flipped)


@pytest.mark.parametrize("mode", ["head", "full"])
def test_a_training_run_is_not_overwritten(ghostnet: Ghostnet, tmp_path: Path, mode: str) -> None:
    out = tmp_path / "run"
    out.mkdir()
    (out / "state.ckpt").write_bytes(b"all of a run")
    images = draw(tmp_path / "images")
    answer = ghostnet.json("finetune", images, "--out", out, "--mode", mode, status=1)
    assert f"{out} holds a training run" in answer["error"]
    assert [file.name for file in out.iterdir()] == ["state.ckpt"]
