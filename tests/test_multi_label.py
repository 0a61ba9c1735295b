"""`--multi-label`: images with several labels each, or none."""

import csv
import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import mindspore as ms
import numpy as np
import pytest
from collages import IMAGES, PHOTOGRAPHS, draw_collages
from command_line import Ghostnet
from hypothesis import given, settings
from hypothesis import strategies as st
from interruption import interrupt_at
from mindspore import Tensor, nn
from model_server import ModelServer
from tiny_network import TINY_MODEL
from toy_images import draw

from ghostnet import open_model
from ghostnet.checkpoints import read_checkpoint
from ghostnet.data.label_table import LabelTable
from ghostnet.data.left_out import LeftOut
from ghostnet.data.multi_label import labels_of, multi_label_folder
from ghostnet.data.split import hold_out, read_measured, read_split
from ghostnet.errors import CardError, DatasetError, TrainingError
from ghostnet.export.metadata import Metadata
from ghostnet.hub.card import read_card
from ghostnet.inference.provenance import Provenance
from ghostnet.model.label_evaluation import average_precision, choose_thresholds
from ghostnet.models import MODELS
from ghostnet.training.class_balance import label_weights
from ghostnet.training.config import TrainingConfig, check
from ghostnet.training.head.finetune import finetune_head
from ghostnet.training.head.logistic_regression import Samples, choose_penalty, fit
from ghostnet.training.run import loop
from ghostnet.training.run.step import LossCell
from ghostnet.training.source import FolderSource
from ghostnet.training.targets import UNLABELED, Targets

LABELS = {"a.png": {"red", "big"}, "b.png": {"big"}, "c.png": {"red", "round"}}
"""Labels of images that a table names."""


# Tables --------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Images with the names of `LABELS`, and one more."""
    colors = draw(tmp_path / "colors", 4, ("images",))
    for file, name in zip(sorted(colors.rglob("*.png")), [*LABELS, "d.png"], strict=True):
        file.rename(file.with_name(name))
    return colors / "images"


def joined(mark: str) -> Callable[[], str]:
    def text() -> str:
        cells = "".join(f'{name}\t"{mark.join(sorted(own))}"\n' for name, own in LABELS.items())
        return f"image\ttags\n{cells}"

    return text


def rows() -> str:
    pairs = ((name, label) for name, own in LABELS.items() for label in sorted(own))
    return "image,label\n" + "".join(f"{name},{label}\n" for name, label in pairs)


def one_hot() -> str:
    names = ("big", "red", "round")
    lines = (
        f"{name},{','.join(str(int(label in own)) for label in names)},7\n"
        for name, own in LABELS.items()
    )
    return f"image,{','.join(names)},width\n" + "".join(lines)


def lists() -> str:
    lines = ({"image": name, "labels": sorted(own)} for name, own in LABELS.items())
    return "".join(json.dumps(line) + "\n" for line in lines)


def flags() -> str:
    lines = (
        {"image": name, **{label: label in own for label in ("big", "red", "round")}}
        for name, own in LABELS.items()
    )
    return "".join(json.dumps(line) + "\n" for line in lines)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        *((f"{mark!r}.csv", joined(mark)) for mark in (" ", "|", ";", ", ")),
        ("rows.csv", rows),
        ("one-hot.csv", one_hot),
        ("lists.jsonl", lists),
        ("flags.jsonl", flags),
    ],
)
def test_a_table_names_several_labels_in_any_of_its_usual_forms(
    folder: Path, tmp_path: Path, name: str, text: Callable[[], str]
) -> None:
    table = tmp_path / name.replace("|", "bar")
    table.write_text(text())
    found = read_measured(folder, LabelTable(table), multi_label=True)
    assert found.classes == ("big", "red", "round")
    assert {file.name: {*own} for file, own in labels_of(found).items()} == LABELS
    assert found.left_out.counts == {f"not listed in {table.name}": 1}


def test_what_does_not_fit_is_counted_and_zeros_are_no_label(folder: Path, tmp_path: Path) -> None:
    table = tmp_path / "t.csv"
    table.write_text("image,big,red\na.png,1,1\na.png,1,1\nb.png,0,0\nc.png,0,1\nmissing.png,1,0\n")
    found = read_measured(folder, LabelTable(table), multi_label=True)
    named = {file.name: {*own} for file, own in labels_of(found).items()}
    assert named == {"a.png": {"big", "red"}, "b.png": set(), "c.png": {"red"}}
    assert found.left_out.counts == {
        "listed again in t.csv": 1,
        "in t.csv, but not in the folder": 1,
        "not listed in t.csv": 1,
    }
    table.write_text("image,label\na.png,big red\nb.png,\nc.png,red\nc.png,red\n")
    found = read_measured(folder, LabelTable(table), multi_label=True)
    assert found.classes == ("big", "red")
    assert found.left_out.counts == {
        "without a class": 1,
        "listed again in t.csv": 1,
        "not listed in t.csv": 2,
    }


