"""Recomputes what a card claims: each figure is measured, or said not to have been.

Multiply-adds are counted as in `ghostnet.complexity`, which is what cards call FLOPs.
"""

import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum
from functools import cache
from pathlib import Path

import mindspore as ms
import numpy as np
from mindspore import nn

from ghostnet import oxford_pets
from ghostnet.checkpoint import HEAD, Parameters, load_parameters, parse_checkpoint
from ghostnet.complexity import Complexity, complexity
from ghostnet.errors import (
    CardError,
    CheckpointError,
    FetchError,
    GhostNetError,
    IntegrityError,
)
from ghostnet.extras import needs
from ghostnet.hub.cache import asset_folder
from ghostnet.hub.card import ModelCard
from ghostnet.hub.fetch import location
from ghostnet.hub.find import fetch_checkpoint, find
from ghostnet.hub.loader import Model
from ghostnet.hub.store import file_hash, read_verified
from ghostnet.kernels import fuse_if_possible
from ghostnet.network import ARCHITECTURES, GhostNet
from ghostnet.predict import Classifier
from ghostnet.training.evaluation import Evaluation, evaluate
from ghostnet.training.folders import read_folder
from ghostnet.transforms import Preprocess

NETWORKS = {
    **{name: name for name in ARCHITECTURES},
    "ghost-1x": "ghostnet",
    "ghost-1x without se": "ghostnet_nose",
    "ghost-600": "ghostnet-600",
}
"""What the cards' tables call a network, in lower case, and its name in `ARCHITECTURES`."""

MOBILENET = "mobilenetv2-1x"
DATASET_CLASSES = {"ImageNet2012": 1000, oxford_pets.NAME: oxford_pets.CLASSES}
FLOPS_TOLERANCE = 0.01
"""Cards round FLOPs, and count a little more than convolutions and dense layers."""

LATENCY_CALLS = 20


class Verdict(str, Enum):
    """What came of checking a claim; what is reported is not judged."""

    PASSED = "passed"
    FAILED = "failed"
    NOT_CHECKED = "not checked"
    REPORTED = "reported"


@dataclass(frozen=True)
class Check:
    """One line of a verification.

    Attributes:
        subject: what the claim is about.
        claim, measured: as text; empty where there is none.
        reason: why it failed or was not checked.
    """

    subject: str
    claim: str
    measured: str
    verdict: Verdict
    reason: str = ""


def verify(
    name: str | Path,
    *,
    data: Path | None = None,
    cache_dir: Path | None = None,
    progress: Callable[[int], None] = lambda count: None,
) -> list[Check]:
    """Check every claim of a card.

    Args:
        name: UID, card file or card URL.
        data: pictures of the card's data set, to measure the accuracy on: a folder for each
            class or, for Oxford-IIIT Pet, the data set as it is distributed.
        cache_dir: root of the cache; by default ``GHOSTNET_CACHE`` or ``~/.mscache``.
        progress: called with 1 for each picture.

    Raises:
        CardError: no such card, a bad one, or not a GhostNet's.
        DatasetError: ``data`` has not the classes of the card.
    """
    card = find(name)
    if card.name.lower() not in ARCHITECTURES:
        raise CardError(
            f"{card.source}: model-name {card.name!r} is none of the networks that this package "
            f"can check: {', '.join(ARCHITECTURES)}"
        )
    checks, parameters = _check_asset(name, card, cache_dir)
    network = GhostNet(ARCHITECTURES[card.name.lower()], _num_classes(card, parameters))
    network.set_train(False)
    fit = _check_parameters(network, parameters)
    accuracy = Accuracy(card, "needs --data, a folder of the card's data set")
    if fit.verdict is not Verdict.PASSED:
        accuracy = Accuracy(card, "needs the card's checkpoint")
    elif data:
        accuracy = Accuracy(card, _answers(card, network, data, progress))
    return [
        *checks,
        fit,
        _check_input(card, network),
        *accuracy.checks(),
        *_check_tables(card, network, accuracy),
        _latency(network),
    ]


def _num_classes(card: ModelCard, parameters: Parameters | None) -> int:
    if card.labels:
        return len(card.labels)
    if parameters and HEAD[0] in parameters:
        return len(parameters[HEAD[0]])
    return DATASET_CLASSES.get(card.dataset or "", 1000)


# The file ------------------------------------------------------------------------------------


