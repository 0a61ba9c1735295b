"""How often a classifier is right on a folder of pictures."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from ghostnet.errors import DatasetError, ImageError
from ghostnet.predict import Classifier, Picture
from ghostnet.training.folders import ImageFolder


@dataclass(frozen=True)
class Evaluation:
    """What came of an evaluation.

    Attributes:
        labels: of the model.
        confusion: (classes, classes) counts, the true class first.
        in_top5: pictures whose class is among the five likeliest.
        skipped: pictures that could not be decoded, with the reason.
    """

    labels: tuple[str, ...]
    confusion: NDArray[np.int64]
    in_top5: int
    skipped: tuple[tuple[str, str], ...]

    @property
    def images(self) -> int:
        """Pictures that were classified."""
        return int(self.confusion.sum())

    @property
    def correct(self) -> int:
        """Pictures whose likeliest class is the true one."""
        return int(np.trace(self.confusion))

    @property
    def per_class(self) -> dict[str, float]:
        """Share of correct answers for each class that has pictures, between 0 and 1."""
        return {
            label: float(row[index] / row.sum())
            for index, (label, row) in enumerate(zip(self.labels, self.confusion, strict=True))
            if row.sum()
        }

    def as_dict(self) -> dict[str, Any]:
        """The evaluation as JSON types; shares lie between 0 and 1."""
        return {
            "images": self.images,
            "correct": self.correct,
            "top1": self.correct / self.images,
            "top5": self.in_top5 / self.images,
            "per_class": self.per_class,
            "labels": list(self.labels),
            "confusion": self.confusion.tolist(),
            "skipped": [{"file": file, "error": error} for file, error in self.skipped],
        }


def evaluate(
    classifier: Classifier,
    folder: ImageFolder,
    progress: Callable[[int], None] = lambda count: None,
) -> Evaluation:
    """Classify every picture of a folder and count.

    Args:
        classifier: its labels are the names of the folder's classes, in any order.
        folder: as `ghostnet.training.folders.read_folder` gives it.
        progress: called with 1 for each picture.

    Raises:
        DatasetError: a folder that is no label of the model, or not one readable picture.
    """
    truths = _label_indices(folder, classifier.model.labels)
    truth_of = {str(file): truths[index] for file, index in folder.files}
    known, logits, skipped = [], [], []
    for picture, result in classifier.logits(Picture(str(file), file) for file, _ in folder.files):
        progress(1)
        if isinstance(result, ImageError):
            skipped.append((picture.name, str(result)))
        else:
            known.append(truth_of[picture.name])
            logits.append(result.values)
    if not logits:
        raise DatasetError("not one picture could be decoded; the first: " + skipped[0][1])
    labels = classifier.model.labels
    return tally(labels, np.array(known), np.stack(logits), tuple(skipped))


def tally(
    labels: tuple[str, ...],
    truths: NDArray[np.int64],
    logits: NDArray[np.float32],
    skipped: tuple[tuple[str, str], ...] = (),
) -> Evaluation:
    """Count what (n, classes) logits say of n pictures whose classes are known."""
    best = np.argsort(-logits, axis=1, kind="stable")[:, :5]
    confusion = np.zeros((len(labels), len(labels)), np.int64)
    np.add.at(confusion, (truths, best[:, 0]), 1)
    in_top5 = int((best == truths[:, None]).sum())
    return Evaluation(labels, confusion, in_top5, skipped)


def _label_indices(folder: ImageFolder, labels: tuple[str, ...]) -> list[int]:
    """The model's index for each class of the folder."""
    unknown = [name for name in folder.classes if name not in labels]
    if unknown:
        raise DatasetError(
            f"folders that are no label of the model: {', '.join(unknown)}; "
            f"its labels are {', '.join(labels)}"
        )
    return [labels.index(name) for name in folder.classes]


def plot_confusion(evaluation: Evaluation, file: IO[bytes]) -> None:
    """Draw the confusion matrix as a PNG."""
    from matplotlib.figure import Figure

    size = max(5.0, 0.35 * len(evaluation.labels))
    figure = Figure(figsize=(size + 1.5, size), layout="constrained")
    axes = figure.subplots()
    totals = evaluation.confusion.sum(axis=1, keepdims=True)
    shares = evaluation.confusion / np.maximum(totals, 1)
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    places = range(len(evaluation.labels))
    axes.set_xticks(places, evaluation.labels, rotation=90)
    axes.set_yticks(places, evaluation.labels)
    axes.set(xlabel="predicted", ylabel="true")
    for truth, guess in np.argwhere(evaluation.confusion):
        count = evaluation.confusion[truth, guess]
        colour = "white" if shares[truth, guess] > 0.5 else "black"
        axes.text(guess, truth, str(count), ha="center", va="center", color=colour, fontsize=8)
    accuracy = evaluation.correct / evaluation.images
    axes.set_title(f"{evaluation.correct} of {evaluation.images} correct ({accuracy:.1%})")
    figure.colorbar(image, label="share of the true class")
    figure.savefig(file, format="png", dpi=120)
