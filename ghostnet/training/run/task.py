"""The task of a training run: its images, and the network that it starts from."""

import hashlib
import math
from dataclasses import dataclass
from pathlib import Path

import mindspore as ms
import numpy as np

from ghostnet.data.archives import image_sha256
from ghostnet.data.broken import find_broken, readable, without
from ghostnet.data.image_folder import ImageFolder, find_images, read_folder
from ghostnet.data.labels import check_labels
from ghostnet.data.left_out import LeftOut
from ghostnet.data.oxford_pets import OxfordIIITPet
from ghostnet.data.parts import HELD_OUT
from ghostnet.data.split import (
    check_apart,
    check_classes,
    check_no_copies,
    read_split,
    split_folder,
)
from ghostnet.errors import DatasetError, ModelError, TrainingError
from ghostnet.hub import open_model
from ghostnet.models import Architecture
from ghostnet.models.classification import ClassificationNetwork
from ghostnet.models.network import build_network
from ghostnet.models.registry import find_model
from ghostnet.training.config import DataSettings, Layout, Recipe
from ghostnet.training.source import FolderSource, MindRecordSource, Source
from ghostnet.training.targets import UNLABELED
from ghostnet.training.teacher.network import Teacher


@dataclass(frozen=True)
class Task:
    """The images of a run.

    Attributes:
        source: Training images.
        held_out: Held-out images; their classes are those of the run.
        left_out: What else the folders hold, with the reason why it does not count.
    """

    source: Source
    held_out: ImageFolder
    left_out: LeftOut

    @property
    def labels(self) -> tuple[str, ...]:
        """The names of the classes."""
        return self.held_out.classes


def open_task(data: DataSettings, teacher: Teacher | None = None) -> Task:
    """List the images of a run.

    Raises:
        DatasetError: There are none or not enough; see `ghostnet.data.split.check_classes`.
    """
    if data.path is None:
        assert teacher is not None  # `TrainingConfig` checked both
        assert teacher.classes is not None
        return _taught_task(data, teacher, teacher.classes)
    task = _labeled_task(data, data.path)
    return _with_unlabeled(task, data) if data.unlabeled else task


def _with_unlabeled(task: Task, data: DataSettings) -> Task:
    """Add the images of folders, whose classes are not known, to the training images.

    Raises:
        DatasetError: The training images are not files, or an image of the folders is held out.
    """
    if not isinstance(task.source, FolderSource):
        raise DatasetError(
            "unlabeled: images without labels cannot be added to a MindRecord file; put the "
            "labeled images into folders"
        )
    left_out = LeftOut.joined(task.left_out)
    files = find_images([*data.unlabeled], left_out)
    check_apart(files, task.held_out, Path("val"))
    broken = find_broken(files) if data.skip_broken else {}
    unlabeled = tuple((file, UNLABELED) for file in files if file not in broken)
    source = FolderSource(task.source.files + unlabeled, combinations=task.source.combinations)
    return Task(source, task.held_out, left_out)


def _taught_task(data: DataSettings, teacher: Teacher, classes: tuple[str, ...]) -> Task:
    """List images without labels; the teacher names the classes of those that are held out.

    Raises:
        DatasetError: As `ghostnet.data.split.split_folder`.
    """
    check_labels(classes)
    left_out = LeftOut()
    files = tuple((file, 0) for file in find_images([*data.unlabeled], left_out))
    folder = ImageFolder(classes, files, left_out)
    train, held_out = split_folder(folder, data.unlabeled[0], data.held_out or HELD_OUT)
    if data.skip_broken:
        broken = find_broken([file for file, _ in (*train.files, *held_out.files)])
        train, held_out = without(train, broken), without(held_out, broken)
    if not isinstance(data.held_out, Path):
        held_out = teacher.label(held_out)
    source = FolderSource(tuple((file, UNLABELED) for file, _ in train.files))
    return Task(source, held_out, LeftOut.joined(left_out, held_out.left_out))


