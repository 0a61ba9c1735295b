"""What a config asks for: pictures to learn from and to measure with, and a network to start."""

import logging
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import mindspore as ms

from ghostnet.errors import DatasetError, ImageError, TrainingError
from ghostnet.hub.loader import open_model
from ghostnet.network import ARCHITECTURES, GhostNet
from ghostnet.training.config import Layout, TrainingConfig
from ghostnet.training.finetune import check_broken, check_filled, check_task, split_task, without
from ghostnet.training.folders import ImageFolder, read_folder
from ghostnet.training.pets import OxfordIIITPet
from ghostnet.training.source import FolderSource, MindRecordSource, Source
from ghostnet.transforms import decode

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Task:
    """Pictures to learn from and to measure with; the latter name the classes, in order."""

    source: Source
    held_out: ImageFolder

    @property
    def labels(self) -> tuple[str, ...]:
        """The names of the classes."""
        return self.held_out.classes


def open_task(config: TrainingConfig) -> Task:
    """The pictures of a config, checked as far as their names go.

    Raises:
        DatasetError: there are none, or not enough; see `ghostnet.training.finetune.check_task`.
    """
    match config.layout:
        case Layout.MINDRECORD:
            if not isinstance(config.held_out, Path):
                raise DatasetError(
                    "a MindRecord file has no names for its classes: val should be a folder with "
                    "a sub-folder for each of them"
                )
            return Task(MindRecordSource(config.data), read_folder(config.held_out))
        case Layout.PETS:
            pictures: ImageFolder = OxfordIIITPet(config.data)
        case Layout.FOLDER:
            pictures = read_folder(config.data)
    check_task(pictures, config.data)
    train, held_out = split_task(pictures, config.data, config.held_out)
    if config.skip_broken:
        train, held_out = readable(train, held_out)
    return Task(FolderSource(train), held_out)


def readable(train: ImageFolder, held_out: ImageFolder) -> tuple[ImageFolder, ImageFolder]:
    """Both folders without their broken pictures, which are logged.

    Raises:
        DatasetError: too many are broken, or all of a class.
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
    """Why a picture is broken, or None where it is not."""
    try:
        decode(file)
    except ImageError as error:
        return str(error)
    return None


def start(
    config: TrainingConfig, num_classes: int, cache_dir: str | Path | None = None
) -> GhostNet:
    """The network before its first step: with random weights, or with a model's backbone.

    Raises:
        TrainingError: no such architecture.
        CardError, FetchError, IntegrityError, CheckpointError: as `ghostnet.hub.open_model`.
    """
    ms.set_seed(config.seed)
    if config.model is None:
        if config.architecture not in ARCHITECTURES:
            raise TrainingError(
                f"architecture {config.architecture!r} is none of {', '.join(ARCHITECTURES)}"
            )
        return GhostNet(ARCHITECTURES[config.architecture], num_classes)
    network = open_model(config.model, cache_dir=cache_dir).network
    if network.num_classes != num_classes:
        network.reset_classifier(num_classes)
    return network
