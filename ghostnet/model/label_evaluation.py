"""How well a model finds the labels of images that may have several."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ghostnet.model.probabilities import probabilities_of

NEUTRAL = 0.5
"""Threshold where nothing speaks for another."""

LEAST = 1e-6
"""Least distance of a threshold from 0 and 1."""


@dataclass(frozen=True)
class LabelEvaluation:
    """The result of an evaluation on images that may have several labels.

    Attributes:
        labels: Labels of the model.
        truths: (images, labels), whether an image has a label.
        logits: (images, labels) float32.
        thresholds: Probability from which each label is given.
        skipped: Images that could not be decoded, with the reason.
    """

    labels: tuple[str, ...]
    truths: NDArray[np.bool_]
    logits: NDArray[np.float32]
    thresholds: tuple[float, ...]
    skipped: tuple[tuple[str, str], ...] = ()

    @property
    def images(self) -> int:
        """Number of images that were labeled."""
        return len(self.truths)

    @cached_property
    def probabilities(self) -> NDArray[np.float64]:
        """(images, labels): the probability of each label."""
        return probabilities_of(self.logits, multi_label=True)

    @cached_property
    def given(self) -> NDArray[np.bool_]:
        """(images, labels), whether the model gives a label."""
        return self.probabilities >= np.array(self.thresholds)

    @property
    def losses(self) -> NDArray[np.float64]:
        """(images,): the cross-entropy of each image, summed over the labels."""
        signs = np.where(self.truths, -1.0, 1.0)
        return np.asarray(np.logaddexp(0, signs * self.logits).sum(axis=1))

    @property
    def label_images(self) -> dict[str, int]:
        """Number of images of each label that has any."""
        counts = self.truths.sum(axis=0).tolist()
        return {label: count for label, count in zip(self.labels, counts, strict=True) if count}

    @cached_property
    def average_precision(self) -> dict[str, float]:
        """Average precision of each label that has images, between 0 and 1."""
        columns = zip(self.labels, self.truths.T, self.logits.T, strict=True)
        return {
            label: average_precision(own, logits) for label, own, logits in columns if own.any()
        }

    @property
    def mean_average_precision(self) -> float:
        """Mean of the labels' average precisions; 0 where no image has a label."""
        return _mean(self.average_precision.values())

    @cached_property
    def precision(self) -> dict[str, float]:
        """Share of the images that are given a label and have it; 0 for a label never given."""
        return self._shares_of(self.given.sum(axis=0))

    @cached_property
    def recall(self) -> dict[str, float]:
        """Share of the images with a label that are given it."""
        return self._shares_of(self.truths.sum(axis=0))

    @cached_property
    def f1(self) -> dict[str, float]:
        """Harmonic mean of precision and recall of each label that has images."""
        return self._shares_of((self.given.sum(axis=0) + self.truths.sum(axis=0)) / 2)

    @property
    def measures(self) -> dict[str, float]:
        """The figures in a log: mean average precision, and the mean of the labels' F1."""
        return {
            "mean_average_precision": self.mean_average_precision,
            "f1": _mean(self.f1.values()),
        }

    def with_best_thresholds(self) -> "LabelEvaluation":
        """Return the evaluation with the thresholds that `choose_thresholds` finds best for it."""
        return replace(self, thresholds=choose_thresholds(self.truths, self.logits))

    def as_dict(self) -> dict[str, Any]:
        """Return the evaluation as JSON types; shares lie between 0 and 1."""
        return {
            "images": self.images,
            **self.measures,
            "average_precision": self.average_precision,
            "precision": self.precision,
            "recall": self.recall,
            "per_label_f1": self.f1,
            "label_images": self.label_images,
            "labels": list(self.labels),
            "thresholds": list(self.thresholds),
            "skipped": [{"file": file, "error": error} for file, error in self.skipped],
        }

    def _shares_of(self, counts: NDArray[Any]) -> dict[str, float]:
        """Divide the right answers of each label that has images by a count."""
        right = (self.given & self.truths).sum(axis=0)
        rows = zip(self.labels, right, counts, self.truths.sum(axis=0), strict=True)
        return {label: float(n / max(count, 1)) for label, n, count, total in rows if total}


def average_precision(truths: NDArray[np.bool_], scores: NDArray[Any]) -> float:
    """Return the mean, over the images with a label, of the precision down to each of them.

    Images with the same score stand at the same rank.

    Args:
        truths: (images,), with at least one true.
        scores: (images,), higher for likelier ones.
    """
    hits, ranks, _ = _cuts(truths, scores)
    return float((hits / ranks * np.diff(hits, prepend=0)).sum() / hits[-1])


def choose_thresholds(truths: NDArray[np.bool_], logits: NDArray[np.float32]) -> tuple[float, ...]:
    """Choose the probability from which each label is given: the one with the highest F1.

    Among equals it is the one nearest to 0.5, which is also that of a label without images.

    Args:
        truths: (images, labels), whether an image has a label.
        logits: (images, labels).
    """
    probabilities = probabilities_of(logits, multi_label=True)
    return tuple(map(_threshold, truths.T, probabilities.T))


def _threshold(truths: NDArray[np.bool_], probabilities: NDArray[np.float64]) -> float:
    if not truths.any():
        return NEUTRAL
    hits, ranks, lowest = _cuts(truths, probabilities)
    next_lower = np.append(lowest[1:], 0.0)
    holds_neutral = (next_lower < NEUTRAL) & (lowest >= NEUTRAL)
    places = np.where(holds_neutral, NEUTRAL, (lowest + next_lower) / 2)
    scores = 2 * hits / (ranks + hits[-1])
    best = np.flatnonzero(scores == scores.max())
    chosen = places[best[np.abs(places[best] - NEUTRAL).argmin()]]
    return float(f"{np.clip(chosen, LEAST, 1 - LEAST):.6g}")


def _cuts(
    truths: NDArray[np.bool_], scores: NDArray[Any]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[Any]]:
    """Return the numbers of right images and of all that reach each different score, and it."""
    order = np.argsort(-scores, kind="stable")
    ordered = scores[order]
    ends = np.append(np.flatnonzero(np.diff(ordered)), len(ordered) - 1)
    return np.cumsum(truths[order])[ends], ends + 1, ordered[ends]


def _mean(values: Iterable[float]) -> float:
    found = [*values]
    return sum(found) / len(found) if found else 0.0