def _labeled_task(data: DataSettings, path: Path) -> Task:
    match data.layout:
        case Layout.MINDRECORD:
            if not isinstance(data.held_out, Path):
                raise DatasetError(
                    "val: a MindRecord file does not name its classes; name a folder of held-out "
                    "images with a sub-folder for each class"
                )
            rows, measured = MindRecordSource(path), read_folder(data.held_out)
            check_no_copies(copies_in(rows, measured), measured, data.held_out)
            return Task(rows, measured, measured.left_out)
        case Layout.PETS:
            images = OxfordIIITPet(path)
            check_classes(images, path)
            train, held_out = split_folder(images, path, data.held_out or HELD_OUT)
        case Layout.FOLDER:
            train, held_out = read_split(
                path, data.held_out, data.table, multi_label=data.multi_label
            )
    left_out = LeftOut.joined(train.left_out, held_out.left_out)
    if data.skip_broken:
        train, held_out = readable(train, held_out)
    return Task(FolderSource(train.files, combinations=train.combinations), held_out, left_out)


def copies_in(source: MindRecordSource, held_out: ImageFolder) -> dict[Path, str]:
    """Find the held-out images that are also rows of a MindRecord file, by their bytes."""
    row_of = {
        hashlib.sha256(image).hexdigest(): source.name(index)
        for index, image in source.images(np.arange(len(source)))
    }
    hashes = {file: image_sha256(file) for file, _ in held_out.files}
    return {file: row_of[sha256] for file, sha256 in hashes.items() if sha256 in row_of}


def start(
    recipe: Recipe,
    num_classes: int,
    cache_dir: str | Path | None = None,
    *,
    allow_short_hash: bool = False,
) -> ClassificationNetwork:
    """Build the network before its first step: initialized, or with the backbone of a model.

    Raises:
        TrainingError: The architecture is not registered or is quantized, the images are too small
            for it, or a batch norm would see a single value.
        CardError, FetchError, IntegrityError, CheckpointError: As `ghostnet.hub.open_model`.
    """
    ms.set_seed(recipe.seed)
    if recipe.model is None:
        try:
            network = build_network(find_model(recipe.architecture).architecture, num_classes)
        except ModelError as error:
            raise TrainingError(f"architecture: {error}") from error
    else:
        network = open_model(
            recipe.model,
            cache_dir=cache_dir,
            allow_short_hash=allow_short_hash,
            new_classifier=True,
            keep_branches=True,
        ).network
    check_sizes(network.architecture, recipe)
    if network.architecture.quantized:
        raise TrainingError(
            f"{recipe.model or recipe.architecture} cannot be trained: its convolutions round to 8 "
            "bits, which has no gradient; fit a classifier on it with "
            "`ghostnet finetune`, or train another network"
        )
    if recipe.backbone_rate > 0:
        check_norms(network.architecture, recipe)
    if network.num_classes != num_classes:
        network.reset_classifier(num_classes)
    return network


def check_sizes(architecture: Architecture, recipe: Recipe) -> None:
    """Check that the network takes images as small as those of the run.

    Raises:
        TrainingError: It does not.
    """
    for name, side in (("image_size", recipe.image_size), ("val_size", recipe.measured_size)):
        try:
            architecture.check_image(side, side)
        except ModelError as error:
            raise TrainingError(f"{name}: {error}") from error


def check_norms(architecture: Architecture, recipe: Recipe) -> None:
    """Check that batch norms have several values to take the variance of.

    Raises:
        TrainingError: The last maps of a batch have one value in a channel.
    """
    side = recipe.image_size
    for stride in (2, *(block.stride for block in architecture.blocks)):
        side = math.ceil(side / stride)
    if recipe.batch_size * side * side == 1:
        raise TrainingError(
            f"with batch_size 1 and image_size {recipe.image_size}, the last batch norms see a "
            "single value, which has no variance; raise either of them"
        )
