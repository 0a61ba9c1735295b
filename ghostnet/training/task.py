"""The task of a training run: its images, and the network that it starts from."""

import logging
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import mindspore as ms

from ghostnet.data.image_folder import ImageFolder, read_folder
from ghostnet.data.oxford_pets import OxfordIIITPet
from ghostnet.data.transforms import decode
from ghostnet.errors import DatasetError, ImageError, ModelError, TrainingError
from ghostnet.hub.loader import open_model
from ghostnet.models.network import GhostNet
from ghostnet.models.registry import find_model
from ghostnet.training.config import Layout, TrainingConfig
from ghostnet.training.finetune import check_broken, check_filled, check_task, split_task, without
from ghostnet.training.source import FolderSource, MindRecordSource, Source

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Task:
    """The images of a run.

    Attributes:
        source: Training images.
        held_out: Held-out images, whose classes are those of the run, in order.
    """

    source: Source
    held_out: ImageFolder

    @property
    def labels(self) -> tuple[str, ...]:
        """The names of the classes."""
        return self.held_out.classes


def open_task(config: TrainingConfig) -> Task:
    """List the images of a run.

    Raises:
        DatasetError: There are none or not enough; see `ghostnet.training.finetune.check_task`.
    """
    match config.layout:
        case Layout.MINDRECORD:
            if not isinstance(config.held_out, Path):
                raise DatasetError(
                    "val: expected a folder with a sub-folder for each class, since a MindRecord "
                    "file does not name its classes; found a fraction"
                )
            return Task(MindRecordSource(config.data), read_folder(config.held_out))
        case Layout.PETS:
            images: ImageFolder = OxfordIIITPet(config.data)
        case Layout.FOLDER:
            images = read_folder(config.data)
    check_task(images, config.data)
    train, held_out = split_task(images, config.data, config.held_out)
    if config.skip_broken:
        train, held_out = readable(train, held_out)
    return Task(FolderSource(train), held_out)


def readable(train: ImageFolder, held_out: ImageFolder) -> tuple[ImageFolder, ImageFolder]:
    """Return both folders without their broken images, which are logged.

    Raises:
        DatasetError: Too many images are broken, or all of a class.
    """
    files = [file for file, _ in (*train.files, *held_out.files)]
    with ThreadPoolExecutor() as executor:
        reasons = executor.map(_reason, files)
        broken = {file: why for file, why in zip(files, reasons, strict=True) if why}
    check_broken(broken, len(files))
    if broken:
        log.warning("skipped:\n  %s", "\n  ".join(broken.values()))
    train, held_out = without(train, broken), without(held_out, broken)
    check_filled(train, held_out)
    return train, held_out


def _reason(file: Path) -> str | None:
    """Say why an image is broken; None where it is not."""
    try:
        decode(file)
    except ImageError as error:
        return str(error)
    return None


def start(
    config: TrainingConfig,
    num_classes: int,
    cache_dir: str | Path | None = None,
    *,
    allow_short_hash: bool = False,
) -> GhostNet:
    """Build the network before its first step: initialized, or with the backbone of a model.

    Raises:
        TrainingError: The architecture is not registered, or quantized.
        CardError, FetchError, IntegrityError, CheckpointError: As `ghostnet.hub.open_model`.
    """
    ms.set_seed(config.seed)
    if config.model is None:
        try:
            network = GhostNet(find_model(config.architecture).architecture, num_classes)
        except ModelError as error:
            raise TrainingError(f"architecture: {error}") from error
    else:
        network = open_model(
            config.model, cache_dir=cache_dir, allow_short_hash=allow_short_hash
        ).network
    if network.architecture.quantized:
        raise TrainingError(
            f"{config.model or config.architecture}: expected a network in floating point, found "
            "convolutions on 8 bits, whose rounding has no gradient; fit a classifier on it with "
            "`ghostnet finetune`, or train another network"
        )
    if network.num_classes != num_classes:
        network.reset_classifier(num_classes)
    return network
