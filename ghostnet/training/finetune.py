"""Fine-tuning: what to learn and measure with, and a new classifier on a trained network."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from mindspore import Tensor

from ghostnet.errors import DatasetError
from ghostnet.hub.loader import Model
from ghostnet.training.config import TrainingConfig
from ghostnet.training.evaluation import Evaluation, tally
from ghostnet.training.feature_cache import Features
from ghostnet.training.features import View, extract
from ghostnet.training.folders import ImageFolder, hold_out, read_folder
from ghostnet.training.head import Samples, choose, fit
from ghostnet.training.report import check_labels

MAX_BROKEN = 0.1
"""Share of the pictures that may be broken before the work stops."""

FULL_BATCH = 32
"""Pictures in a step of fine-tuning all weights."""

TRAINED_SHARE = 6 / 7
"""Side of the pictures that all weights learn from, of that in use: 192 for 224."""

CHOICE = 0.2
"""Share of the pictures to learn from that the regularisation is chosen with."""


@dataclass(frozen=True)
class Tuned:
    """What came of fine-tuning, beside the network itself, which has its new classifier.

    Attributes:
        evaluation: on the held-out pictures; its ``skipped`` are the broken ones of all.
        train_images: pictures that were learnt from.
        regularisation: the L2 penalty that was chosen.
    """

    evaluation: Evaluation
    train_images: int
    regularisation: float

    def as_dict(self) -> dict[str, Any]:
        """All of it as JSON types."""
        counts = {"train_images": self.train_images, "regularisation": self.regularisation}
        return counts | self.evaluation.as_dict()


def read_task(folder: Path, held_out: Path | float) -> tuple[ImageFolder, ImageFolder]:
    """The pictures to learn from and those to measure with, checked before any work is done.

    Args:
        folder: a sub-folder of pictures for each class.
        held_out: another such folder, or the fraction of ``folder`` to hold out, in (0, 1).

    Raises:
        DatasetError: fewer than two classes, one without pictures, too few of them to hold any
            out, a class in ``held_out`` that ``folder`` lacks, or a name that fits no card.
    """
    train = read_folder(folder)
    check_task(train, folder)
    return split_task(train, folder, held_out)


def check_task(train: ImageFolder, folder: Path) -> None:
    """Raise `DatasetError` for fewer than two classes, or a name that fits no card."""
    check_labels(train.classes)
    if len(train.classes) < 2:
        raise DatasetError(
            f"{folder}: only one class, {train.classes[0]}; expected at least two sub-folders"
        )


def split_task(
    train: ImageFolder, folder: Path, held_out: Path | float
) -> tuple[ImageFolder, ImageFolder]:
    """The pictures to learn from and those to measure with, of the same classes.

    Raises:
        DatasetError: a class in ``held_out`` that ``train`` lacks, or too few pictures to hold
            any out.
    """
    if isinstance(held_out, Path):
        measured = read_folder(held_out)
        unknown = [name for name in measured.classes if name not in train.classes]
        if unknown:
            raise DatasetError(
                f"{held_out}: classes that {folder} lacks: {', '.join(unknown)}; "
                f"expected some of {', '.join(train.classes)}"
            )
        place = [train.classes.index(name) for name in measured.classes]
        files = tuple((file, place[index]) for file, index in measured.files)
        return train, ImageFolder(train.classes, files)
    train, measured = hold_out(train, held_out)
    if not measured.files:
        raise DatasetError(
            f"{folder}: one picture a class leaves none to measure with; add some, or name a "
            "folder of others with --val"
        )
    return train, measured


def finetune_head(
    model: Model,
    train: ImageFolder,
    held_out: ImageFolder,
    *,
    views: int = 1,
    cache_dir: str | Path | None = None,
    progress: Callable[[int], None] = lambda count: None,
) -> Tuned:
    """Fit a new classifier on the model's features; ``model.network`` gets it.

    Args:
        model: as `ghostnet.hub.open_model` gives it; its backbone stays as it is.
        train: pictures to learn from, as `read_task` gives them.
        held_out: pictures to measure with, likewise.
        views: ways to look at each picture to learn from: 1 as in evaluation, above that also as
            random crops and mirror images.
        cache_dir: where features are kept.
        progress: called with the number of views that are done; a held-out picture has one.

    Raises:
        DatasetError: too many broken pictures, or nothing but broken ones in a class.
    """
    wanted = [View(file, number) for file, _ in train.files for number in range(views)]
    wanted += [View(file) for file, _ in held_out.files]
    features, broken = extract(model, wanted, cache_dir=cache_dir, progress=progress)
    check_broken(broken, len(train.files) + len(held_out.files))
    train, held_out = without(train, broken), without(held_out, broken)
    check_filled(train, held_out)
    classes = len(train.classes)
    rest, choice = hold_out(train, CHOICE)
    # With one picture a class nothing is left to choose with but what was learnt from.
    judged = samples(choice if choice.files else train, features, 1)
    regularisation = choose(samples(rest, features, views), judged, classes)
    head = fit(samples(train, features, views), classes, regularisation)
    model.network.reset_classifier(classes)
    model.network.classifier.weight.set_data(Tensor(head.weights))
    model.network.classifier.bias.set_data(Tensor(head.bias))
    measured = samples(held_out, features, 1)
    evaluation = tally(
        train.classes,
        measured.classes,
        head.logits(measured.features),
        tuple((str(file), reason) for file, reason in broken.items()),
    )
    return Tuned(evaluation, len(train.files), regularisation)


def full_config(
    folder: Path, val: str, model: str, image_size: int, pictures: int
) -> TrainingConfig:
    """The settings of `ghostnet.training.loop.train` that fine-tune all weights.

    Args:
        folder: as for `read_task`.
        val: what `read_task` calls ``held_out``, in words.
        model: UID, card or checkpoint to start from.
        image_size: side of the pictures that the model is meant for, in pixels; it learns from
            smaller ones, in whose random crops objects look as large.
        pictures: how many there are to learn from.
    """
    return TrainingConfig(
        data=folder,
        val=val,
        model=model,
        image_size=max(32, 32 * round(TRAINED_SHARE * image_size / 32)),
        val_size=image_size,
        epochs=10,
        batch_size=max(1, min(FULL_BATCH, pictures // 2)),
        learning_rate=0.05,
        backbone_rate=0.2,
        warmup_epochs=1,
        ema_decay=0.99,
        smallest_crop=0.35,
        skip_broken=True,
    )


def samples(folder: ImageFolder, features: Mapping[View, Features], views: int) -> Samples:
    """The features of a folder's pictures, ``views`` rows for each of them in turn."""
    rows = [features[View(file, number)] for file, _ in folder.files for number in range(views)]
    classes = np.array([index for _, index in folder.files], np.int64)
    return Samples(np.stack(rows), classes.repeat(views))


def check_broken(broken: Mapping[Path, str], total: int) -> None:
    """Raise `DatasetError` where more than `MAX_BROKEN` of the pictures are broken."""
    if len(broken) > MAX_BROKEN * total:
        listed = "\n  ".join([*broken.values()][:10])
        raise DatasetError(
            f"{len(broken)} of {total} pictures are broken, more than the {MAX_BROKEN:.0%} that "
            f"are skipped; repair or remove them:\n  {listed}"
        )


def without(folder: ImageFolder, broken: Mapping[Path, str]) -> ImageFolder:
    """The folder without its broken pictures."""
    files = tuple((file, index) for file, index in folder.files if file not in broken)
    return ImageFolder(folder.classes, files)


def check_filled(train: ImageFolder, held_out: ImageFolder) -> None:
    """Raise `DatasetError` where broken pictures leave nothing of a class, or to measure with."""
    filled = {index for _, index in train.files}
    emptied = [name for index, name in enumerate(train.classes) if index not in filled]
    if emptied:
        raise DatasetError(
            f"nothing but broken pictures in {', '.join(emptied)}; add some that can be read"
        )
    if not held_out.files:
        raise DatasetError("nothing but broken pictures to measure with; add some others")
