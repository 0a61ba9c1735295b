"""Fine-tuning: a new classifier on a trained network."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ghostnet.checkpoints import classifier_names
from ghostnet.data.broken import check_broken, check_filled, without
from ghostnet.data.image_folder import ImageFolder
from ghostnet.data.split import hold_out
from ghostnet.model import Model
from ghostnet.model.evaluation import Evaluation, tally
from ghostnet.training.class_balance import warn_if_unbalanced
from ghostnet.training.head.feature_cache import Features
from ghostnet.training.head.features import View, extract
from ghostnet.training.head.logistic_regression import CHOICE_SHARE, Samples, choose_penalty, fit


@dataclass(frozen=True)
class Tuned:
    """The result of fine-tuning.

    Attributes:
        model: The model with its new classifier.
        evaluation: On the held-out images; ``skipped`` lists the broken images of both parts.
        train_images: Number of training images.
        penalty: L2 penalty that was chosen.
    """

    model: Model
    evaluation: Evaluation
    train_images: int
    penalty: float

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
    warn_if_unbalanced(np.array([index for _, index in train.files]), train.classes)
    classes = len(train.classes)
    rest, choice = hold_out(train, CHOICE_SHARE)
    # With one image a class there is nothing to choose on but the training images themselves.
    judged = samples(choice if choice.files else train, features, 1, balanced)
    penalty = choose_penalty(samples(rest, features, views, balanced), judged, classes)
    head = fit(samples(train, features, views, balanced), classes, penalty)
    measured = samples(held_out, features)
    skipped = tuple((str(file), reason) for file, reason in broken.items())
    evaluation = tally(train.classes, measured.classes, head.logits(measured.features), skipped)
    names = classifier_names(model.architecture)
    parameters = model.parameters | dict(zip(names, (head.weight, head.bias), strict=True))
    tuned = replace(model, parameters=parameters, labels=train.classes)
    return Tuned(tuned, evaluation, len(train.files), penalty)


def samples(
    folder: ImageFolder,
    features: Mapping[View, Features],
    views: int = 1,
    balanced: bool = False,
) -> Samples:
    """Stack the features of a folder's images, ``views`` rows for each of them in turn."""
    rows = [features[View(file, number)] for file, _ in folder.files for number in range(views)]
    classes = np.array([index for _, index in folder.files], np.int64)
    return Samples(np.stack(rows), classes.repeat(views), balanced)
