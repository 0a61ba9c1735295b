"""Distillation: what a network learns from a teacher, beside the labels of its images."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ghostnet.errors import TrainingError
from ghostnet.training.config import Lesson, TeacherSettings
from ghostnet.training.head.logistic_regression import (
    CHOICE_SHARE,
    LinearClassifier,
    Samples,
    choose_penalty,
    fit,
)
from ghostnet.training.source import UNLABELED, Order
from ghostnet.training.teacher.answers import CENTER, Answers

Reporter = Callable[[int, int], None]


@dataclass
class Distillation:
    """The lessons of a run.

    Attributes:
        answers: The teacher's answers for the training images.
        settings: Settings of the teacher.
        num_classes: Number of classes of the run.
        seed: Seed of the choice of images that the head's penalty is chosen on.
        head: Classifier of the run's classes on the answers; None where none was fitted.
    """

    answers: Answers
    settings: TeacherSettings
    num_classes: int
    seed: int
    head: LinearClassifier | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        length = self.answers.teacher.length
        if self.settings.lesson is Lesson.LOGITS and length != self.num_classes:
            raise TrainingError(
                f"teacher: expected logits of the {self.num_classes} classes, found {length} "
                f"values in {self.answers.teacher.output}; use teacher_lesson: head or features"
            )

    @property
    def length(self) -> int:
        """Length of a target."""
        fitted = self.settings.lesson is Lesson.HEAD
        return self.num_classes if fitted else self.answers.teacher.length

    def prepare(self, view: int, order: Order, report: Reporter) -> None:
        """Ask the teacher about a view of images, and fit its head to the labels if need be."""
        if self.settings.lesson is Lesson.HEAD and self.head is None:
            self._fit_head(report)
        self.answers.fill(view, order, report)

    def targets(self, indices: Order, view: int) -> NDArray[np.float32]:
        """Return (n, length) for images of a view: shares of the classes, or features."""
        answers = self.answers.of(view, indices)
        if self.settings.lesson is Lesson.FEATURES:
            return answers
        logits = self.head.logits(answers) if self.head else answers
        powers = np.exp((logits - logits.max(1, keepdims=True)) / self.settings.temperature)
        return np.asarray(powers / powers.sum(1, keepdims=True), np.float32)

    def weights(self, labels: NDArray[np.int32]) -> NDArray[np.float32]:
        """Return the (n,) weights of the teacher; the labels have what is left of 1."""
        known = labels != UNLABELED
        return np.where(known, self.settings.share, 1).astype(np.float32)

    def _fit_head(self, report: Reporter) -> None:
        """Fit the classifier, on the teacher's answers for the labeled images."""
        labels = self.answers.source.labels()
        labeled = np.flatnonzero(labels != UNLABELED)
        self.answers.fill(CENTER, labeled, report)
        samples = Samples(self.answers.of(CENTER, labeled), labels[labeled])
        order = np.random.default_rng(self.seed).permutation(labeled.size)
        chosen = order[: max(1, round(CHOICE_SHARE * labeled.size))]
        rest = np.setdiff1d(order, chosen)
        penalty = choose_penalty(_take(samples, rest), _take(samples, chosen), self.num_classes)
        self.head = fit(samples, self.num_classes, penalty)


def _take(samples: Samples, order: Order) -> Samples:
    return Samples(samples.features[order], samples.classes[order])