def test_a_separator_is_what_the_user_says(folder: Path, tmp_path: Path) -> None:
    table = tmp_path / "t.csv"
    table.write_text('image,label\na.png,"cat, black/big"\nb.png,big\nc.png,"cat, black"\n')
    found = read_measured(folder, LabelTable(table, label_separator="/"), multi_label=True)
    assert found.classes == ("big", "cat, black")
    table.write_text("image,label\na.png,big dog\na.png,red\nb.png,big dog\n")
    assert read_measured(folder, LabelTable(table), multi_label=True).classes == ("big dog", "red")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("image,width\na.png,7\nb.png,1\n", "neither a column of labels nor columns of ones"),
        ("image,big\na.png,1\nb.png,1\n", "all images have the same labels"),
        (
            "image,label,fold\na.png,x,train\nb.png,y,train\nc.png,z,val\n",
            "no training image has z",
        ),
        ("image,label,fold\na.png,x,train\na.png,y,val\nb.png,x,train\n", "no row|same labels"),
    ],
)
def test_a_table_that_teaches_nothing_is_an_error(
    folder: Path, tmp_path: Path, text: str, message: str
) -> None:
    (tmp_path / "t.csv").write_text(text)
    table = LabelTable(tmp_path / "t.csv", split_column="fold" if "fold" in text else None)
    with pytest.raises(DatasetError, match=message):
        read_split(folder, None, table, multi_label=True)


def test_copies_in_several_folders_have_the_labels_of_all(tmp_path: Path) -> None:
    images = draw(tmp_path / "train", 4, ("cat", "dog"))
    (images / "black").mkdir()
    for file in ("cat/0.png", "cat/1.png", "dog/2.png"):
        shutil.copy(images / file, images / "black" / file.replace("/", "_"))
    train, held_out = read_split(images, 0.25, multi_label=True)
    counts = Counter(frozenset(own) for own in labels_of(train).values())
    counts.update(frozenset(own) for own in labels_of(held_out).values())
    assert counts == {
        frozenset({"cat"}): 2,
        frozenset({"dog"}): 3,
        frozenset({"cat", "black"}): 2,
        frozenset({"dog", "black"}): 1,
    }
    other = draw(tmp_path / "val", 3, ("dog",))
    train, held_out = read_split(images, other, multi_label=True)
    assert train.combinations == held_out.combinations
    assert {*labels_of(held_out).values()} == {frozenset({"dog"})}


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.frozensets(st.sampled_from("abcdef")), min_size=2, max_size=40),
    st.floats(0.05, 0.95),
)
def test_each_label_keeps_an_image_and_gives_its_share(
    sets: list[frozenset[str]], fraction: float
) -> None:
    named = {Path(f"no such image {number}"): own for number, own in enumerate(sets)}
    classes = sorted(frozenset().union(*sets))
    whole = multi_label_folder(classes, named, LeftOut())
    kept, held = hold_out(whole, fraction)
    assert sorted(kept.files + held.files) == sorted(whole.files)
    assert kept.without_images == whole.without_images
    assert hold_out(whole, fraction) == (kept, held)
    if len({*named}) > 1 and any(count > 1 for count in Counter(sets).values()):
        assert held.files


# Measures ------------------------------------------------------------------------------------

SCORES = st.lists(st.tuples(st.booleans(), st.integers(-3, 3)), min_size=1, max_size=30).filter(
    lambda pairs: any(truth for truth, _ in pairs)
)


@given(SCORES)
def test_average_precision_is_that_of_its_definition(pairs: list[tuple[bool, int]]) -> None:
    truths, scores = (np.array(column) for column in zip(*pairs, strict=True))
    precisions = [truths[scores >= score].mean() for score in scores[truths]]
    assert average_precision(truths, scores) == pytest.approx(np.mean(precisions))


