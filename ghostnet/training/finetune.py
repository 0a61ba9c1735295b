"""Fine-tuning: the training and held-out images, and a new classifier on a trained network."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ghostnet.checkpoints import classifier_names
from ghostnet.data.copies import find_copies
from ghostnet.data.image_folder import ImageFolder, hold_out, read_folder
from ghostnet.errors import DatasetError, listed
from ghostnet.model import Model
from ghostnet.model.evaluation import Evaluation, tally
from ghostnet.training.config import Lesson, TrainingConfig, check
from ghostnet.training.feature_cache import Features
from ghostnet.training.features import View, extract
from ghostnet.training.logistic_regression import Samples, choose_penalty, fit
from ghostnet.training.model_card import check_labels

MAX_BROKEN = 0.1
"""Share of the images that may be broken; beyond it the work stops."""

FULL_BATCH = 32
"""Images in a step when all weights are fine-tuned."""

TRAINED_SHARE = 6 / 7
"""Side of the training images over the side in use, when all weights are fine-tuned."""

CHOICE_SHARE = 0.2
"""Share of the training images that the L2 penalty is chosen on."""


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


def read_task(folder: Path, held_out: Path | float) -> tuple[ImageFolder, ImageFolder]:
    """List the training and the held-out images, checked before any work is done.

    Args:
        folder: Folder with a sub-folder of images for each class.
        held_out: Another such folder, or the fraction of ``folder`` to hold out, in (0, 1).

    Raises:
        DatasetError: There are fewer than two classes, a class without images, too few images to
            hold any out, a class that only ``held_out`` has, an image on both sides, or a name that
            a card cannot hold.
    """
    train = read_folder(folder)
    check_task(train, folder)
    return split_task(train, folder, held_out)


def check_task(train: ImageFolder, folder: Path) -> None:
    """Check that there are at least two classes, and that a card can hold their names.

    Raises:
        DatasetError: It is not so.
    """
    check_labels(train.classes)
    if len(train.classes) < 2:
        raise DatasetError(
            f"{folder}: expected at least two sub-folders, found only {train.classes[0]}"
        )


def split_task(
    train: ImageFolder, folder: Path, held_out: Path | float
) -> tuple[ImageFolder, ImageFolder]:
    """Return the training and the held-out images, with the same classes.

    Args:
        train: Images of ``folder``.
        folder: What errors call them.
        held_out: Another folder, or the fraction of ``train`` to hold out, in (0, 1).

    Raises:
        DatasetError: Only ``held_out`` has a class, an image of it is also in ``train``, or there
            are too few images to hold any out.
    """
    if isinstance(held_out, Path):
        measured = read_folder(held_out)
        unknown = [name for name in measured.classes if name not in train.classes]
        if unknown:
            raise DatasetError(
                f"{held_out}: expected classes of {folder} ({listed(train.classes)}), found "
                f"{listed(unknown)}"
            )
        check_apart([file for file, _ in train.files], measured, held_out)
        place = [train.classes.index(name) for name in measured.classes]
        files = tuple((file, place[index]) for file, index in measured.files)
        return train, ImageFolder(train.classes, files, measured.left_out)
    train, measured = hold_out(train, held_out)
    if not measured.files:
        raise DatasetError(
            f"{folder}: expected a class with at least two images to hold one out, found none; add "
            "images, or name a folder of others with --val"
        )
    return train, measured


def check_apart(train: Sequence[Path], held_out: ImageFolder, folder: Path) -> None:
    """Check that no held-out image is also a training image, by its bytes.

    Args:
        train: Files of the training images.
        held_out: Held-out images.
        folder: What the error calls them.

    Raises:
        DatasetError: One is.
    """
    first = find_copies([*train, *(file for file, _ in held_out.files)])
    known = set(train)
    copies = {file: str(first[file]) for file, _ in held_out.files if first[file] in known}
    check_no_copies(copies, held_out, folder)


def check_no_copies(copies: Mapping[Path, str], held_out: ImageFolder, folder: Path) -> None:
    """Check that there are no held-out images that are also training images.

    Args:
        copies: Such images, with the training image that each is a copy of.
        held_out: Held-out images.
        folder: What the error calls them.

    Raises:
        DatasetError: There are.
    """
    if copies:
        examples = ", ".join(f"{file} = {image}" for file, image in [*copies.items()][:3])
        raise DatasetError(
            f"{folder}: expected images that are not trained on, found {len(copies):,} of "
            f"{len(held_out.files):,} among the training images ({examples}); remove them from one "
            "side, or hold out a fraction of the training images with --val 0.2"
        )


def finetune_head(
    model: Model,
    train: ImageFolder,
    held_out: ImageFolder,
    *,
    views: int = 1,
    cache_dir: str | Path | None = None,
    progress: Callable[[int], None] = lambda count: None,
) -> Tuned:
    """Fit a new classifier on the features of a model.

    Args:
        model: As `ghostnet.hub.open_model` returns it; it is not changed.
        train: Training images, as `read_task` returns them.
        held_out: Held-out images, likewise.
        views: Views of each training image: the first as in evaluation, the others random crops
            and mirror images.
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
    classes = len(train.classes)
    rest, choice = hold_out(train, CHOICE_SHARE)
    # With one image a class there is nothing to choose on but the training images themselves.
    judged = samples(choice if choice.files else train, features, 1)
    penalty = choose_penalty(samples(rest, features, views), judged, classes)
    head = fit(samples(train, features, views), classes, penalty)
    measured = samples(held_out, features, 1)
    skipped = tuple((str(file), reason) for file, reason in broken.items())
    evaluation = tally(train.classes, measured.classes, head.logits(measured.features), skipped)
    names = classifier_names(model.architecture)
    parameters = model.parameters | dict(zip(names, (head.weight, head.bias), strict=True))
    tuned = replace(model, parameters=parameters, labels=train.classes)
    return Tuned(tuned, evaluation, len(train.files), penalty)


