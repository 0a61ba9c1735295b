"""Distillation from an ONNX file: what it answers, what is kept of it, what a network learns."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import mindspore as ms
import numpy as np
import pytest
from command_line import Ghostnet
from interruption import interrupt_at
from PIL import Image
from random_parameters import random_parameters
from tiny_network import TINY, TINY_MODEL
from toy_images import draw

from ghostnet.checkpoints import read_checkpoint
from ghostnet.data.image_folder import find_images
from ghostnet.data.labels import unknown_labels
from ghostnet.data.transforms import Preprocess, decode
from ghostnet.errors import DatasetError, TrainingError
from ghostnet.export import export
from ghostnet.files import sha256_of
from ghostnet.hub.card import read_card
from ghostnet.model import Model
from ghostnet.model.evaluation import tally
from ghostnet.model.forward import open_forward
from ghostnet.models import MODELS, GhostNet
from ghostnet.training.augment import Augment
from ghostnet.training.config import Lesson, TeacherSettings, TrainingConfig, check, read_config
from ghostnet.training.model_card import Origin, write_model
from ghostnet.training.run import loop
from ghostnet.training.run.log import read_log
from ghostnet.training.run.task import open_task
from ghostnet.training.source import FolderSource
from ghostnet.training.targets import UNLABELED
from ghostnet.training.teacher.answers import CENTER, Answers
from ghostnet.training.teacher.distillation import Distillation
from ghostnet.training.teacher.network import Teacher, stated_labels

onnx = pytest.importorskip("onnx", reason="needs the extra export")
pytest.importorskip("onnxruntime", reason="needs the extra export")

CLASSES = ("blue one", "Green", "rot")


@pytest.fixture(autouse=True)
def tiny(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(MODELS, "tiny", TINY_MODEL)
    monkeypatch.setenv("GHOSTNET_CACHE", str(tmp_path / "cache"))
    ms.set_context(mode=ms.GRAPH_MODE)


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw(tmp_path_factory.mktemp("images") / "train")


@pytest.fixture(scope="module")
def model() -> Model:
    return Model("teacher", TINY, random_parameters(TINY, 3, seed=5), CLASSES, Preprocess(48))


@pytest.fixture(scope="module")
def onnx_file(model: Model, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export(model, tmp_path_factory.mktemp("teacher") / "teacher.onnx")


@pytest.fixture
def config(images: Path, onnx_file: Path, tmp_path: Path) -> TrainingConfig:
    """A run on images without labels, whose classes the teacher names."""
    labels = tmp_path / "classes.txt"
    labels.write_text("\n".join(CLASSES))
    settings = {
        "unlabeled": [images], "teacher": onnx_file, "teacher_labels": labels, "teacher_views": 2,
        "architecture": "tiny", "image_size": 32, "batch_size": 4, "epochs": 3, "save_steps": 1,
        "val": "0.2",
    }  # fmt: skip
    return check(settings, "test")


def changed(config: TrainingConfig, **settings: object) -> TrainingConfig:
    return check(config.settings | settings, "test")


def make_answers(config: TrainingConfig, images: Path) -> Answers:
    source = FolderSource(tuple((file, UNLABELED) for file in find_images([images])))
    return Answers(make_teacher(config), source, Augment(32), config.recipe.seed)


def make_teacher(config: TrainingConfig) -> Teacher:
    assert config.teacher.path is not None
    return Teacher(config.teacher.path, config.teacher)


# The teacher ----------------------------------------------------------------------------------


def test_a_teacher_sees_images_as_its_file_states(
    config: TrainingConfig, images: Path, model: Model
) -> None:
    answers = make_answers(config, images)
    order = np.arange(3)
    answers.fill(CENTER, order)
    files = find_images([images])[:3]
    expected = open_forward(model)(np.stack([model.preprocess(decode(file)) for file in files]))
    np.testing.assert_allclose(answers.of(CENTER, order), expected, atol=2e-3)


@pytest.mark.parametrize("with_preprocessing", [True, False])
def test_layout_and_type_of_the_input_are_read_from_the_file(
    config: TrainingConfig, model: Model, images: Path, tmp_path: Path, with_preprocessing: bool
) -> None:
    file = export(model, tmp_path / "t.onnx", with_preprocessing=with_preprocessing)
    answers = make_answers(changed(config, teacher=file), images)
    order = np.arange(4)
    answers.fill(CENTER, order)
    expected = open_forward(model)(
        np.stack([model.preprocess(decode(file)) for file in find_images([images])[:4]])
    )
    np.testing.assert_allclose(answers.of(CENTER, order), expected, atol=2e-2)


def test_settings_override_what_the_file_states(config: TrainingConfig) -> None:
    chosen = changed(config, teacher_mean=(1.0, 2.0, 3.0), teacher_std=(4.0, 5.0, 6.0))
    taken = make_teacher(chosen).input
    batch = taken.blank(1)
    taken.put(Image.new("RGB", (48, 48), (9, 12, 15)), batch[0])
    np.testing.assert_allclose(batch[0, :, 0, 0], [2, 2, 2])
    with pytest.raises(TrainingError, match=r"cannot run on images of shape \(1, 3, 64, 64\)"):
        make_teacher(changed(config, teacher_size=64))


@pytest.mark.parametrize(
    ("content", "settings", "message"),
    [
        (b"no network", {}, "is not an ONNX network"),
        (None, {}, "cannot be read .*name an ONNX file"),
    ],
)
def test_a_file_that_is_no_teacher_is_refused(
    config: TrainingConfig, tmp_path: Path, content: bytes | None, settings: dict, message: str
) -> None:
    file = tmp_path / "other.onnx"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(TrainingError, match=message):
        make_teacher(changed(config, teacher=file, **settings))


def test_an_unknown_output_is_refused_with_the_known_ones(config: TrainingConfig) -> None:
    with pytest.raises(TrainingError, match="has no output 'x'; its outputs are logits"):
        make_teacher(changed(config, teacher_output="x"))


def test_broken_images_without_labels_are_skipped(config: TrainingConfig, tmp_path: Path) -> None:
    folder = draw(tmp_path / "unlabeled", 8)
    (folder / "rot" / "3.png").write_bytes(b"no image")
    config = changed(config, unlabeled=[folder], skip_broken=True)
    task = open_task(config.data, make_teacher(config))
    assert len(task.source) + len(task.held_out.files) == 23


# The answers ----------------------------------------------------------------------------------


def test_answers_are_computed_once_and_say_what_they_were_made_from(
    config: TrainingConfig, images: Path
) -> None:
    order = np.arange(10)
    first = make_answers(config, images)
    first.fill(1, order[:4])
    met: list[tuple[int, int]] = []
    second = make_answers(config, images)
    second.fill(1, order, lambda done, wanted: met.append((done, wanted)))
    assert met == [(done, 10) for done in range(4, 11)]
    np.testing.assert_array_equal(first.of(1, order), second.of(1, order))
    origin = json.loads((first.folder / "made_from.json").read_text())
    assert origin["teacher"] == sha256_of(config.teacher.path)
    assert origin["images"] == 18


def test_views_differ_and_do_not_depend_on_where_the_images_lie(
    config: TrainingConfig, images: Path, tmp_path: Path
) -> None:
    order = np.arange(6)
    answers = make_answers(config, images)
    for view in (1, 2):
        answers.fill(view, order)
    assert not np.array_equal(answers.of(1, order), answers.of(2, order))
    moved = make_answers(config, shutil.copytree(images, tmp_path / "elsewhere"))
    assert moved.folder == answers.folder
    (tmp_path / "elsewhere" / "rot" / "0.png").unlink()
    assert make_answers(config, tmp_path / "elsewhere").folder != answers.folder


def test_a_broken_image_is_named(config: TrainingConfig, images: Path, tmp_path: Path) -> None:
    copies = shutil.copytree(images, tmp_path / "copies")
    (copies / "rot" / "2.png").write_bytes(b"no image")
    answers = make_answers(config, copies)
    with pytest.raises(DatasetError, match=r"rot/2\.png: .*not an image"):
        answers.fill(1, np.arange(18))


# What is learned ------------------------------------------------------------------------------


def test_a_network_learns_the_classes_of_a_teacher(config: TrainingConfig, tmp_path: Path) -> None:
    card = loop.train(config, tmp_path / "run", command="").card
    assert card is not None
    assert read_card(card).labels == CLASSES
    rows = read_log(tmp_path / "run", 3)
    assert rows[-1].loss < rows[0].loss


def test_a_run_with_a_teacher_resumes_bit_for_bit(config: TrainingConfig, tmp_path: Path) -> None:
    loop.train(config, tmp_path / "whole", command="")
    with pytest.raises(KeyboardInterrupt):
        loop.train(config, tmp_path / "halted", command="", progress=interrupt_at(5))
    shutil.rmtree(tmp_path / "cache" / "teacher")
    loop.train(config, tmp_path / "halted", command="", resume=True)
    for name in ("state.ckpt", "ghostnet.ckpt"):
        assert sha256_of(tmp_path / "whole" / name) == sha256_of(tmp_path / "halted" / name)


@pytest.mark.parametrize("lesson", ["head", "features"])
def test_labeled_and_unlabeled_images_are_learned_together(
    ghostnet: Ghostnet, images: Path, onnx_file: Path, tmp_path: Path, lesson: str
) -> None:
    more = draw(tmp_path / "more", 2, ("anything",))
    out = tmp_path / "out"
    answer = ghostnet.json(
        "train", "--data", images, "--unlabeled", more, "--teacher", onnx_file,
        "--teacher-lesson", lesson, "--architecture", "tiny", "--image-size", 32,
        "--batch-size", 4, "--epochs", 2, "--val", 0.2, "--out", out,
    )  # fmt: skip
    assert answer["card"] == str(out / "card.md")
    names = read_checkpoint(out / "ghostnet.ckpt").keys()
    assert not any("projection" in name for name in names)
    assert read_card(out / "card.md").labels == CLASSES
    expected = GhostNet(TINY, 3)
    assert len(names) == len([*expected.get_parameters()])


def test_logits_of_other_classes_are_refused_with_advice(
    ghostnet: Ghostnet, onnx_file: Path, tmp_path: Path
) -> None:
    images = draw(tmp_path / "images", 4, ("one", "two"))
    error = ghostnet.json(
        "train", "--data", images, "--teacher", onnx_file, "--architecture", "tiny",
        "--batch-size", 2, "--val", 0.3, "--image-size", 32, "--out", tmp_path / "out", status=1,
    )["error"]  # fmt: skip
    assert "has no single class for one, two; its classes are blue one, Green, rot" in error
    assert "teacher_lesson: head or features" in error


def distillation(teacher: Path, images: Path, labels: tuple[str, ...]) -> Distillation:
    settings = TeacherSettings(teacher)
    source = FolderSource(tuple((file, 0) for file in find_images([images])))
    answers = Answers(Teacher(teacher, settings), source, Augment(32), 0)
    answers.fill(CENTER, np.arange(4))
    return Distillation(answers, settings, labels, 0)


def test_the_classes_of_a_teacher_are_matched_by_name(images: Path, onnx_file: Path) -> None:
    order = np.arange(4)
    as_stated = distillation(onnx_file, images, CLASSES).targets(order, CENTER)
    others = ("rot", "blue one", "Green")
    reordered = distillation(onnx_file, images, others).targets(order, CENTER)
    # Sums in another order round otherwise.
    np.testing.assert_allclose(reordered, as_stated[:, [2, 0, 1]], rtol=1e-6)
    two = distillation(onnx_file, images, CLASSES[:2]).targets(order, CENTER)
    np.testing.assert_allclose(two, as_stated[:, :2] / as_stated[:, :2].sum(1, keepdims=True))
    with pytest.raises(TrainingError, match="no single class for red"):
        distillation(onnx_file, images, ("blue one", "Green", "red"))


def test_a_teacher_that_does_not_name_its_classes_is_said_to(
    model: Model, images: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    nameless = replace(model, labels=unknown_labels(3))
    file = export(nameless, tmp_path / "nameless.onnx")
    distillation(file, images, CLASSES)
    assert "does not name its classes" in caplog.text
    with pytest.raises(TrainingError, match="has 3 values, but there are 2 classes"):
        distillation(file, images, CLASSES[:2])


def test_names_of_classes_in_another_order_than_the_files_are_refused(
    onnx_file: Path, tmp_path: Path
) -> None:
    labels = tmp_path / "labels.txt"
    labels.write_text("\n".join(CLASSES[::-1]))
    with pytest.raises(TrainingError, match="in another order than"):
        Teacher(onnx_file, TeacherSettings(onnx_file, labels=labels))


def test_names_that_ultralytics_writes_are_read() -> None:
    assert stated_labels({"names": "{0: 'cat', 1: 'dog'}"}) == ("cat", "dog")
    assert stated_labels({"names": "os.system('x')"}) is None


def test_a_teacher_with_a_softmax_teaches_the_same(
    onnx_file: Path, images: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    network = onnx.load(onnx_file)
    network.graph.node.append(onnx.helper.make_node("Softmax", ["logits"], ["shares"]))
    network.graph.output[0].name = "shares"
    onnx.save(network, tmp_path / "softmax.onnx")
    order = np.arange(4)
    expected = distillation(onnx_file, images, CLASSES).targets(order, CENTER)
    assert "softmax" not in caplog.text
    found = distillation(tmp_path / "softmax.onnx", images, CLASSES).targets(order, CENTER)
    assert "is a softmax; its logarithm is taken for the logits" in caplog.text
    np.testing.assert_allclose(found, expected, atol=2e-3)


def test_finetune_learns_from_a_teacher_with_all_weights_only(
    ghostnet: Ghostnet, model: Model, images: Path, onnx_file: Path, tmp_path: Path
) -> None:
    nothing = tally(CLASSES, np.zeros(1, np.int64), np.zeros((1, 3), np.float32))
    origin = Origin("ghostnet test", "nothing", 0, "CPU")
    start = write_model(model, nothing, origin, tmp_path / "start")
    words = ("finetune", images, "--model", start, "--out", tmp_path / "x", "--teacher", onnx_file)
    ghostnet(*words, status=2)
    assert "--mode full" in ghostnet.err
    answer = ghostnet.json(*words, "--mode", "full")
    settings = read_config(tmp_path / "x" / "config.yaml", {})
    assert settings.teacher.path == onnx_file
    assert settings.teacher.lesson is Lesson.HEAD
    assert read_log(tmp_path / "x", 10)[-1].epoch == 10
    assert read_card(Path(answer["card"])).labels == CLASSES
