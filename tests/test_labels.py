"""Names of classes: files of labels, models without labels, folders in their place."""

import contextlib
import json
from pathlib import Path
from unicodedata import normalize

import pytest
from bundled_models import FLOWER_LABELS, FLOWERS
from command_line import Ghostnet
from hypothesis import given, settings
from hypothesis import strategies as st
from timm_names import write_flowers
from toy_images import draw

from ghostnet.checkpoints import write_checkpoint
from ghostnet.data.labels import read_labels
from ghostnet.errors import LabelError
from ghostnet.hub import open_model
from ghostnet.hub.card import read_card
from ghostnet.models.specs import network_spec

GERMAN = ("Gänseblümchen", "Löwenzahn", "Rosen", "Sonnenblumen", "Tulpen")


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundled model's checkpoint, without its card."""
    path = tmp_path_factory.mktemp("bare") / "flowers.ckpt"
    write_checkpoint(open_model(FLOWERS).parameters, path)
    return path


@pytest.fixture(scope="module")
def flowers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw(tmp_path_factory.mktemp("flowers") / "images", 2, FLOWER_LABELS)


def labels_file(folder: Path, content: object = GERMAN) -> Path:
    path = folder / "labels.json"
    path.write_text(json.dumps(content))
    return path


# Files --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "content",
    [
        "a\nb b\nc: d\n",
        "a\r\nb b\r\nc: d",
        "\ufeffa\nb b\nc: d\n\n\n",
        '["a", "b b", "c: d"]',
        '\n {"2": "c: d", "0": "a", "1": "b b"}',
        '{"b b": 1, "a": 0, "c: d": 2}',
    ],
)
@pytest.mark.parametrize("name", ["labels.txt", "labels", "labels.names"])
def test_labels_are_lines_or_json(name: str, content: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content.encode())
    assert read_labels(tmp_path / name, 3) == ("a", "b b", "c: d")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a\nb\n", "the number of labels is 2, but the model has 3 classes"),
        (b"", "the number of labels is 0"),
        (b"[]", "the number of labels is 0"),
        (b"a\n\nc\n", "the label of class 1 is ''"),
        (b'["a", 7, "c"]', "the label of class 1 is '7'"),
        (b'["a", " b", "c"]', "the label of class 1 is ' b'"),
        (b'["a", "b\\n", "c"]', "the label of class 1"),
        (b"a\nb\xff\nc\n", "not UTF-8 text"),
        (b'["a", "b"', "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b'{"0": "a", "2": "b", "3": "c"}', "or number them from 0 on"),
        (b'{"a": 0, "b": 0, "c": 1}', "or number them from 0 on"),
        (b'{"a": "b"}', "or number them from 0 on"),
        (b'{"' + b"1" * 5000 + b'": "b"}', "or number them from 0 on"),
    ],
)
def test_what_does_not_name_every_class_is_refused(
    content: bytes, message: str, tmp_path: Path
) -> None:
    path = tmp_path / "labels.txt"
    path.write_bytes(content)
    with pytest.raises(LabelError, match=message) as caught:
        read_labels(path, 3)
    assert len(str(caught.value)) < 400
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none"):
        with pytest.raises(LabelError, match="cannot be read"):
            read_labels(path, 3)


