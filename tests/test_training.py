"""`ghostnet train`: runs, resuming, steps, several workers."""

import os
import shutil
import signal
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import mindspore as ms
import numpy as np
import pytest
from command_line import Ghostnet
from hypothesis import given, settings
from hypothesis import strategies as st
from interruption import interrupt_at
from mindspore import ParameterTuple, Tensor, nn
from PIL import Image
from random_parameters import random_parameters
from schedule import at_night
from tiny_network import TINY, TINY_MODEL
from toy_images import draw
from waiting import wait_for

from ghostnet import kernels
from ghostnet.checkpoints import load_parameters, parameters_of, read_checkpoint
from ghostnet.data.image_folder import read_folder
from ghostnet.data.transforms import Preprocess
from ghostnet.errors import DatasetError, TrainingError
from ghostnet.files import sha256_of
from ghostnet.hub.card import read_card
from ghostnet.model import Model
from ghostnet.model.evaluation import tally
from ghostnet.models import GHOSTNET_1X, MODELS, Block, GhostNet, ModelEntry, network_spec
from ghostnet.training.augment import Augment
from ghostnet.training.config import Recipe, TrainingConfig, as_yaml, check, read_config
from ghostnet.training.model_card import Origin, write_model
from ghostnet.training.run import loop
from ghostnet.training.run.batches import Batches, Worker
from ghostnet.training.run.depths import parameter_depths
from ghostnet.training.run.log import read_log
from ghostnet.training.run.loop import Examiner
from ghostnet.training.run.resumption import read_state, resume_batches
from ghostnet.training.run.step import (
    LossCell,
    MaskDropout,
    MovingAverage,
    ema_decay,
    learning_rates,
    make_optimizer,
)
from ghostnet.training.run.task import open_task, start
from ghostnet.training.run.trainer import Trainer
from ghostnet.training.source import FolderSource
from ghostnet.training.targets import Targets

TESTS = Path(__file__).parent
SMALL = {"architecture": "tiny", "image_size": 32, "batch_size": 4, "epochs": 3, "save_steps": 1}


@pytest.fixture(autouse=True)
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(MODELS, "tiny", TINY_MODEL)
    ms.set_context(mode=ms.GRAPH_MODE)


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw(tmp_path_factory.mktemp("images") / "train")


@pytest.fixture
def config(images: Path) -> TrainingConfig:
    return check({"data": images, **SMALL}, "test")


def changed(config: TrainingConfig, **settings: object) -> TrainingConfig:
    return check(config.settings | settings, "test")


def words(config: TrainingConfig) -> list[object]:
    options = {name: value for name, value in SMALL.items() if name != "architecture"}
    listed = [("--" + name.replace("_", "-"), value) for name, value in options.items()]
    return [word for pair in listed for word in pair] + [
        "--architecture", "tiny", "--data", config.data.path
    ]  # fmt: skip