@given(SCORES)
def test_no_other_threshold_has_a_better_f1(pairs: list[tuple[bool, int]]) -> None:
    truths, logits = (np.array(column) for column in zip(*pairs, strict=True))
    (threshold,) = choose_thresholds(truths[:, None], logits[:, None].astype(np.float32))
    probabilities = 1 / (1 + np.exp(-logits))

    def f1(limit: float) -> float:
        given_ones = probabilities >= limit
        return 2 * (given_ones & truths).sum() / (given_ones.sum() + truths.sum())

    assert 0 < threshold < 1
    assert f1(threshold) == pytest.approx(max(map(f1, probabilities)))


def test_a_threshold_is_one_half_where_nothing_speaks_against_it() -> None:
    truths = np.array([[True, False], [False, False]])
    assert choose_thresholds(truths, np.float32([[2, 1], [-2, 0]])) == (0.5, 0.5)


# Losses --------------------------------------------------------------------------------------


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_the_loss_is_the_cross_entropy_of_yes_and_no(smoothing: float) -> None:
    generator = np.random.default_rng(0)
    logits = generator.normal(scale=5, size=(4, 3)).astype(np.float32)
    logits[0] = 0  # where the slope has to be right, too
    combinations = ((), (0,), (0, 2), (1,))
    indices = np.array([2, 0, 1, UNLABELED])
    shares = Targets(indices, 3, combinations, smoothing=smoothing)(indices)
    loss = LossCell(nn.Identity(), multi_label=True)
    value, slopes = ms.value_and_grad(loss)(Tensor(logits), Tensor(shares))
    truths = np.array([[1, 0, 1], [0, 0, 0], [1, 0, 0]]) * (1 - smoothing) + smoothing / 3
    shown = 1 / (1 + np.exp(-logits[:3].astype(np.float64)))
    expected = -(truths * np.log(shown) + (1 - truths) * np.log(1 - shown)).sum() / 4
    assert float(value) == pytest.approx(expected, rel=1e-5)
    np.testing.assert_allclose(slopes.asnumpy()[:3], (shown - truths) / 4, atol=1e-6)
    np.testing.assert_array_equal(slopes.asnumpy()[3], 0)


def test_a_balanced_label_weighs_as_much_as_its_absence() -> None:
    counts = np.array([10, 50, 0, 100])
    yes, no = label_weights(counts, 100).reshape(2, 4)
    np.testing.assert_allclose(yes[:2] * counts[:2], no[:2] * (100 - counts[:2]))
    np.testing.assert_allclose(yes * counts + no * (100 - counts), 100)


@pytest.mark.parametrize("balanced", [False, True])
def test_no_step_away_from_the_classifier_of_labels_lowers_its_loss(balanced: bool) -> None:
    generator = np.random.default_rng(1)
    truths = generator.random((200, 3)) < [0.5, 0.2, 0.05]
    features = (generator.normal(size=(200, 5)) + 2 * truths @ np.eye(3, 5)).astype(np.float32)
    combinations = tuple((*np.flatnonzero(row).tolist(),) for row in truths)
    indices = np.arange(200)
    targets = Targets(indices, 3, combinations, balanced=balanced)(indices)
    samples = Samples(features, targets)
    penalty = choose_penalty(samples, samples, 3)
    head = fit(samples, 3, penalty)
    scale = features.std(axis=0).mean()
    weights = samples.weights(3)

    def loss(weight: np.ndarray, bias: np.ndarray) -> float:
        total, _ = samples.loss((features @ weight.T + bias).astype(np.float64), weights)
        return total / 200 + penalty / 2 * ((weight * scale) ** 2).sum()

    least = loss(head.weight, head.bias)
    for _ in range(20):
        step = generator.normal(scale=0.03, size=(3, 6))
        assert loss(head.weight + step[:, :5], head.bias + step[:, 5]) > least
    found = (head.logits(features) > 0)[truths[:, 2], 2].mean()
    assert bool(found > 0.8) is balanced


# Real photographs ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def collages(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A folder of collages, and their table."""
    root = tmp_path_factory.mktemp("collages") / "images"
    return root, draw_collages(root)