@settings(max_examples=200, deadline=None)
@given(st.one_of(st.binary(max_size=60), st.text(max_size=60).map(str.encode)))
def test_any_file_has_labels_or_our_error(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    path = tmp_path_factory.getbasetemp() / "any labels"
    path.write_bytes(content)
    with contextlib.suppress(LabelError):
        assert len(read_labels(path, 2)) == 2


# Verbs --------------------------------------------------------------------------------------


def test_predict_takes_labels(
    ghostnet: Ghostnet, bare: Path, flowers: Path, tmp_path: Path
) -> None:
    words = ("--labels", labels_file(tmp_path), "--model", bare)
    (answer,) = ghostnet.json("predict", flowers / "roses" / "0.png", "--top-k", 5, *words)
    assert {p["label"]: p["index"] for p in answer["predictions"]} == {
        label: index for index, label in enumerate(GERMAN)
    }


def test_export_takes_labels(ghostnet: Ghostnet, bare: Path, tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx", reason="needs the extra export")
    words = ("--labels", labels_file(tmp_path), "--model", bare)
    ghostnet("export", tmp_path / "x.onnx", *words)
    properties = {p.key: p.value for p in onnx.load(tmp_path / "x.onnx").metadata_props}
    assert json.loads(properties["labels"]) == [*GERMAN]


def test_convert_writes_a_card_with_labels(
    ghostnet: Ghostnet, flowers: Path, tmp_path: Path
) -> None:
    source = write_flowers(tmp_path / "timm.safetensors")
    target = tmp_path / "flowers.ckpt"
    answer = ghostnet.json("convert", source, target, "--labels", labels_file(tmp_path))
    assert answer["card"] == str(tmp_path / "flowers.md")
    card = read_card(answer["card"])
    assert card.labels == GERMAN
    assert card.accuracy is None
    assert card.checkpoint.sha256 == answer["sha256"]
    (prediction,) = ghostnet.json("predict", flowers / "roses" / "0.png", "-m", answer["card"])
    assert prediction["predictions"][0]["label"] in GERMAN


def test_labels_that_do_not_fit_leave_nothing(ghostnet: Ghostnet, tmp_path: Path) -> None:
    source = write_flowers(tmp_path / "timm.safetensors")
    labels = labels_file(tmp_path, ["one"])
    ghostnet("convert", source, tmp_path / "x.ckpt", "--labels", labels, status=1)
    assert "the number of labels is 1, but the model has 5 classes" in ghostnet.err
    assert not (tmp_path / "x.ckpt").exists()
    ghostnet("predict", tmp_path, "--labels", labels, status=1)


def test_eval_takes_labels_in_any_order_and_normal_form(
    ghostnet: Ghostnet, bare: Path, tmp_path: Path
) -> None:
    images = draw(tmp_path / "images", 1, tuple(normalize("NFD", name) for name in GERMAN[1::-1]))
    labels = labels_file(tmp_path, [normalize("NFC", name) for name in GERMAN])
    result = ghostnet.json("eval", images, "--model", bare, "--labels", labels)
    assert result["labels"] == [*GERMAN]
    assert result["images"] == 2
    assert "has no labels" not in ghostnet.err


def test_eval_of_a_bare_checkpoint_takes_the_folders_in_order(
    ghostnet: Ghostnet, bare: Path, flowers: Path
) -> None:
    result = ghostnet.json("eval", flowers, "--model", bare)
    assert "has no labels; the folders stand for its classes" in ghostnet.err
    assert "daisy, dandelion" in ghostnet.err
    assert result == ghostnet.json("eval", flowers, "--model", FLOWERS)
    assert ghostnet.err == ""


def test_eval_of_a_bare_checkpoint_needs_a_folder_for_each_class(
    ghostnet: Ghostnet, bare: Path, tmp_path: Path
) -> None:
    ghostnet("eval", draw(tmp_path / "images", 1), "--model", bare, status=1)
    assert "has 5 classes without labels, and the folder has 3 sub-folders" in ghostnet.err


@pytest.mark.parametrize(
    ("order", "others"),
    [
        (("0", "1", "2", "9", "10"), "MindSpore and MindCV: 0, 1, 10, 2, 9"),
        (("abyssinian", "Bengal", "beagle", "boxer", "pug"), "MindCV: Bengal, abyssinian"),
        (("a1b", "a2", "a10", "b", "c"), "MindCV: a10, a1b, a2"),
    ],
)
def test_eval_asks_for_labels_where_training_tools_sort_differently(
    ghostnet: Ghostnet, bare: Path, tmp_path: Path, order: tuple[str, ...], others: str
) -> None:
    images = draw(tmp_path / "images", 1, order)
    ghostnet("eval", images, "--model", bare, status=1)
    assert others in ghostnet.err
    assert "give the labels in the order of the training with --labels" in ghostnet.err
    labels = labels_file(tmp_path, order)
    result = ghostnet.json("eval", images, "--model", bare, "--labels", labels)
    assert result["labels"] == [*order]


def test_verify_takes_the_folders_in_order(
    ghostnet: Ghostnet, flowers: Path, tmp_path: Path
) -> None:
    source = write_flowers(tmp_path / "timm.safetensors")
    words = (
        "convert",
        source,
        tmp_path / "x.ckpt",
        "--labels",
        labels_file(tmp_path, FLOWER_LABELS),
    )
    card = Path(ghostnet.json(*words)["card"])
    text = card.read_text().replace("accuracy: -", "accuracy: 0.5")
    card.write_text(text)
    named = ghostnet.json("verify", card, "--data", flowers, status=1)
    assert ghostnet.err == ""
    card.write_text("\n".join(line for line in text.split("\n") if "labels:" not in line))
    unnamed = ghostnet.json("verify", card, "--data", flowers, status=1)
    assert "has no labels; the folders stand for its classes" in ghostnet.err
    measured = [
        next(check["measured"] for check in answer["checks"] if check["subject"] == "accuracy")
        for answer in (named, unnamed)
    ]
    assert measured[0] == measured[1]
    ghostnet("verify", card, "--data", draw(tmp_path / "three", 1), status=1)
    assert "has 5 classes without labels" in ghostnet.err


def test_two_classes_of_one_name_are_not_told_apart(
    ghostnet: Ghostnet, bare: Path, flowers: Path, tmp_path: Path
) -> None:
    labels = labels_file(tmp_path, ["roses", *FLOWER_LABELS[1:]])
    words = ("--model", bare, "--labels", labels)
    ghostnet("predict", flowers / "roses" / "0.png", *words)
    ghostnet("eval", flowers, *words, status=1)
    assert "no classes named daisy" in ghostnet.err
    few = draw(tmp_path / "few", 1, ("roses", "tulips"))
    ghostnet("eval", few, *words, status=1)
    assert "several classes labeled roses" in ghostnet.err


def test_errors_list_about_ten_labels(ghostnet: Ghostnet, tmp_path: Path) -> None:
    architecture = open_model(FLOWERS).architecture
    parameters = open_model(FLOWERS).parameters
    shapes = network_spec(architecture, 1000).parameter_shapes()
    wide = {n: (v if v.shape == shapes[n] else v.repeat(200, 0)) for n, v in parameters.items()}
    write_checkpoint(wide, tmp_path / "wide.ckpt")
    labels = labels_file(tmp_path, [f"some long label {index}" for index in range(1000)])
    images = draw(tmp_path / "images", 1, tuple(f"other {index:02}" for index in range(40)))
    ghostnet("eval", images, "-m", tmp_path / "wide.ckpt", "--labels", labels, status=1)
    assert "some long label 9, and 990 more" in ghostnet.err
    assert "other 09, and 30 more" in ghostnet.err
    assert len(ghostnet.err) < 700