def test_train_leaves_a_model_with_card_log_and_curve(
    ghostnet: Ghostnet, config: TrainingConfig, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    answer = ghostnet.json("train", *words(config), "--out", out)
    assert answer["card"] == str(out / "card.md")
    rows = read_log(out, 3)
    assert answer["top1"] == pytest.approx(max(row.score for row in rows), abs=1e-4)
    assert rows[-1].loss < rows[0].loss
    with Image.open(out / "curve.png") as curve:
        assert curve.size == (960, 540)
    page = (out / "report.html").read_text()
    assert "Loss and top-1 by epoch" in page
    assert "Confusion" in page
    assert read_config(out / "config.yaml", {}) == config
    evaluation = ghostnet.json("eval", config.data.path, "--model", out / "card.md")
    assert evaluation["labels"] == ["blue one", "Green", "rot"]
    assert (tmp_path / "run" / "card.md").read_text().count("ghostnet train") == 1


@pytest.mark.filterwarnings("ignore:the plain graph runs")
def test_a_network_without_kernels_trains(
    config: TrainingConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    merged = replace(TINY, family="repghost", form="merged")
    monkeypatch.setitem(MODELS, "merged", ModelEntry("merged", "merged", merged))
    loop.train(changed(config, architecture="merged", epochs=1), tmp_path, command="")
    trained = read_checkpoint(tmp_path / "ghostnet.ckpt")
    assert trained.keys() == network_spec(merged, 3).parameter_shapes().keys()


@pytest.mark.skipif(not kernels.available(), reason="no fused kernels")
@pytest.mark.filterwarnings("ignore:the plain graph runs")
@pytest.mark.nightly
def test_a_killed_run_of_branches_and_attention_resumes_bit_for_bit(
    config: TrainingConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    block = Block(3, 48, 24, 12, 2, attention=True)
    branched = replace(TINY, blocks=(block,), form="branched")
    monkeypatch.setitem(MODELS, "branched", ModelEntry("branched", "branched", branched))
    config = changed(config, architecture="branched", epochs=1)
    assert kernels.unavailable_reason(training=True, architecture=branched) is None
    loop.train(config, tmp_path / "whole", command="")
    with pytest.raises(KeyboardInterrupt):
        loop.train(config, tmp_path / "halted", command="", progress=interrupt_at(2))
    loop.train(config, tmp_path / "halted", command="", resume=True)
    for name in ("state.ckpt", "ghostnet.ckpt"):
        assert sha256_of(tmp_path / "whole" / name) == sha256_of(tmp_path / "halted" / name)


def test_a_run_is_not_overwritten_and_only_a_run_is_resumed(
    ghostnet: Ghostnet, config: TrainingConfig, tmp_path: Path
) -> None:
    with pytest.raises(TrainingError, match="holds no training run to resume"):
        loop.train(config, tmp_path, command="", resume=True)
    (tmp_path / "state.ckpt").write_bytes(b"")
    with pytest.raises(TrainingError, match=r"holds a training run, .* continue it"):
        loop.train(config, tmp_path, command="")
    ghostnet("train", "--out", tmp_path, "--resume", "--seed", 9, status=2)
    assert "only these can be changed" in ghostnet.err
    nothing = tmp_path / "nothing"
    error = ghostnet.json("train", "--out", nothing, "--resume", status=1)["error"]
    assert f"{nothing} holds no training run to resume (state.ckpt is missing)" in error


@pytest.mark.nightly
def test_each_epoch_is_measured_with_its_own_averages(config: TrainingConfig) -> None:
    trainer = make_trainer(config)
    examiner = Examiner(trainer, open_task(config.data))
    noise = np.random.default_rng(0).normal(size=(32, 3, 32, 32)).astype(np.float32)
    batches = trainer.batches.epoch(0)
    for _ in range(3):
        trainer.take(next(batches))
        examiner.evaluate()
        copy = GhostNet(TINY, 3).set_train(False)
        load_parameters(copy, trainer.averages())
        expected = copy(Tensor(noise)).asnumpy()
        np.testing.assert_allclose(examiner.forward(noise), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.nightly
def test_memory_does_not_grow_with_the_epochs(config: TrainingConfig) -> None:
    batches = make_trainer(config).batches
    trainer = Trainer(GhostNet(GHOSTNET_1X, 3), config.recipe, batches)
    examiner = Examiner(trainer, open_task(config.data))
    for _ in range(5):
        examiner.evaluate()
    before = resident_mebibytes()
    for _ in range(10):
        examiner.evaluate()
    weights = sum(array.nbytes for array in examiner.model.parameters.values()) / 2**20
    assert resident_mebibytes() < before + weights  # and not ten times that


def resident_mebibytes() -> float:
    line = next(x for x in Path("/proc/self/status").read_text().splitlines() if "VmRSS" in x)
    return int(line.split()[1]) / 1024


def test_images_can_be_measured_in_another_size(config: TrainingConfig, tmp_path: Path) -> None:
    larger = changed(config, val_size=48, epochs=1)
    card = loop.train(larger, tmp_path / "run", command="").card
    assert card is not None
    assert read_card(card).input_shape == (48, 48, 3)


def test_finetune_can_tune_all_weights(
    ghostnet: Ghostnet, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    nothing = tally(("a", "b"), np.zeros(1, np.int64), np.zeros((1, 2), np.float32))
    origin = Origin("ghostnet test", "nothing", 0, "CPU")
    parameters = random_parameters(TINY, 2)
    model = Model("start", TINY, parameters, ("a", "b"), Preprocess(32))
    start = write_model(model, nothing, origin, tmp_path / "start")
    images = draw(tmp_path / "images")
    (images / "rot" / "3.png").write_bytes(b"no image")
    out = tmp_path / "out"
    words = ("finetune", images, "--out", out, "--model", start, "--mode", "full")
    answer = ghostnet.json(*words)
    assert "3.png: not an image" in caplog.text
    before, after = (read_checkpoint(folder / "ghostnet.ckpt") for folder in (start.parent, out))
    assert not np.array_equal(before["conv_stem.weight"], after["conv_stem.weight"])
    evaluation = ghostnet.json("eval", images, "--model", out / "card.md")
    assert evaluation["labels"] == ["blue one", "Green", "rot"]
    assert read_config(out / "config.yaml", {}).recipe.backbone_rate < 1
    assert read_log(out, 10)[-1].epoch == 10
    assert answer["card"] == str(out / "card.md")
    assert "holds a training run" in ghostnet.json(*words, status=1)["error"]


# Resuming -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def whole_run(images: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run that nothing interrupted."""
    out = tmp_path_factory.mktemp("whole") / "run"
    start_process(images, out).wait()
    return out


def start_process(images: Path, out: Path) -> "subprocess.Popen[bytes]":
    return start_words(*words(check({"data": images, **SMALL}, "test")), "--out", out)


def start_words(*options: object) -> "subprocess.Popen[bytes]":
    command = [sys.executable, TESTS / "tiny_network.py", "train", *options]
    return subprocess.Popen([*map(str, command)], env=environment())


def environment() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": os.pathsep.join([str(TESTS.parent), *sys.path])}


def assert_same_run(out: Path, other: Path) -> None:
    for name in ("state.ckpt", "ghostnet.ckpt", "config.yaml"):
        assert sha256_of(out / name) == sha256_of(other / name), name
    speedless = [[row.epoch, row.learning_rate, row.loss, row.score] for row in read_log(out, 3)]
    assert speedless == [
        [row.epoch, row.learning_rate, row.loss, row.score] for row in read_log(other, 3)
    ]


def kill_after_a_save(process: "subprocess.Popen[bytes]", state: Path) -> int:
    """Returns the step of the state that was written before that."""
    wait_for(state.exists)
    process.send_signal(signal.SIGKILL)
    process.wait()
    return int(read_checkpoint(state)["position.step"][0])


def test_a_run_that_is_killed_goes_on_bit_for_bit(
    images: Path, whole_run: Path, ghostnet: Ghostnet, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    assert 0 < kill_after_a_save(start_process(images, out), out / "state.ckpt") < 12
    ghostnet("train", "--out", out, "--resume")
    assert_same_run(out, whole_run)


def test_a_run_goes_on_from_within_and_between_epochs_with_other_threads(
    config: TrainingConfig, whole_run: Path, kernel_settings: None, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    for steps, threads in ((2, 1), (4, 5), (7, 3)):
        kernels.set_threads(threads)
        with pytest.raises(KeyboardInterrupt):
            loop.train(config, out, command="", resume=out.exists(), progress=interrupt_at(steps))
    kernels.set_threads(4)
    loop.train(config, out, command="", resume=True)
    assert_same_run(out, whole_run)


@pytest.mark.nightly
def test_a_run_goes_on_with_moved_images_from_another_folder(
    ghostnet: Ghostnet,
    images: Path,
    whole_run: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shutil.copytree(images, tmp_path / "before")
    shutil.copytree(images, tmp_path / "after")
    monkeypatch.chdir(tmp_path)
    config = check({"data": "before", **SMALL}, "test")
    out = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        loop.train(config, out, command="", progress=interrupt_at(5))
    shutil.rmtree(tmp_path / "before")
    monkeypatch.chdir("/")
    assert "before" in ghostnet.json("train", "--out", out, "--resume", status=1)["error"]
    ghostnet("train", "--out", out, "--resume", "--data", tmp_path / "after")
    for name in ("state.ckpt", "ghostnet.ckpt"):
        assert sha256_of(out / name) == sha256_of(whole_run / name), name


@pytest.mark.nightly
def test_a_run_goes_on_with_a_moved_start_model(
    ghostnet: Ghostnet, images: Path, whole_run: Path, tmp_path: Path
) -> None:
    start = shutil.copytree(whole_run, tmp_path / "before")
    config = check({"data": images, **SMALL, "epochs": 1, "model": str(start / "card.md")}, "test")
    whole, out = tmp_path / "whole", tmp_path / "run"
    loop.train(config, whole, command="")
    with pytest.raises(KeyboardInterrupt):
        loop.train(config, out, command="", progress=interrupt_at(2))
    start.rename(tmp_path / "after")
    assert "before" in ghostnet.json("train", "--out", out, "--resume", status=1)["error"]
    ghostnet("train", "--out", out, "--resume", "--model", tmp_path / "after/card.md")
    for name in ("state.ckpt", "ghostnet.ckpt"):
        assert sha256_of(out / name) == sha256_of(whole / name), name


def test_a_run_that_has_ended_goes_on_with_more_epochs(
    ghostnet: Ghostnet, whole_run: Path, tmp_path: Path
) -> None:
    out = shutil.copytree(whole_run, tmp_path / "run")
    ghostnet("train", "--out", out, "--resume", "--epochs", 4)
    assert [row.epoch for row in read_log(out, 4)] == [1, 2, 3, 4]


def test_a_run_does_not_go_on_with_other_images(
    config: TrainingConfig, whole_run: Path, tmp_path: Path
) -> None:
    other = check({"data": draw(tmp_path / "other", 7), **SMALL}, "test")
    state = whole_run / "state.ckpt"
    with pytest.raises(TrainingError, match="not those that the run started with"):
        resume_batches(read_state(state), state, make_trainer(other).batches)


def test_a_state_of_another_network_is_refused(config: TrainingConfig, tmp_path: Path) -> None:
    trainer = make_trainer(config)
    trainer.save(tmp_path / "state.ckpt")
    other = Trainer(GhostNet(TINY, 5), config.recipe, trainer.batches)
    with pytest.raises(TrainingError, match=r"no classifier\.weight of the right"):
        other.restore(read_state(tmp_path / "state.ckpt"), tmp_path / "state.ckpt")


def test_what_is_no_state_is_refused(whole_run: Path) -> None:
    with pytest.raises(TrainingError, match="is not the state of a run"):
        read_state(whole_run / "ghostnet.ckpt")


def test_another_number_of_workers_is_refused(config: TrainingConfig, whole_run: Path) -> None:
    state = whole_run / "state.ckpt"
    batches = make_trainer(config, Worker(0, 2)).batches
    with pytest.raises(TrainingError, match=r"started with 1 workers and cannot go on with 2"):
        resume_batches(read_state(state), state, batches)


@pytest.fixture
def late(config: TrainingConfig, tmp_path: Path) -> tuple[TrainingConfig, Path]:
    """A run whose first epoch does not meet an image that is broken, and the image."""
    images = draw(tmp_path / "images")
    config = changed(config, data=images)
    batches = training_batches(config)
    (index, *_) = set(batches.order(1).ravel()) - set(batches.order(0).ravel())
    return config, batches.source.files[index][0]


def training_batches(config: TrainingConfig) -> Batches:
    source = open_task(config.data).source
    return Batches(source, Augment(32), config.recipe.batch_size, config.recipe.seed)


@pytest.mark.nightly
def test_a_run_goes_on_when_an_image_was_repaired(
    late: tuple[TrainingConfig, Path], whole_run: Path, tmp_path: Path
) -> None:
    config, image = late
    content = image.read_bytes()
    image.write_bytes(b"no image")
    with pytest.raises(DatasetError, match=image.name):
        loop.train(config, tmp_path / "run", command="")
    image.write_bytes(content)
    loop.train(config, tmp_path / "run", command="", resume=True)
    for name in ("state.ckpt", "ghostnet.ckpt"):
        assert sha256_of(tmp_path / "run" / name) == sha256_of(whole_run / name), name


def test_an_image_that_was_met_may_not_change(
    late: tuple[TrainingConfig, Path], tmp_path: Path
) -> None:
    config, image = late
    with pytest.raises(KeyboardInterrupt):
        loop.train(config, tmp_path / "run", command="", progress=interrupt_at(9))
    image.write_bytes(image.read_bytes() + b" ")
    with pytest.raises(TrainingError, match="not those that the run started with"):
        loop.train(config, tmp_path / "run", command="", resume=True)


@pytest.mark.nightly
def test_a_run_goes_on_without_its_broken_image(
    late: tuple[TrainingConfig, Path],
    ghostnet: Ghostnet,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    config, image = late
    image.write_bytes(b"no image")
    out = tmp_path / "run"
    with pytest.raises(DatasetError, match=image.name):
        loop.train(config, out, command="")
    ghostnet("train", "--out", out, "--resume", "--skip-broken")
    assert "1 missing or broken images are replaced by others" in caplog.text
    assert len(read_log(out, 3)) == 3
    ghostnet("train", "--out", out, "--resume", "--epochs", 4)
    assert len(read_log(out, 4)) == 4


@pytest.mark.nightly
def test_other_held_out_images_choose_the_best_epoch_anew(
    config: TrainingConfig, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    out = tmp_path / "run"
    easy = draw(tmp_path / "easy", 2)
    hard = draw(tmp_path / "hard", 3, ("Green", "rot"))
    (hard / "Green").rename(hard / "x")
    (hard / "rot").rename(hard / "Green")
    (hard / "x").rename(hard / "rot")
    config = changed(config, learning_rate=0.01)
    loop.train(changed(config, val=str(easy), epochs=1), out, command="")
    moved = easy.rename(tmp_path / "moved")
    loop.train(changed(config, val=str(moved), epochs=2), out, command="", resume=True)
    assert "best epoch" not in caplog.text
    loop.train(changed(config, val=str(hard)), out, command="", resume=True)
    assert "the best epoch is chosen from here on" in caplog.text
    assert "of 6 images correct" in (out / "card.md").read_text()


# Steps --------------------------------------------------------------------------------------


def make_trainer(config: TrainingConfig, worker: Worker = Worker()) -> Trainer:  # noqa: B008
    recipe = config.recipe
    source = FolderSource(read_folder(config.data.path).files)
    augment = Augment(recipe.image_size, recipe.smallest_crop, recipe.flip, recipe.color_jitter)
    batches = Batches(source, augment, recipe.batch_size, recipe.seed, 1, worker)
    ms.set_seed(recipe.seed)
    return Trainer(GhostNet(TINY, 3), recipe, batches)


def test_a_loss_that_is_not_finite_stops_with_step_and_files(images: Path, tmp_path: Path) -> None:
    wild = check({"data": images, **SMALL, "learning_rate": 1e30}, "test")
    with pytest.raises(TrainingError, match=r"loss of step \d+ is nan; (.|\n)*\.png") as stopped:
        loop.train(wild, tmp_path / "run", command="")
    assert str(stopped.value).count(str(images)) == 4
    for values in read_checkpoint(tmp_path / "run" / "state.ckpt").values():
        assert np.isfinite(values).all()


def test_a_batch_norm_over_one_value_is_refused() -> None:
    recipe = Recipe(architecture="ghostnet_050", image_size=32, batch_size=1)
    with pytest.raises(TrainingError, match="a single value, which has no variance"):
        start(recipe, 2)
    for fine in ({"batch_size": 2}, {"image_size": 33}):
        assert start(replace(recipe, **fine), 2).num_classes == 2


def test_weights_decay_but_norms_and_biases_do_not(config: TrainingConfig) -> None:
    recipe = Recipe(weight_decay=0.1, warmup_epochs=0)
    network = GhostNet(TINY, 3)
    for parameter in network.trainable_params():
        parameter.set_data(ms.ops.ones_like(parameter))
    optimizer = make_optimizer(
        network.trainable_params(), recipe, parameter_depths(network.spec), 10, 1.0
    )
    optimizer(tuple(ms.ops.zeros_like(p) for p in optimizer.parameters))
    for parameter in network.trainable_params():
        is_kept = parameter.name.endswith((".gamma", ".beta", ".bias"))
        assert (parameter.asnumpy() == 1).all() == is_kept, parameter.name


def test_the_backbone_learns_at_its_share_of_the_rate() -> None:
    recipe = Recipe(weight_decay=0, warmup_epochs=0, backbone_rate=0.25)
    network = GhostNet(TINY, 3)
    before = {p.name: p.asnumpy().copy() for p in network.trainable_params()}
    optimizer = make_optimizer(
        network.trainable_params(), recipe, parameter_depths(network.spec), 10, 1.0
    )
    optimizer(tuple(ms.ops.ones_like(p) for p in optimizer.parameters))
    for parameter in network.trainable_params():
        rate = recipe.learning_rate * (1 if "classifier" in parameter.name else 0.25)
        moved = before[parameter.name] - parameter.asnumpy()
        np.testing.assert_allclose(moved, rate, rtol=1e-3, err_msg=parameter.name)


def test_lower_layers_learn_at_lower_rates() -> None:
    recipe = Recipe(weight_decay=0, warmup_epochs=0, layer_decay=0.5)
    network = GhostNet(TINY, 3)
    depths = parameter_depths(network.spec)
    before = {p.name: p.asnumpy().copy() for p in network.trainable_params()}
    optimizer = make_optimizer(network.trainable_params(), recipe, depths, 10, 1.0)
    optimizer(tuple(ms.ops.ones_like(p) for p in optimizer.parameters))
    top = len(TINY.blocks) + 2
    for name, depth in {
        "conv_stem.weight": 0,
        "conv_head.bias": top - 1,
        "classifier.bias": top,
    }.items():
        moved = before[name] - network.parameters_dict()[name].asnumpy()
        np.testing.assert_allclose(moved, recipe.learning_rate * 0.5 ** (top - depth), rtol=1e-3)


@pytest.mark.parametrize("fuse", [True, pytest.param(False, marks=pytest.mark.nightly)])
def test_frozen_blocks_stay_as_they_are(config: TrainingConfig, tmp_path: Path, fuse: bool) -> None:
    config = changed(config, freeze=1, epochs=1, fuse=fuse, ema_decay=0.0)
    task = open_task(config.data)
    before = parameters_of(start(config.recipe, len(task.labels)))
    loop.train(config, tmp_path, command="")
    after = read_checkpoint(tmp_path / "ghostnet.ckpt")
    kept = {name for name in before if np.array_equal(before[name], after[name])}
    assert kept == {name for name in before if name.startswith(("conv_stem.", "bn1.", "blocks.0."))}


def test_more_blocks_than_there_are_cannot_be_frozen(
    config: TrainingConfig, tmp_path: Path
) -> None:
    with pytest.raises(TrainingError, match="freeze: the network has 1 blocks"):
        loop.train(changed(config, freeze=2), tmp_path, command="")


@pytest.mark.parametrize("fuse", [True, *at_night(False)])
def test_a_backbone_of_rate_0_stays_as_it_is(
    images: Path, whole_run: Path, tmp_path: Path, fuse: bool
) -> None:
    start = str(whole_run / "card.md")
    settings = {"model": start, "backbone_rate": 0, "learning_rate": 1.0, "fuse": fuse}
    config = check({"data": images, **SMALL, **settings}, "test")
    loop.train(config, tmp_path / "whole", command="")
    before = read_checkpoint(whole_run / "ghostnet.ckpt")
    after = read_checkpoint(tmp_path / "whole/ghostnet.ckpt")
    changed = {name for name in before if not np.array_equal(before[name], after[name])}
    assert changed == {"classifier.weight", "classifier.bias"}
    rows = read_log(tmp_path / "whole", 3)
    assert rows[-1].loss < rows[0].loss
    with pytest.raises(KeyboardInterrupt):
        loop.train(config, tmp_path / "halted", command="", progress=interrupt_at(3))
    loop.train(config, tmp_path / "halted", command="", resume=True)
    for name in ("state.ckpt", "ghostnet.ckpt"):
        assert sha256_of(tmp_path / "whole" / name) == sha256_of(tmp_path / "halted" / name)


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 20), st.integers(1, 50), st.floats(0, 30))
def test_the_rate_rises_then_falls(epochs: int, steps: int, warmup: float) -> None:
    recipe = Recipe(epochs=epochs, warmup_epochs=warmup)
    rates = learning_rates(recipe, steps)
    assert len(rates) == epochs * steps
    top = int(rates.argmax())
    assert rates[top] == pytest.approx(recipe.learning_rate, rel=1e-6)
    assert (np.diff(rates[: top + 1]) > 0).all()
    assert (np.diff(rates[top:]) < 0).all()
    assert (rates > 0).all()
    if len(rates) > 2:
        assert rates[-1] < rates[top] / 2 + 1e-9


def test_the_moving_average_follows_weights_and_statistics() -> None:
    network = GhostNet(TINY, 3)
    parameters = ParameterTuple(network.get_parameters())
    average = MovingAverage(parameters)
    expected = [p.asnumpy().copy() for p in parameters]
    generator = np.random.default_rng(0)
    for step in range(3):
        decay = ema_decay(step, 0.2)
        for index, parameter in enumerate(parameters):
            values = generator.normal(size=parameter.shape).astype(np.float32)
            parameter.set_data(Tensor(values))
            expected[index] = decay * expected[index] + (1 - decay) * values
        average(Tensor(decay, ms.float32))
    for found, values in zip(average.averages, expected, strict=True):
        np.testing.assert_allclose(found.asnumpy(), values, rtol=1e-5, atol=1e-6)
    assert {a.name for a in average.averages} == {f"ema.{p.name}" for p in parameters}


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_the_loss_is_the_cross_entropy(smoothing: float) -> None:
    generator = np.random.default_rng(0)
    logits = Tensor(generator.normal(size=(6, 5)).astype(np.float32))
    labels = generator.integers(0, 5, 6).astype(np.int32)
    expected = ms.ops.cross_entropy(logits, Tensor(labels), label_smoothing=smoothing)
    shares = Targets(labels, 5, smoothing=smoothing)(labels)
    found = LossCell(nn.Identity())(logits, Tensor(shares))
    assert float(found) == pytest.approx(float(expected), rel=1e-5)


def test_dropout_keeps_the_mean_and_can_be_repeated() -> None:
    dropout = MaskDropout(64, 100, 0.2).set_train()
    ones = Tensor(np.ones((64, 100), np.float32))
    dropout.draw(np.random.default_rng([0, 5]))
    first = dropout(ones).asnumpy()
    assert set(np.unique(first)) == {np.float32(0), np.float32(1.25)}
    assert first.mean() == pytest.approx(1, abs=0.03)
    dropout.draw(np.random.default_rng([0, 6]))
    assert not np.array_equal(dropout(ones).asnumpy(), first)
    dropout.draw(np.random.default_rng([0, 5]))
    np.testing.assert_array_equal(dropout(ones).asnumpy(), first)
    assert (dropout.set_train(False)(ones).asnumpy() == 1).all()


# Several workers ----------------------------------------------------------------------------


@pytest.mark.nightly
def test_two_workers_average_the_gradients_of_their_shards(images: Path, tmp_path: Path) -> None:
    one_step = {"batch_size": 8, "epochs": 1, "weight_decay": 0}
    held_out = str(draw(tmp_path / "held out", 7))
    config = check({"data": images, **SMALL, **one_step, "val": held_out}, "test")
    (tmp_path / "config.yaml").write_text(as_yaml(config))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    msrun = [Path(sys.executable).with_name("msrun"), "--worker_num=2", "--local_worker_num=2",
             f"--master_port={port}", f"--log_dir={tmp_path / 'logs'}", "--join=True",
             TESTS / "tiny_network.py", "train", "--config", tmp_path / "config.yaml",
             "--out", tmp_path / "run"]  # fmt: skip
    done = subprocess.run([*map(str, msrun)], env=environment(), capture_output=True, timeout=240)
    logs = "".join(log.read_text() for log in (tmp_path / "logs").glob("worker_*.log"))
    assert done.returncode == 0, logs
    assert {path.name for path in (tmp_path / "run").iterdir()} == {
        "card.md", "config.yaml", "curve.png", "ghostnet.ckpt", "log.csv", "report.html",
        "state.ckpt",
    }  # fmt: skip
    state = read_checkpoint(tmp_path / "run" / "state.ckpt")
    shards = []
    for rank in (0, 1):
        trainer = make_trainer(config, Worker(rank, 2))
        trainer.take(next(iter(trainer.batches.epoch(0))))
        # After the first step, momentum is the gradient.
        shards.append({moment.name: moment.asnumpy() for moment in trainer.optimizer.moments})
    for name, first in shards[0].items():
        mean = (first + shards[1][name]) / 2
        scale = np.abs(mean).max() + 1e-6
        np.testing.assert_allclose(state[name] / scale, mean / scale, atol=1e-4, err_msg=name)
    first, second = (shard["moments.classifier.weight"] for shard in shards)
    assert np.abs(first - second).max() > 0.1 * np.abs(first).max()  # the shards do differ


def test_a_run_that_diverges_stops_and_keeps_its_last_finite_state(
    config: TrainingConfig, tmp_path: Path
) -> None:
    wild = changed(config, learning_rate=1e6, warmup_epochs=0.0, epochs=8)
    with pytest.raises(TrainingError, match=r"is nan|is inf|NaN or infinite"):
        loop.train(wild, tmp_path, command="")
    for checkpoint in tmp_path.glob("*.ckpt"):
        for name, values in read_checkpoint(checkpoint).items():
            assert np.isfinite(values).all(), (checkpoint, name)


# The log elsewhere --------------------------------------------------------------------------


def test_tensorboard_reads_the_log(
    ghostnet: Ghostnet, config: TrainingConfig, tmp_path: Path
) -> None:
    pytest.importorskip("tensorboardX", reason="needs the extra tensorboard")
    from tensorboardX.proto.event_pb2 import Event

    ghostnet("train", *words(changed(config, epochs=2)), "--out", tmp_path, "--tensorboard")
    (file,) = tmp_path.glob("events.out.tfevents.*")
    content, events = file.read_bytes(), []
    while content:  # a record: its length, a checksum, the event, a checksum
        length = int.from_bytes(content[:8], "little")
        events.append(Event.FromString(content[12 : 12 + length]))
        content = content[16 + length :]
    found = {(e.step, v.tag): v.simple_value for e in events for v in e.summary.value}
    rows = read_log(tmp_path, 3)
    for row in rows:
        assert found[row.epoch, "loss"] == pytest.approx(row.loss)
        assert found[row.epoch, "balanced"] == pytest.approx(row.measures["balanced"])
