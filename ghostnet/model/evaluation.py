"""Accuracy of a classifier on a folder of labeled images."""

import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import IO, Any
from unicodedata import normalize

import numpy as np
from numpy.typing import NDArray

from ghostnet.data.class_orders import class_orders
from ghostnet.data.image_folder import ImageFolder
from ghostnet.data.labels import unknown_labels
from ghostnet.data.multi_label import label_matrix
from ghostnet.errors import DatasetError, listed
from ghostnet.model.label_evaluation import LabelEvaluation
from ghostnet.model.result import Result
from ghostnet.packages import needs


@dataclass(frozen=True)
class Evaluation:
    """The result of an evaluation.

    Attributes:
        labels: Labels of the model.
        confusion: (classes, classes) counts, the true class first.
        in_top5: Number of images whose class is among the five likeliest.
        skipped: Images that could not be decoded, with the reason.
    """

    labels: tuple[str, ...]
    confusion: NDArray[np.int64]
    in_top5: int
    skipped: tuple[tuple[str, str], ...]

    @property
    def images(self) -> int:
        """Number of images that were classified."""
        return int(self.confusion.sum())

    @property
    def correct(self) -> int:
        """Number of images whose likeliest class is the true one."""
        return int(np.trace(self.confusion))

    @property
    def top1(self) -> float:
        """Share of correct answers, between 0 and 1."""
        return self.correct / self.images

    @property
    def top5(self) -> float:
        """Share of images whose class is among the five likeliest, between 0 and 1."""
        return self.in_top5 / self.images

    @property
    def balanced(self) -> float:
        """Mean of the classes' shares of correct answers, between 0 and 1."""
        return sum(self.per_class.values()) / len(self.per_class)

    @property
    def measures(self) -> dict[str, float]:
        """The figures in a log: top-1 and the balanced accuracy."""
        return {"top1": self.top1, "balanced": self.balanced}

    def most_confused(self, count: int = 20) -> list[tuple[str, str, int]]:
        """Return the pairs of true and predicted labels with the most wrong answers."""
        wrong = self.confusion - np.diag(np.diag(self.confusion))
        order = np.argsort(-wrong, axis=None, kind="stable")[:count]
        pairs = zip(*np.unravel_index(order, wrong.shape), strict=True)
        return [(self.labels[t], self.labels[p], int(wrong[t, p])) for t, p in pairs if wrong[t, p]]

    @property
    def class_images(self) -> dict[str, int]:
        """Number of images of each class that has any."""
        counts = self.confusion.sum(1).tolist()
        return {label: n for label, n in zip(self.labels, counts, strict=True) if n}

    @property
    def per_class(self) -> dict[str, float]:
        """Share of correct answers for each class that has images, between 0 and 1."""
        return {
            label: float(row[index] / row.sum())
            for index, (label, row) in enumerate(zip(self.labels, self.confusion, strict=True))
            if row.sum()
        }

    def as_dict(self) -> dict[str, Any]:
        """Return the evaluation as JSON types; shares lie between 0 and 1."""
        return {
            "images": self.images,
            "correct": self.correct,
            "top1": self.top1,
            "top5": self.top5,
            "balanced": self.balanced,
            "per_class": self.per_class,
            "class_images": self.class_images,
            "labels": list(self.labels),
            "confusion": self.confusion.tolist(),
            "skipped": [{"file": file, "error": error} for file, error in self.skipped],
        }


MAX_LABELED = 60
"""Classes of the largest confusion matrix that is drawn with labels and counts."""

UNLABELED_INCHES = 10.0
"""Side of a larger one."""


def evaluate(
    model: str,
    labels: tuple[str, ...],
    folder: ImageFolder,
    results: Iterable[Result],
    progress: Callable[[int], None] = lambda count: None,
    *,
    thresholds: tuple[float, ...] | None = None,
) -> Evaluation | LabelEvaluation:
    """Compare the results for the images of a folder with their classes or labels.

    Args:
        model: What errors call the model.
        labels: Names of the folder's classes, in any order. Where they are not known, the classes
            stand for them in their own order, with a warning.
        folder: As `ghostnet.data.image_folder.read_folder` returns it.
        results: The results for its files, in their order.
        progress: Called with 1 for each image.
        thresholds: Probability from which each label is given, if images may have several labels.

    Raises:
        DatasetError: A class is not a label of the model, or of several of its classes; the labels
            are not known, and there is another number of classes; or no image can be read.
    """
    labels = _labels(model, labels, folder)
    truths = class_indices(folder, labels)
    known, logits, skipped = [], [], []
    for (_, index), result in zip(folder.files, results, strict=True):
        progress(1)
        if result.error:
            skipped.append((result.name, str(result.error)))
        else:
            known.append(index)
            logits.append(result.logits)
    if not logits:
        raise DatasetError(f"no image can be read; the first: {skipped[0][1]}")
    found = np.stack(logits)
    if thresholds is not None:
        sets = [[truths[label] for label in own] for own in folder.label_sets]
        has = label_matrix(sets, len(labels))[known]
        return LabelEvaluation(labels, has, found, thresholds, tuple(skipped))
    return tally(labels, np.array(truths)[known], found, tuple(skipped))


