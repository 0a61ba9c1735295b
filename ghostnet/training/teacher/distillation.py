"""Distillation: what a network learns from a teacher besides the labels of its images."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from unicodedata import normalize

import numpy as np
from numpy.typing import NDArray

from ghostnet.errors import TrainingError, listed
from ghostnet.training.config import Lesson, TeacherSettings
from ghostnet.training.head.logistic_regression import (
    CHOICE_SHARE,
    LinearClassifier,
    Samples,
    choose_penalty,
    fit,
)
from ghostnet.training.source import Order
from ghostnet.training.targets import UNLABELED
from ghostnet.training.teacher.answers import CENTER, Answers

log = logging.getLogger(__name__)

Reporter = Callable[[int, int], None]


@dataclass
class Distillation:
    """The lessons of a run.

    Attributes:
        answers: The teacher's answers for the training images.
        settings: Settings of the teacher.
        labels: Names of the run's classes.
        seed: Seed of the choice of images that the head's penalty is chosen on.
        balanced: The head gives every class the same weight.
        head: Classifier of the run's classes on the answers; None where none was fitted.
        columns: Places of the run's classes in the answers, where those are logits of classes.

    Raises:
        TrainingError: The network is to learn logits, and the teacher lacks a class.
    """

    answers: Answers
    settings: TeacherSettings
    labels: tuple[str, ...]
    seed: int
    balanced: bool = False
    head: LinearClassifier | None = field(default=None, init=False)
    columns: list[int] | None = field(init=False)

    def __post_init__(self) -> None:
        self.columns = self._columns() if self.settings.lesson is Lesson.LOGITS else None

    @property
    def length(self) -> int:
        """Length of a target."""
        features = self.settings.lesson is Lesson.FEATURES
        return self.answers.teacher.length if features else len(self.labels)

    def prepare(self, view: int, order: Order, report: Reporter) -> None:
        """Ask the teacher about a view of images; first fit its head to the labels if needed."""
        if self.settings.lesson is Lesson.HEAD and self.head is None:
            self._fit_head(report)
        self.answers.fill(view, order, report)

    def targets(self, indices: Order, view: int) -> NDArray[np.float32]:
        """Return (n, length) for images of a view: shares of the classes, or features."""
        answers = self.answers.of(view, indices)
        if self.settings.lesson is Lesson.FEATURES:
            return answers
        logits = self.head.logits(answers) if self.head else answers[:, self.columns]
        powers = np.exp((logits - logits.max(1, keepdims=True)) / self.settings.temperature)
        return np.asarray(powers / powers.sum(1, keepdims=True), np.float32)

    def weights(self, labels: NDArray[np.int32]) -> NDArray[np.float32]:
        """Return the (n,) weights of the teacher; the weights of the labels are the rest of 1."""
        known = labels != UNLABELED
        return np.where(known, self.settings.share, 1).astype(np.float32)

    def _columns(self) -> list[int]:
        """Return the places of the run's classes in the teacher's answers."""
        teacher = self.answers.teacher
        advice = "use teacher_lesson: head or features"
        teacher.check_classes(advice)
        if teacher.classes:
            names = [normalize("NFC", label) for label in self.labels]
            missing = [name for name in names if teacher.classes.count(name) != 1]
            if missing:
                raise TrainingError(
                    f"teacher: {teacher.name} has no single class for {listed(missing)}; its "
                    f"classes are {listed(teacher.classes)}; {advice}"
                )
            return [teacher.classes.index(name) for name in names]
        if teacher.length != len(self.labels):
            raise TrainingError(
                f"teacher: {teacher.output} of {teacher.name} has {teacher.length} values, but "
                f"there are {len(self.labels)} classes to learn; {advice}"
            )
        log.warning(
            "teacher: %s does not name its classes; they are taken in the order of the run's (%s), "
            "unless --teacher-labels names them",
            teacher.name,
            listed(self.labels),
        )
        return [*range(teacher.length)]

    def _fit_head(self, report: Reporter) -> None:
        """Fit the classifier, on the teacher's answers for the labeled images."""
        labels = self.answers.source.labels
        labeled = np.flatnonzero(labels != UNLABELED)
        self.answers.fill(CENTER, labeled, report)
        samples = Samples(self.answers.of(CENTER, labeled), labels[labeled], self.balanced)
        order = np.random.default_rng(self.seed).permutation(labeled.size)
        chosen = order[: max(1, round(CHOICE_SHARE * labeled.size))]
        rest = np.setdiff1d(order, chosen)
        penalty = choose_penalty(_take(samples, rest), _take(samples, chosen), len(self.labels))
        self.head = fit(samples, len(self.labels), penalty)


def _take(samples: Samples, order: Order) -> Samples:
    return replace(samples, features=samples.features[order], targets=samples.targets[order])
