"""Fine-tuning: a new classifier on a trained network."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ghostnet.checkpoints import classifier_names
from ghostnet.data.broken import check_broken, check_filled, without
from ghostnet.data.image_folder import ImageFolder
from ghostnet.data.multi_label import label_matrix
from ghostnet.data.split import hold_out
from ghostnet.model import ImageSource, Model, Result
from ghostnet.model.evaluation import Evaluation, tally
from ghostnet.model.label_evaluation import LabelEvaluation, choose_thresholds
from ghostnet.model.pipeline import Logits
from ghostnet.training.class_balance import class_counts, warn_if_unbalanced
from ghostnet.training.head.feature_cache import Features
from ghostnet.training.head.features import View, extract
from ghostnet.training.head.logistic_regression import CHOICE_SHARE, Samples, choose_penalty, fit
from ghostnet.training.targets import Targets


@dataclass(frozen=True)
class Tuned:
    """The result of fine-tuning.

    Attributes:
        model: The model with its new classifier.
        evaluation: On the held-out images; ``skipped`` lists the broken images of both parts.
        train_images: Number of training images.
        penalty: L2 penalty that was chosen.
        held_out: The held-out images that could be read.
        results: The results for them, in their order.
    """

    model: Model
    evaluation: Evaluation | LabelEvaluation
    train_images: int
    penalty: float
    held_out: ImageFolder
    results: tuple[Result, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return the figures as JSON types."""
        counts = {"train_images": self.train_images, "regularization": self.penalty}
        return counts | self.evaluation.as_dict()


def finetune_head(
    model: Model,
    train: ImageFolder,
    held_out: ImageFolder,
    *,
    views: int = 1,
    balanced: bool = False,
    cache_dir: str | Path | None = None,
    progress: Callable[[int], None] = lambda count: None,
) -> Tuned:
    """Fit a new classifier on the features of a model.

    Args:
        model: As `ghostnet.hub.open_model` returns it; it is not changed.
        train: Training images, as `ghostnet.data.split.read_split` returns them.
        held_out: Held-out images, likewise.
        views: Views of each training image: the first as in evaluation, the others random crops
            and mirror images.
        balanced: Give every class the same weight, whatever its number of images.
        cache_dir: Root of the cache, where features are kept.
        progress: Called with the number of views that are done; a held-out image has one.

    Raises:
        DatasetError: There are too many broken images, or nothing else in a class.
    """
    wanted = [View(file, number) for file, _ in train.files for number in range(views)]
    wanted += [View(file) for file, _ in held_out.files]
    features, broken = extract(model, wanted, cache_dir=cache_dir, progress=progress)
    check_broken(broken, len(train.files) + len(held_out.files))
    train, held_out = without(train, broken), without(held_out, broken)
    check_filled(train, held_out)
    indices = np.array([index for _, index in train.files])
    classes = len(train.classes)
    counts = class_counts(indices, classes, train.combinations)
    warn_if_unbalanced(counts, train.classes, multi_label=train.combinations is not None)
    rest, choice = hold_out(train, CHOICE_SHARE)
    # With one image a class there is nothing to choose on but the training images themselves.
    judged = samples(choice if choice.files else train, features, 1, balanced)
    penalty = choose_penalty(samples(rest, features, views, balanced), judged, classes)
    head = fit(samples(train, features, views, balanced), classes, penalty)
    logits = head.logits(stacked(held_out, features))
    skipped = tuple((str(file), reason) for file, reason in broken.items())
    evaluation = _evaluate(held_out, logits, skipped)
    names = classifier_names(model.architecture)
    parameters = model.parameters | dict(zip(names, (head.weight, head.bias), strict=True))
    tuned = replace(
        model,
        parameters=parameters,
        labels=train.classes,
        thresholds=evaluation.thresholds if isinstance(evaluation, LabelEvaluation) else None,
    )
    files = (ImageSource(str(file), file) for file, _ in held_out.files)
    results = tuple(
        Result(file, tuned.labels, Logits(row, 0.0), tuned.thresholds)
        for file, row in zip(files, logits, strict=True)
    )
    return Tuned(tuned, evaluation, len(train.files), penalty, held_out, results)


def _evaluate(
    folder: ImageFolder, logits: NDArray[np.float32], skipped: tuple[tuple[str, str], ...]
) -> Evaluation | LabelEvaluation:
    """Measure logits of a folder's images; thresholds of labels are those that fit best."""
    indices = np.array([index for _, index in folder.files])
    if folder.combinations is None:
        return tally(folder.classes, indices, logits, skipped)
    labels = folder.classes
    truths = label_matrix(folder.combinations, len(labels))[indices]
    thresholds = choose_thresholds(truths, logits)
    return LabelEvaluation(labels, truths, logits, thresholds, skipped)


def samples(
    folder: ImageFolder,
    features: Mapping[View, Features],
    views: int = 1,
    balanced: bool = False,
) -> Samples:
    """Return the features of a folder's images with their classes, or their labels."""
    indices = np.array([index for _, index in folder.files], np.int64).repeat(views)
    rows = stacked(folder, features, views)
    if folder.combinations is None:
        return Samples(rows, indices, balanced)
    targets = Targets(indices, len(folder.classes), folder.combinations, balanced=balanced)
    return Samples(rows, targets(indices))


def stacked(
    folder: ImageFolder, features: Mapping[View, Features], views: int = 1
) -> NDArray[np.float32]:
    """Stack the features of a folder's images, ``views`` rows for each of them in turn."""
    return np.stack(
        [features[View(file, number)] for file, _ in folder.files for number in range(views)]
    )