def full_config(
    folder: Path, val: str, model: str, image_size: int, images: int, lessons: Mapping[str, Any]
) -> TrainingConfig:
    """Return the settings of `ghostnet.training.loop.train` that fine-tune all weights.

    Args:
        folder: As for `read_task`.
        val: Folder or fraction to hold out, as text.
        model: UID, card or checkpoint to start from.
        image_size: Side of the images that the model is meant for, in pixels; it trains on smaller
            ones, since objects look larger in random crops (Touvron et al., NeurIPS 2019).
        images: Number of training images.
        lessons: Settings of a teacher.

    Raises:
        TrainingError: A setting is out of range.
    """
    settings = {
        "data": folder,
        "val": val,
        "model": model,
        "image_size": max(32, 32 * round(TRAINED_SHARE * image_size / 32)),
        "val_size": image_size,
        "epochs": 10,
        "batch_size": max(1, min(FULL_BATCH, images // 2)),
        "learning_rate": 0.05,
        "backbone_rate": 0.2,
        "warmup_epochs": 1,
        "ema_decay": 0.99,
        "smallest_crop": 0.35,
        "teacher_lesson": Lesson.HEAD,
        "skip_broken": True,
    }
    return check({**settings, **lessons}, "command line")


def samples(folder: ImageFolder, features: Mapping[View, Features], views: int) -> Samples:
    """Stack the features of a folder's images, ``views`` rows for each of them in turn."""
    rows = [features[View(file, number)] for file, _ in folder.files for number in range(views)]
    classes = np.array([index for _, index in folder.files], np.int64)
    return Samples(np.stack(rows), classes.repeat(views))


def check_broken(broken: Mapping[Path, str], total: int) -> None:
    """Check that at most `MAX_BROKEN` of the images are broken.

    Raises:
        DatasetError: More are.
    """
    if len(broken) > MAX_BROKEN * total:
        listed = "\n  ".join([*broken.values()][:10])
        raise DatasetError(
            f"expected at most {MAX_BROKEN:.0%} broken images, found {len(broken)} of {total}; "
            f"repair or remove them:\n  {listed}"
        )


def without(folder: ImageFolder, broken: Mapping[Path, str]) -> ImageFolder:
    """Return a folder without its broken images."""
    files = tuple((file, index) for file, index in folder.files if file not in broken)
    return folder.with_files(files)


def check_filled(train: ImageFolder, held_out: ImageFolder) -> None:
    """Check that broken images leave something of each class, and something to measure with.

    Raises:
        DatasetError: They do not.
    """
    filled = {index for _, index in train.files}
    emptied = [name for index, name in enumerate(train.classes) if index not in filled]
    if emptied:
        raise DatasetError(
            f"expected images that can be read in {listed(emptied)}, found none; add some"
        )
    if not held_out.files:
        raise DatasetError("expected held-out images that can be read, found none; add some")
