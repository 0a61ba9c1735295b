"""Classes with different numbers of images: warnings, weights, sampling, the best epoch."""

import csv
from pathlib import Path

import mindspore as ms
import numpy as np
import pytest
from command_line import Ghostnet
from hypothesis import given
from hypothesis import strategies as st
from tiny_network import TINY_MODEL
from toy_images import draw

from ghostnet.data.image_folder import read_folder
from ghostnet.model.evaluation import tally
from ghostnet.models import MODELS
from ghostnet.training.augment import Augment
from ghostnet.training.class_balance import balanced_sample, class_weights
from ghostnet.training.config import Balance, BestBy, TrainingConfig, check
from ghostnet.training.head.logistic_regression import Samples, fit
from ghostnet.training.run import loop
from ghostnet.training.run.batches import Batches, Worker
from ghostnet.training.run.log import read_log
from ghostnet.training.run.loop import score_of
from ghostnet.training.source import FolderSource


@pytest.fixture(scope="module")
def unbalanced(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve images of each of two classes, and two of a third."""
    images = draw(tmp_path_factory.mktemp("images") / "train", 12)
    for number in range(2, 12):
        (images / "rot" / f"{number}.png").unlink()
    return images


@pytest.fixture
def config(unbalanced: Path, monkeypatch: pytest.MonkeyPatch) -> TrainingConfig:
    monkeypatch.setitem(MODELS, "tiny", TINY_MODEL)
    ms.set_context(mode=ms.GRAPH_MODE)
    settings = {"architecture": "tiny", "image_size": 32, "batch_size": 4, "epochs": 2}
    return check({"data": unbalanced, **settings}, "test")


LABELS = st.lists(st.integers(0, 4), min_size=1, max_size=60).map(np.array)


@given(LABELS)
def test_weights_give_every_class_the_same_part(labels: np.ndarray) -> None:
    weights = class_weights(labels, 6)[labels]
    parts = [weights[labels == index].sum() for index in np.unique(labels)]
    np.testing.assert_allclose(parts, len(labels) / len(parts))


@given(LABELS, st.integers(0, 3), st.integers(0, 100))
def test_a_sample_has_as_many_images_of_each_class(
    labels: np.ndarray, unlabeled: int, seed: int
) -> None:
    known, labels = len(labels), np.append(labels, np.full(unlabeled, -1))
    drawn = balanced_sample(labels, np.random.default_rng(seed))
    assert len(drawn) == len(labels)
    met = np.bincount(drawn, minlength=len(labels))
    assert (met[known:] == 1).all()
    classes = np.bincount(labels[drawn][labels[drawn] >= 0])
    assert np.ptp(classes[np.unique(labels[:known])]) <= 1
    for index in np.unique(labels):
        assert np.ptp(met[labels == index]) <= 1


def test_an_epoch_shows_small_classes_several_times(unbalanced: Path) -> None:
    source = FolderSource(read_folder(unbalanced).files)
    augment = Augment(32, color_jitter=0.4)
    batches = Batches(source, augment, 4, 3, 2, balance=Balance.SAMPLING)
    epoch = [*batches.epoch(0)]
    labels = np.concatenate([batch.labels for batch in epoch])
    assert np.ptp(np.bincount(labels)) <= 2  # two images do not fill a batch
    indices = np.concatenate([batch.indices for batch in epoch])
    images = np.concatenate([batch.images for batch in epoch])
    again = [
        images[indices == index] for index in np.unique(indices) if (indices == index).sum() > 1
    ]
    assert again
    assert all(not np.array_equal(seen[0], seen[1]) for seen in again)
    for found, expected in zip(batches.epoch(0, 3), epoch[3:], strict=True):
        np.testing.assert_array_equal(found.images, expected.images)


def test_workers_share_a_balanced_epoch(unbalanced: Path) -> None:
    source = FolderSource(read_folder(unbalanced).files)
    whole = Batches(source, Augment(32), 4, 3, balance=Balance.SAMPLING).order(1)
    halves = [
        Batches(source, Augment(32), 2, 3, worker=Worker(rank, 2), balance=Balance.SAMPLING).order(
            1
        )
        for rank in range(2)
    ]
    np.testing.assert_array_equal(np.sort(np.hstack(halves)), np.sort(whole))


def test_a_balanced_classifier_finds_the_small_class() -> None:
    generator = np.random.default_rng(0)
    classes = np.repeat([0, 1], [200, 6])
    features = generator.normal(size=(206, 3)) + 1.5 * classes[:, None]

    def found(balanced: bool) -> float:
        head = fit(Samples(features.astype(np.float32), classes, balanced), 2, 0.1)
        return float((head.logits(features[200:]).argmax(1) == 1).mean())

    assert found(balanced=False) < 0.5
    assert found(balanced=True) > 0.8


def test_the_balanced_accuracy_is_the_mean_of_the_classes() -> None:
    truths = np.array([0] * 9 + [1])
    evaluation = tally(("many", "few"), truths, np.tile(np.float32([1, 0]), (10, 1)))
    assert (evaluation.top1, evaluation.balanced) == (0.9, 0.5)
    assert evaluation.class_images == {"many": 9, "few": 1}
    assert score_of(evaluation, BestBy.TOP1) > score_of(evaluation, BestBy.BALANCED)


def test_finetune_warns_and_evens_out(
    ghostnet: Ghostnet, unbalanced: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    words = ("finetune", unbalanced, "--out", tmp_path / "out", "--balance", "weights")
    answer = ghostnet.json(*words)
    assert answer["class_images"] == {"blue one": 2, "Green": 2, "rot": 1}
    assert answer["balanced"] == pytest.approx(sum(answer["per_class"].values()) / 3)
    assert "rot has 1 training images, " in caplog.text
    ghostnet("finetune", unbalanced, "--out", tmp_path / "b", "--patience", 3, status=2)
    assert "needs --mode full" in ghostnet.err


MIXED = {"mixup": 0.8, "cutmix": 1.0, "reprob": 0.5, "aa": "rand-m9-mstd0.5"}


@pytest.mark.nightly
@pytest.mark.parametrize(
    "chosen",
    [{"balance": "weights", **MIXED}, {"balance": "sampling", "freeze": 1, "layer_decay": 0.7}],
)
def test_a_balanced_run_resumes_bit_for_bit(
    config: TrainingConfig, tmp_path: Path, chosen: dict
) -> None:
    config = check(config.settings | {**chosen, "best_by": "balanced"}, "test")

    def stop(progress: loop.Progress) -> None:
        if progress.step == 7:
            raise KeyboardInterrupt

    loop.train(config, tmp_path / "whole", command="")
    with pytest.raises(KeyboardInterrupt):
        loop.train(config, tmp_path / "halted", command="", progress=stop)
    loop.train(config, tmp_path / "halted", command="", resume=True)
    assert (tmp_path / "whole/state.ckpt").read_bytes() == (
        tmp_path / "halted/state.ckpt"
    ).read_bytes()
    rows = read_log(tmp_path / "whole", 2)
    assert all(0 <= row.measures["balanced"] <= 1 for row in rows)


def test_a_run_stops_without_a_better_epoch_and_goes_on_with_more_patience(
    config: TrainingConfig, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    # Hardly anything is learned at this rate, and accuracies of six images soon repeat.
    still = {"learning_rate": 1e-9, "ema_decay": 0.0, "epochs": 20, "patience": 2}
    config = check(config.settings | still, "test")
    loop.train(config, tmp_path, command="")
    shares = [float(row["top1"]) for row in epochs(tmp_path)]
    best = 1 + shares.index(max(shares))
    assert len(shares) == best + 2
    assert f"stopped after epoch {best + 2}: none was better since epoch {best}" in caplog.text
    loop.train(config, tmp_path, command="", resume=True)
    assert len(epochs(tmp_path)) == best + 2
    more = check(config.settings | {"patience": 3}, "test")
    loop.train(more, tmp_path, command="", resume=True)
    assert len(epochs(tmp_path)) > best + 2


def epochs(out: Path) -> list[dict[str, str]]:
    with (out / "log.csv").open() as file:
        return [*csv.DictReader(file)]
