"""Verify a hub card: recompute every figure that it claims, or report it as not checked.

Multiply-adds, which cards call FLOPs, are counted as in `ghostnet.models.complexity`.
"""

import re
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import cache
from pathlib import Path

import numpy as np

from ghostnet.checkpoints import Parameters, check_parameters, classifier_names, form_of
from ghostnet.data import oxford_pets
from ghostnet.data.image_folder import ImageFolder
from ghostnet.data.labels import unknown_labels
from ghostnet.data.transforms import Preprocess
from ghostnet.errors import (
    CardError,
    CheckpointError,
    FetchError,
    IntegrityError,
    ModelError,
)
from ghostnet.hub.card import ModelCard
from ghostnet.hub.catalog import find_card
from ghostnet.hub.checkpoint_file import locate, released_parameters
from ghostnet.hub.verified_file import found_hash, matches
from ghostnet.model import Model
from ghostnet.model.evaluation import Evaluation
from ghostnet.model.forward import open_forward
from ghostnet.models import Architecture, Complexity, complexity, find_model, network_spec

DATASET_CLASSES = {"ImageNet2012": 1000, oxford_pets.NAME: oxford_pets.CLASSES}
FLOPS_TOLERANCE = 0.01
"""Largest relative difference of FLOPs: cards round them, and count a few more operations."""

LATENCY_CALLS = 20


class Verdict(str, Enum):
    """The result of checking a claim; *reported* figures are measured but not claimed."""

    PASSED = "passed"
    FAILED = "failed"
    NOT_CHECKED = "not checked"
    REPORTED = "reported"