def _check_asset(
    name: str | Path, card: ModelCard, cache_dir: Path | None
) -> tuple[list[Check], Parameters | None]:
    """The checks of the checkpoint file, and its parameters where it is the promised one."""
    subject = "SHA-256 of the checkpoint"
    try:
        asset = card.checkpoint
        claim = asset.sha256 or ""
        path = location(asset, asset_folder(name, asset, cache_dir))
        found = file_hash(path)
        if found and asset.verifiable and found != asset.sha256:
            reason = f"{path} is another file"
            return [Check(subject, claim, found, Verdict.FAILED, reason)], None
        path = fetch_checkpoint(name, card, cache_dir=cache_dir)
        content = read_verified(path, claim)
    except IntegrityError as error:
        verdict = Verdict.FAILED if asset.verifiable else Verdict.NOT_CHECKED
        return [Check(subject, claim, "", verdict, str(error))], None
    except (CardError, FetchError) as error:
        return [Check(subject, claim, "", Verdict.NOT_CHECKED, str(error))], None
    checks = [
        Check(subject, claim, claim, Verdict.PASSED),
        Check("size of the checkpoint", "", f"{len(content):,} bytes", Verdict.REPORTED),
    ]
    try:
        return checks, parse_checkpoint(content, str(path))
    except CheckpointError as error:
        readable = Check("checkpoint", "MindSpore's format", "", Verdict.FAILED, str(error))
        return [*checks, readable], None


def _check_parameters(network: GhostNet, parameters: Parameters | None) -> Check:
    """Load the parameters into the network; names, shapes and count must all be right."""
    subject = "parameter names and shapes"
    expected = {p.name: tuple(p.shape) for p in network.get_parameters()}
    claim = f"{len(expected)} arrays, {network.num_classes} classes"
    if parameters is None:
        return Check(subject, claim, "", Verdict.NOT_CHECKED, "needs the card's checkpoint")
    measured = f"{len(parameters)} arrays"
    try:
        load_parameters(network, parameters)
    except CheckpointError as error:
        return Check(subject, claim, measured, Verdict.FAILED, str(error))
    return Check(subject, claim, measured, Verdict.PASSED)


def _check_input(card: ModelCard, network: GhostNet) -> Check:
    size = network.architecture.image_size
    claim, measured = str(list(card.input_shape or ())), str([size, size, 3])
    if card.input_shape is None:
        return Check("input shape", "", measured, Verdict.REPORTED)
    return Check("input shape", claim, measured, _judge(claim == measured))


# Accuracy ------------------------------------------------------------------------------------


def _answers(
    card: ModelCard, network: GhostNet, data: Path, progress: Callable[[int], None]
) -> Evaluation:
    pets = card.dataset == oxford_pets.NAME
    folder = oxford_pets.read_test_set(data) if pets else read_folder(data)
    labels = card.labels or folder.classes
    model = Model(card.name, network, labels, Preprocess(network.architecture.image_size))
    return evaluate(Classifier(model), folder, progress)


class Accuracy:
    """The answers on a card's data set, or the reason why there are none, and what they prove."""

    def __init__(self, card: ModelCard, answers: Evaluation | str) -> None:
        self.card = card
        self.answers = answers
        self.correct_by_order: dict[str, int] = {}
        if isinstance(answers, str):
            return
        self.correct = answers.correct
        if card.dataset == oxford_pets.NAME:
            self.correct_by_order = {
                name: oxford_pets.correct_in_order(answers, order)
                for name, order in oxford_pets.label_orders(answers.labels).items()
            }
            self.correct = max(self.correct_by_order.values())

    def checks(self) -> Iterator[Check]:
        """The card's own accuracy and, for a released checkpoint, its exact count."""
        if self.card.accuracy is not None:
            yield self.judge("accuracy", str(self.card.accuracy), scale=1)
        if self.card.dataset == oxford_pets.NAME and not isinstance(self.answers, str):
            yield self._label_order()
        hashes = {asset.sha256 for asset in self.card.assets}
        for sha256 in hashes & set(oxford_pets.RELEASED_CORRECT):
            yield self.judge_count(oxford_pets.RELEASED_CORRECT[str(sha256)])

    def judge(self, subject: str, claim: str, scale: float) -> Check:
        """A claimed share, times ``scale``, against the share of right answers."""
        if isinstance(self.answers, str):
            return Check(subject, claim, "", Verdict.NOT_CHECKED, self.answers)
        share = self.correct / self.answers.images
        measured = f"{scale * share:.4g} ({self.correct:,} of {self.answers.images:,})"
        if self._missing():
            return Check(subject, claim, measured, Verdict.NOT_CHECKED, self._missing())
        return Check(subject, claim, measured, _judge(rounds_to(scale * share, claim)))

    def judge_count(self, expected: int) -> Check:
        """The released checkpoint's count of right answers, exactly, in either label order."""
        subject = "right answers, as released"
        claim = f"{expected:,} of {oxford_pets.TEST_PICTURES:,}"
        if isinstance(self.answers, str):
            return Check(subject, claim, "", Verdict.NOT_CHECKED, self.answers)
        measured = f"{self.correct:,} of {self.answers.images:,}"
        if self._missing():
            return Check(subject, claim, measured, Verdict.NOT_CHECKED, self._missing())
        return Check(subject, claim, measured, _judge(self.correct == expected))

    def _label_order(self) -> Check:
        best = max(self.correct_by_order, key=self.correct_by_order.__getitem__)
        counts = "; ".join(f"{name}: {n:,} right" for name, n in self.correct_by_order.items())
        return Check("label order", "", f"{counts}: {best} fits", Verdict.REPORTED)

    def _missing(self) -> str:
        """Why the pictures are not those that the card speaks of; empty where they are."""
        if self.card.dataset != oxford_pets.NAME or isinstance(self.answers, str):
            return ""
        images = self.answers.images
        if images == oxford_pets.TEST_PICTURES:
            return ""
        return f"{images:,} pictures are not the test set of {oxford_pets.TEST_PICTURES:,}"