@pytest.fixture(scope="module")
def tuned(
    collages: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, dict]:
    """The card of a model for them, and what the command said."""
    folder, table = collages
    out = tmp_path_factory.mktemp("tuned")
    words = ("finetune", folder, "--labels-csv", table, "--multi-label", "--out", out, "--json")
    done = subprocess.run(
        [sys.executable, "-m", "ghostnet.cli", *map(str, words)],
        env={**os.environ, "GHOSTNET_CACHE": str(out / "cache")},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return out / "card.md", json.loads(done.stdout)


def test_photographs_side_by_side_have_the_labels_of_both(tuned: tuple[Path, dict]) -> None:
    card, answer = tuned
    assert answer["labels"] == [*PHOTOGRAPHS]
    assert answer["mean_average_precision"] > 0.95
    assert answer["f1"] > 0.9
    assert read_card(card).thresholds == tuple(answer["thresholds"])
    assert read_card(card).accuracy is None
    model = open_model(card)
    result = model.predict(IMAGES / "cat.jpg")
    assert [one.label for one in result.given()] == ["cat"]
    assert result.probabilities.sum() != pytest.approx(1)
    assert "several" in repr(model)


def test_predict_lists_what_reaches_its_threshold(
    ghostnet: Ghostnet, collages: tuple[Path, Path], tuned: tuple[Path, dict], tmp_path: Path
) -> None:
    (folder, table), (card, _) = collages, tuned
    with table.open() as file:
        expected = {
            row["image"]: {kind for kind in PHOTOGRAPHS if row[kind] == "1"}
            for row in csv.DictReader(file)
        }
    answers = ghostnet.json("predict", folder, "--model", card)
    found = {
        Path(answer["file"]).name: {one["label"] for one in answer["predictions"]}
        for answer in answers
    }
    wrong = [name for name, own in expected.items() if own != found[name]]
    assert len(wrong) < 0.1 * len(expected)
    assert {len(own) for own in found.values()} == {0, 1, 2}
    empty = next(name for name, own in found.items() if not own)
    assert "no label" in ghostnet("predict", folder / empty, "--model", card)
    (one,) = ghostnet.json("predict", folder / "020.png", "--model", card, "--top-k", 1)
    assert len(one["predictions"]) == 1
    rows = tmp_path / "rows.csv"
    ghostnet("predict", folder, "--model", card, "--out", rows)
    with rows.open(newline="") as file:
        written = {
            Path(row["file"]).name: {row[f"label_{n}"] for n in (1, 2, 3)} - {""}
            for row in csv.DictReader(file)
        }
    assert written == found
    ghostnet("predict", folder, "--model", card, "--report", tmp_path / "page.html")
    assert "no label" in (tmp_path / "page.html").read_text()


def test_eval_measures_labels(
    ghostnet: Ghostnet, collages: tuple[Path, Path], tuned: tuple[Path, dict], tmp_path: Path
) -> None:
    (folder, table), (card, _) = collages, tuned
    words = ("eval", folder, "--labels-csv", table, "--model", card)
    answer = ghostnet.json(*words, "--report", tmp_path / "page.html")
    assert answer["images"] == len([*folder.iterdir()])
    assert answer["average_precision"].keys() == {*PHOTOGRAPHS}
    assert 0.9 < answer["mean_average_precision"] <= 1
    page = (tmp_path / "page.html").read_text()
    for title in ("Average precision by label", "F1 by label"):
        assert title in page
    assert "given from" in ghostnet(*words)
    ghostnet(*words, "--out", tmp_path / "out", status=2)
    assert "several labels of an image are not confused" in ghostnet.err
    # Folders have one label each.
    shutil.copytree(IMAGES, tmp_path / "photos" / "cat", ignore=lambda *_: ["ATTRIBUTION.md"])
    assert ghostnet.json("eval", tmp_path / "photos", "--model", card)["labels"] == [*PHOTOGRAPHS]


def test_a_card_keeps_its_thresholds(tuned: tuple[Path, dict], tmp_path: Path) -> None:
    card, _ = tuned
    text = card.read_text()
    copy = tmp_path / "card.md"
    shutil.copy(card.with_name("ghostnet.ckpt"), tmp_path)
    for wrong, message in (("[0.5]", "there are 1, but"), ("[0.5, 0.5, 2]", "less than 1")):
        kept = read_card(card).thresholds
        assert kept is not None
        copy.write_text(text.replace(str([*kept]), wrong))
        with pytest.raises(CardError, match=f"thresholds.*{message}"):
            open_model(copy)


def test_what_answers_with_probabilities_takes_the_sigmoid(
    tuned: tuple[Path, dict], tmp_path: Path
) -> None:
    model = open_model(tuned[0])
    result = model.predict(IMAGES / "pug.jpg")
    np.testing.assert_allclose(result.probabilities, 1 / (1 + np.exp(-result.logits)), rtol=1e-5)
    explained = model.explain(IMAGES / "pug.jpg").result
    np.testing.assert_allclose(explained.probabilities, result.probabilities, rtol=1e-3)
    labels, thresholds = model.labels, model.thresholds
    properties = Metadata(labels, 224, thresholds=thresholds).as_properties()
    assert tuple(json.loads(properties["thresholds"])) == thresholds
    assert "thresholds" not in Metadata(labels, 224).as_properties()
    other = replace(model, thresholds=(0.1, 0.2, 0.3))
    single = replace(model, thresholds=None)
    assert len({Provenance.of(each, 3).sha256 for each in (model, other, single)}) == 3


# Training ------------------------------------------------------------------------------------

SMALL = {"architecture": "tiny", "image_size": 32, "batch_size": 8, "epochs": 2, "save_steps": 1}


@pytest.fixture
def config(collages: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> TrainingConfig:
    monkeypatch.setitem(MODELS, "tiny", TINY_MODEL)
    ms.set_context(mode=ms.GRAPH_MODE)
    folder, table = collages
    given_settings = {
        "data": folder,
        "labels_csv": table,
        "multi_label": True,
        "balance": "weights",
    }
    return check({**SMALL, **given_settings, "mixup": 0.2, "cutmix": 1.0}, "test")


def test_a_run_resumes_bit_for_bit(config: TrainingConfig, tmp_path: Path) -> None:
    history = loop.train(config, tmp_path / "whole", command="")
    with pytest.raises(KeyboardInterrupt):
        loop.train(config, tmp_path / "halted", command="", progress=interrupt_at(3))
    loop.train(config, tmp_path / "halted", command="", resume=True)
    states = [read_checkpoint(tmp_path / name / "state.ckpt") for name in ("whole", "halted")]
    for name, values in states[0].items():
        np.testing.assert_array_equal(values, states[1][name], err_msg=name)
    assert (tmp_path / "whole" / "ghostnet.ckpt").read_bytes() == (
        tmp_path / "halted" / "ghostnet.ckpt"
    ).read_bytes()
    assert history is not None
    header = (tmp_path / "whole" / "log.csv").read_text().splitlines()[0]
    assert "mean_average_precision,f1" in header
    assert "Loss and mean average precision by epoch" in history._repr_html_()
    assert "Worst mistakes" in (tmp_path / "whole" / "report.html").read_text()
    assert len(open_model(history.card).thresholds or ()) == 3


def test_other_labels_are_other_images(collages: tuple[Path, Path]) -> None:
    folder = read_measured(collages[0], LabelTable(collages[1]), multi_label=True)
    source = FolderSource(folder.files[:4], combinations=folder.combinations)
    assert folder.combinations is not None
    others = tuple((*own, 2) if own == (0,) else own for own in folder.combinations)
    changed = FolderSource(folder.files[:4], combinations=others)
    expected = [folder.combinations[index] != others[index] for _, index in folder.files[:4]]
    assert (source.hashes != changed.hashes).tolist() == expected
    assert any(expected)


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        ({"balance": "sampling"}, "balance: an image with several labels"),
        ({"best_by": "balanced"}, "best_by: with several labels"),
        ({"layout": "pets"}, "multi_label: several labels are read"),
        (
            {"teacher": "t.onnx", "teacher_lesson": "head", "mixup": 0, "cutmix": 0},
            "learn features",
        ),
    ],
)
def test_what_is_meant_for_one_class_is_refused(
    config: TrainingConfig, chosen: dict, message: str
) -> None:
    with pytest.raises(TrainingError, match=message):
        check(config.settings | chosen, "test")


def test_a_new_classifier_for_classes_forgets_thresholds(
    ghostnet: Ghostnet, tuned: tuple[Path, dict], tmp_path: Path
) -> None:
    images = draw(tmp_path / "images", 2)
    again = finetune_head(open_model(tuned[0]), *read_split(images), cache_dir=tmp_path / "cache")
    assert again.model.thresholds is None
    words = ("--multi-label", "--balance", "sampling")
    ghostnet("finetune", images, "--out", tmp_path / "other", *words, status=1)
    assert "balance: an image with several labels" in ghostnet.err


@pytest.mark.nightly
def test_a_server_answers_with_what_reaches_its_threshold(
    tuned: tuple[Path, dict], ghostnet: Ghostnet, tmp_path: Path
) -> None:
    card, _ = tuned
    server = ModelServer("--model", card, log=tmp_path / "log")
    try:
        (answer,) = server.post("predict", (IMAGES / "pug.jpg").read_bytes()).json()
        (expected,) = ghostnet.json("predict", IMAGES / "pug.jpg", "--model", card)
        assert answer["predictions"] == expected["predictions"]
    finally:
        server.stop()