@dataclass(frozen=True)
class Check:
    """One line of a verification.

    Attributes:
        subject: Subject of the claim.
        claim: Claimed figure; empty if the card claims none.
        measured: Recomputed figure; empty if there is none.
        verdict: Result of the comparison.
        reason: Why the check failed or was skipped.
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
    allow_short_hash: bool = False,
) -> list[Check]:
    """Check every claim of a card.

    Args:
        name: UID, card file or card URL.
        data: Images of the card's data set, to recompute the accuracy: a folder for each class or,
            for Oxford-IIIT Pet, the data set as distributed.
        cache_dir: Root of the cache; by default ``GHOSTNET_CACHE`` or ``~/.mscache``.
        progress: Called with 1 for each image.
        allow_short_hash: As in `ghostnet.hub.load`.

    Raises:
        CardError: There is no such card, it is malformed, or it does not describe a GhostNet.
        DatasetError: ``data`` does not have the classes of the card.
    """
    card = find_card(name, allow_short_hash=allow_short_hash)
    architecture = card.architecture
    checks, found = _check_asset(card, cache_dir)
    if found:
        architecture = form_of(found, architecture)
    classes = _num_classes(card, architecture, found)
    shapes = network_spec(architecture, classes).parameter_shapes()
    fit = _check_parameters(shapes, classes, found)
    fits = found is not None and fit.verdict is Verdict.PASSED
    # The latency does not depend on the weights: zeros replace a missing checkpoint.
    parameters = (
        found if fits else {key: np.zeros(shape, np.float32) for key, shape in shapes.items()}
    )
    labels = card.labels or unknown_labels(classes)
    preprocess = Preprocess(architecture.image_size)
    model = Model(card.name, architecture, parameters or {}, labels, preprocess).merged
    accuracy = Accuracy(card, "needs --data, a folder of the card's data set")
    images = None
    if not fits:
        accuracy = Accuracy(card, "needs the card's checkpoint")
    elif card.thresholds is not None:
        accuracy = Accuracy(card, "an image may have several labels: use `ghostnet eval`")
    elif data:
        images = oxford_pets.read_test_set(data)
        answers = model.evaluate(images, progress=progress)
        assert isinstance(answers, Evaluation)  # since the model has no thresholds
        accuracy = Accuracy(card, answers)
    return [
        *checks,
        fit,
        _check_input(card, model),
        *_left_out(images),
        *accuracy.checks(),
        *_check_tables(card, model, accuracy),
        _latency(model),
    ]


def _num_classes(card: ModelCard, architecture: Architecture, parameters: Parameters | None) -> int:
    if card.labels:
        return len(card.labels)
    weight, _ = classifier_names(architecture)
    if parameters and weight in parameters:
        return len(parameters[weight])
    return DATASET_CLASSES.get(card.dataset or "", 1000)


# The file ------------------------------------------------------------------------------------


def _check_asset(card: ModelCard, cache_dir: Path | None) -> tuple[list[Check], Parameters | None]:
    """Check the checkpoint file, and return its parameters if it is the one on the card."""
    subject = "SHA-256 of the checkpoint"
    try:
        asset = card.checkpoint
        claim = asset.sha256 or ""
        checkpoint = locate(card, cache_dir)
        found = found_hash(checkpoint.path)
        if found and not matches(found, claim):
            reason = f"{checkpoint.path} is a different file"
            return [Check(subject, claim, found, Verdict.FAILED, reason)], None
        content = checkpoint.read()
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
        return checks, released_parameters(content, str(checkpoint.path))
    except CheckpointError as error:
        readable = Check("checkpoint", "MindSpore's format", "", Verdict.FAILED, str(error))
        return [*checks, readable], None


def _check_parameters(
    shapes: dict[str, tuple[int, ...]], classes: int, parameters: Parameters | None
) -> Check:
    """Compare the names, shapes and number of the parameters with those of the network."""
    subject = "parameter names and shapes"
    claim = f"{len(shapes)} arrays, {classes} classes"
    if parameters is None:
        return Check(subject, claim, "", Verdict.NOT_CHECKED, "needs the card's checkpoint")
    measured = f"{len(parameters)} arrays"
    try:
        check_parameters(parameters, shapes)
    except CheckpointError as error:
        return Check(subject, claim, measured, Verdict.FAILED, str(error))
    return Check(subject, claim, measured, Verdict.PASSED)


def _check_input(card: ModelCard, model: Model) -> Check:
    size = model.architecture.image_size
    claim, measured = str(list(card.input_shape or ())), str([size, size, 3])
    if card.input_shape is None:
        return Check("input shape", "", measured, Verdict.REPORTED)
    return Check("input shape", claim, measured, _judge(claim == measured))


# Accuracy ------------------------------------------------------------------------------------


def _left_out(images: ImageFolder | None) -> Iterator[Check]:
    """Report the files that do not count towards the accuracy."""
    if images and images.left_out:
        yield Check("left out of the data", "", str(images.left_out), Verdict.REPORTED)


def correct_in_order(evaluation: Evaluation, order: Sequence[str]) -> int:
    """Count the correct answers if output ``i`` means ``order[i]``."""
    return sum(
        int(evaluation.confusion[truth, order.index(label)])
        for truth, label in enumerate(evaluation.labels)
    )


def stated_images(card: ModelCard) -> int | None:
    """Return the number of images that a card's accuracy refers to; None if the card does not say.

    It is the size of the card's test set, or the start of a table's entry for the data set, as in
    ``999 of the 3,669 test images``.
    """
    if card.dataset == oxford_pets.NAME:
        return oxford_pets.TEST_IMAGES
    cells = (cells for table in card.claims for cells in table.by_model().values())
    found = (re.match(r"\d[\d,]*", entry.get("Dataset", "")) for entry in cells)
    return next((int(number[0].replace(",", "")) for number in found if number), None)


class Accuracy:
    """The accuracy on a card's data set.

    Args:
        card: The card.
        answers: Evaluation of its checkpoint, or the reason why it was not evaluated.
    """

    def __init__(self, card: ModelCard, answers: Evaluation | str) -> None:
        self.card = card
        self.answers = answers
        self.correct_by_order: dict[str, int] = {}
        if isinstance(answers, str):
            return
        self.correct = answers.correct
        if card.dataset == oxford_pets.NAME:
            self.correct_by_order = {
                name: correct_in_order(answers, order)
                for name, order in oxford_pets.label_orders(answers.labels).items()
            }
            self.correct = max(self.correct_by_order.values())

    def checks(self) -> Iterator[Check]:
        """Yield the card's own accuracy and, for a released checkpoint, its exact count."""
        if self.card.accuracy is not None:
            yield self.judge("accuracy", str(self.card.accuracy), scale=1)
        if self.card.dataset == oxford_pets.NAME and not isinstance(self.answers, str):
            yield self._label_order()
        hashes = {asset.sha256 for asset in self.card.assets}
        for sha256 in hashes & set(oxford_pets.RELEASED_CORRECT):
            yield self.judge_count(oxford_pets.RELEASED_CORRECT[str(sha256)])

    def judge(self, subject: str, claim: str, scale: float) -> Check:
        """Compare a claim with the share of correct answers, multiplied by ``scale``."""
        if isinstance(self.answers, str):
            return Check(subject, claim, "", Verdict.NOT_CHECKED, self.answers)
        share = self.correct / self.answers.images
        measured = f"{scale * share:.4g} ({self.correct:,} of {self.answers.images:,})"
        if self._missing():
            return Check(subject, claim, measured, Verdict.NOT_CHECKED, self._missing())
        return Check(subject, claim, measured, _judge(rounds_to(scale * share, claim)))

    def judge_count(self, expected: int) -> Check:
        """Compare the count of correct answers with the released checkpoint's, in either order."""
        subject = "correct answers, as released"
        claim = f"{expected:,} of {oxford_pets.TEST_IMAGES:,}"
        if isinstance(self.answers, str):
            return Check(subject, claim, "", Verdict.NOT_CHECKED, self.answers)
        measured = f"{self.correct:,} of {self.answers.images:,}"
        if self._missing():
            return Check(subject, claim, measured, Verdict.NOT_CHECKED, self._missing())
        return Check(subject, claim, measured, _judge(self.correct == expected))

    def _label_order(self) -> Check:
        best = max(self.correct_by_order, key=self.correct_by_order.__getitem__)
        counts = "; ".join(f"{name}: {n:,} correct" for name, n in self.correct_by_order.items())
        return Check("label order", "", f"{counts}: {best} fits", Verdict.REPORTED)

    def _missing(self) -> str:
        """Return why these cannot be the images that the card refers to; empty if they can."""
        expected = stated_images(self.card)
        if not expected or isinstance(self.answers, str) or self.answers.images == expected:
            return ""
        return f"the card refers to {expected:,} images, not to these {self.answers.images:,}"