def tally(
    labels: tuple[str, ...],
    truths: NDArray[np.int64],
    logits: NDArray[np.float32],
    skipped: tuple[tuple[str, str], ...] = (),
) -> Evaluation:
    """Count the answers of (n, classes) logits for n images of known classes.

    Args:
        labels: Labels of the model.
        truths: (n,) indices of the true classes.
        logits: (n, classes).
        skipped: Images that could not be decoded, with the reason.
    """
    best = np.argsort(-logits, axis=1, kind="stable")[:, :5]
    confusion = np.zeros((len(labels), len(labels)), np.int64)
    np.add.at(confusion, (truths, best[:, 0]), 1)
    in_top5 = int((best == truths[:, None]).sum())
    return Evaluation(labels, confusion, in_top5, skipped)


def _labels(model: str, labels: tuple[str, ...], folder: ImageFolder) -> tuple[str, ...]:
    """Return the labels of a model in Unicode NFC, as a folder's classes are.

    Where they are not known, the classes of the folder stand for them in their order, if there are
    as many and all training tools sort them in that order.
    """
    labels = tuple(normalize("NFC", label) for label in labels)
    if (
        labels != unknown_labels(len(labels))
        or set(folder.classes) <= set(labels)
        or _are_indices(folder.classes, labels)
    ):
        return labels
    if len(folder.classes) != len(labels):
        raise DatasetError(
            f"{model} has {len(labels):,} classes without labels, and the folder has "
            f"{len(folder.classes):,} sub-folders; give the labels with --labels"
        )
    orders = class_orders(folder.classes)
    if len(orders) > 1:
        sorted_by = "; ".join(f"{tool}: {listed(order)}" for order, tool in orders.items())
        raise DatasetError(
            f"{model} has no labels, and training tools sort these folders in different "
            f"orders ({sorted_by}); give the labels in the order of the training with --labels"
        )
    warnings.warn(
        f"{model} has no labels; the folders stand for its classes in alphabetical order "
        f"({listed(folder.classes)}). If that is wrong, give the labels with --labels",
        stacklevel=4,
    )
    return folder.classes


def class_indices(folder: ImageFolder, labels: tuple[str, ...]) -> list[int]:
    """Return the model's index for each class of the folder.

    Classes that are numbers, as in most shards of WebDataset, are indices unless they are labels.

    Args:
        folder: The folder.
        labels: Labels of the model.

    Raises:
        DatasetError: A class is not a label of the model, or of several of its classes.
    """
    if _are_indices(folder.classes, labels):
        return [*map(int, folder.classes)]
    unknown = [name for name in folder.classes if name not in labels]
    if unknown:
        raise DatasetError(
            f"the model has no classes named {listed(unknown)}; folders must be named like its "
            f"labels ({listed(labels)})"
        )
    twice = [name for name in folder.classes if labels.count(name) > 1]
    if twice:
        raise DatasetError(
            f"the model has several classes labeled {listed(twice)}; give them different labels "
            "with --labels"
        )
    return [labels.index(name) for name in folder.classes]


def _are_indices(classes: tuple[str, ...], labels: tuple[str, ...]) -> bool:
    """Whether classes are numbers of a model's classes."""
    return not set(classes) & set(labels) and all(
        name.isdecimal() and int(name) < len(labels) for name in classes
    )


def plot_confusion(evaluation: Evaluation, file: IO[bytes]) -> None:
    """Draw the confusion matrix as a PNG.

    Raises:
        PackageError: matplotlib is not installed.
    """
    with needs("matplotlib", extra="plot"):
        from matplotlib.figure import Figure

    is_labeled = len(evaluation.labels) <= MAX_LABELED
    size = max(5.0, 0.35 * len(evaluation.labels)) if is_labeled else UNLABELED_INCHES
    figure = Figure(figsize=(size + 1.5, size), layout="constrained")
    axes = figure.subplots()
    totals = evaluation.confusion.sum(axis=1, keepdims=True)
    shares = evaluation.confusion / np.maximum(totals, 1)
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    axes.set(xlabel="predicted", ylabel="true")
    if is_labeled:
        _label(axes, evaluation, shares)
    axes.set_title(f"{evaluation.correct} of {evaluation.images} correct ({evaluation.top1:.1%})")
    figure.colorbar(image, label="share of the true class")
    figure.savefig(file, format="png", dpi=120)


def _label(axes: Any, evaluation: Evaluation, shares: NDArray[np.float64]) -> None:
    """Write labels and counts into a confusion matrix."""
    places = range(len(evaluation.labels))
    axes.set_xticks(places, evaluation.labels, rotation=90)
    axes.set_yticks(places, evaluation.labels)
    for truth, guess in np.argwhere(evaluation.confusion):
        count = evaluation.confusion[truth, guess]
        color = "white" if shares[truth, guess] > 0.5 else "black"
        axes.text(guess, truth, str(count), ha="center", va="center", color=color, fontsize=8)