# The tables ----------------------------------------------------------------------------------


def _check_tables(card: ModelCard, network: GhostNet, accuracy: Accuracy) -> Iterator[Check]:
    """Each figure of the card's tables."""
    for table in card.claims:
        for model, cells in table.by_model().items():
            context = f"{table.title} {cells.get('Dataset', '')}"
            classes = next(
                (n for dataset, n in DATASET_CLASSES.items() if dataset in context),
                network.num_classes,
            )
            for quantity, claim in cells.items():
                if table.figure(model, quantity) is None:
                    continue
                subject = f"{table.title}: {model}: {quantity}"
                if quantity == "Accuracy (Top1)":
                    own = NETWORKS.get(model.lower()) == card.name.lower()
                    if own and classes == network.num_classes:
                        yield accuracy.judge(subject, claim, scale=100)
                    else:
                        reason = "not what this card's checkpoint was trained for"
                        yield Check(subject, claim, "", Verdict.NOT_CHECKED, reason)
                else:
                    yield _check_figure(subject, quantity, claim, model, classes)


def _check_figure(subject: str, quantity: str, claim: str, model: str, classes: int) -> Check:
    """A figure of a table that the network itself, without weights, can answer for."""
    if quantity not in ("Parameters (M)", "FLOPs (M)"):
        reason = "measured on another machine" if "Latency" in quantity else "not known here"
        return Check(subject, claim, "", Verdict.NOT_CHECKED, reason)
    try:
        counted = count(model, classes)
    except GhostNetError as error:
        return Check(subject, claim, "", Verdict.NOT_CHECKED, str(error))
    if quantity == "Parameters (M)":
        millions = counted.parameters / 1e6
        passed = rounds_to(millions, claim)
    else:
        millions = counted.multiply_adds / 1e6
        passed = abs(float(claim) - millions) <= FLOPS_TOLERANCE * millions
    return Check(subject, claim, f"{millions:.5g}", _judge(passed))


@cache
def count(model: str, classes: int) -> Complexity:
    """Parameters and multiply-adds of a network of the cards' tables, built and counted.

    Raises:
        CardError: a network that is not known.
        PackageError: the network is MindCV's, and MindCV is not installed.
    """
    return complexity(*build(model, classes))


def build(model: str, classes: int) -> tuple[nn.Cell, int]:
    """A network of the cards' tables with fresh weights, and its image size; errors as `count`."""
    if model.lower() == MOBILENET:
        with needs("mindcv", extra="bench"):
            from mindcv.models import create_model
        return create_model("mobilenet_v2_100", num_classes=classes).set_train(False), 224
    if model.lower() not in NETWORKS:
        raise CardError(f"this package builds no network called {model}")
    architecture = ARCHITECTURES[NETWORKS[model.lower()]]
    return GhostNet(architecture, classes).set_train(False), architecture.image_size


def rounds_to(measured: float, claim: str) -> bool:
    """Whether a number agrees with a claim in all the digits that the claim gives."""
    digits = len(claim.partition(".")[2])
    return abs(measured - float(claim)) <= 0.5 * 10.0**-digits * (1 + 1e-9)


def _judge(passed: bool) -> Verdict:
    return Verdict.PASSED if passed else Verdict.FAILED


def _latency(network: GhostNet) -> Check:
    """The time of one picture on this machine."""
    size = network.architecture.image_size
    picture = ms.Tensor(np.zeros((1, 3, size, size), np.float32))
    fused = fuse_if_possible(network)
    fused(picture)
    seconds = []
    for _ in range(LATENCY_CALLS):
        start = time.perf_counter()
        fused(picture).asnumpy()
        seconds.append(time.perf_counter() - start)
    measured = f"{statistics.median(seconds) * 1000:.1f} ms"
    return Check("latency of one picture, here", "", measured, Verdict.REPORTED)