# The tables ----------------------------------------------------------------------------------


def _check_tables(card: ModelCard, model: Model, accuracy: Accuracy) -> Iterator[Check]:
    """Check each figure of the card's tables."""
    for table in card.claims:
        for row, cells in table.by_model().items():
            context = f"{table.title} {cells.get('Dataset', '')}"
            classes = next(
                (n for dataset, n in DATASET_CLASSES.items() if dataset in context),
                model.num_classes,
            )
            for quantity, claim in cells.items():
                if table.figure(row, quantity) is None:
                    continue
                subject = f"{table.title}: {row}: {quantity}"
                if quantity != "Accuracy (Top1)":
                    yield _check_figure(subject, quantity, claim, row, classes)
                elif _is_own(row, card) and classes == model.num_classes:
                    yield accuracy.judge(subject, claim, scale=100)
                else:
                    reason = "not what this card's checkpoint was trained for"
                    yield Check(subject, claim, "", Verdict.NOT_CHECKED, reason)


def _is_own(row: str, card: ModelCard) -> bool:
    """Whether a row of a table is about the card's own model."""
    try:
        return find_model(row) is find_model(card.name)
    except ModelError:
        return False


def _check_figure(subject: str, quantity: str, claim: str, row: str, classes: int) -> Check:
    """Check a figure that can be counted from the layers of the network."""
    if quantity not in ("Parameters (M)", "FLOPs (M)"):
        reason = "measured on another machine" if "Latency" in quantity else "cannot be computed"
        return Check(subject, claim, "", Verdict.NOT_CHECKED, reason)
    try:
        counted = count(row, classes)
    except ModelError as error:
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
    """Count the parameters and multiply-adds of a network in the cards' tables, as for inference.

    Raises:
        ModelError: The network is not known.
    """
    architecture = find_model(model).architecture.merged
    return complexity(network_spec(architecture, classes).layers(), architecture.image_size)


def rounds_to(measured: float, claim: str) -> bool:
    """Whether a number, rounded to the digits of a claim, equals it."""
    digits = len(claim.partition(".")[2])
    return abs(measured - float(claim)) <= 0.5 * 10.0**-digits * (1 + 1e-9)


def _judge(passed: bool) -> Verdict:
    return Verdict.PASSED if passed else Verdict.FAILED


def _latency(model: Model) -> Check:
    """Measure the time that one image takes on this machine."""
    image = model.preprocess.blank(1)
    forward = open_forward(model)
    forward(image)
    seconds = []
    for _ in range(LATENCY_CALLS):
        start = time.perf_counter()
        forward(image)
        seconds.append(time.perf_counter() - start)
    measured = f"{statistics.median(seconds) * 1000:.1f} ms"
    return Check("latency of one image, here", "", measured, Verdict.REPORTED)
