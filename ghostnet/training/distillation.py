"""Distillation: what a network learns from a teacher, beside the labels of its images."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ghostnet.errors import TrainingError
from ghostnet.training.answers import CENTER, Answers
from ghostnet.training.batches import Batch
from ghostnet.training.config import Lesson, TrainingConfig
from ghostnet.training.finetune import CHOICE_SHARE
from ghostnet.training.logistic_regression import LinearClassifier, Samples, choose_penalty, fit
from ghostnet.training.source import UNLABELED, Order

Reporter = Callable[[int, int], None]


@dataclass
class Distillation:
    """The lessons of a run.

    Attributes:
        answers: The teacher's answers for the training images.
        config: Settings of the run.
        num_classes: Number of classes of the run.
        head: Classifier of the run's classes on the answers; None where none was fitted.
    """

    answers: Answers
    config: TrainingConfig
    num_classes: int
    head: LinearClassifier | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        length = self.answers.teacher.length
        if self.config.teacher_lesson is Lesson.LOGITS and length != self.num_classes:
            raise TrainingError(
                f"teacher: expected logits of the {self.num_classes} classes, found {length} "
                f"values in {self.answers.teacher.output}; use teacher_lesson: head or features"
            )

    @property
    def length(self) -> int:
        """Length of a target."""
        fitted = self.config.teacher_lesson is Lesson.HEAD
        return self.num_classes if fitted else self.answers.teacher.length

    def prepare(self, view: int, order: Order, report: Reporter) -> None:
        """Ask the teacher about a view of images, and fit its head to the labels if need be."""
        if self.config.teacher_lesson is Lesson.HEAD and self.head is None:
            self._fit_head(report)
        self.answers.fill(view, order, report)

    def targets(self, batch: Batch, view: int) -> NDArray[np.float32]:
        """Return (batch_size, length): shares of the classes, or features."""
        answers = self.answers.of(view, batch.indices)
        if self.config.teacher_lesson is Lesson.FEATURES:
            return answers
        logits = self.head.logits(answers) if self.head else answers
        powers = np.exp((logits - logits.max(1, keepdims=True)) / self.config.teacher_temperature)
        return np.asarray(powers / powers.sum(1, keepdims=True), np.float32)

    def weights(self, batch: Batch) -> NDArray[np.float32]:
        """Return the (batch_size,) weights of the teacher; the labels have what is left of 1."""
        known = batch.labels != UNLABELED
        return np.where(known, self.config.teacher_share, 1).astype(np.float32)

    def _fit_head(self, report: Reporter) -> None:
        """Fit the classifier, on the teacher's answers for the labeled images."""
        labels = self.answers.source.labels()
        labeled = np.flatnonzero(labels != UNLABELED)
        self.answers.fill(CENTER, labeled, report)
        samples = Samples(self.answers.of(CENTER, labeled), labels[labeled])
        order = np.random.default_rng(self.config.seed).permutation(labeled.size)
        chosen = order[: max(1, round(CHOICE_SHARE * labeled.size))]
        rest = np.setdiff1d(order, chosen)
        penalty = choose_penalty(_take(samples, rest), _take(samples, chosen), self.num_classes)
        self.head = fit(samples, self.num_classes, penalty)


def _take(samples: Samples, order: Order) -> Samples:
    return Samples(samples.features[order], samples.classes[order])
