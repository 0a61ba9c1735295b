"""What a config asks for: pictures to learn from and to measure with, and a network to start."""

from dataclasses import dataclass
from pathlib import Path

import mindspore as ms

from ghostnet.errors import DatasetError, TrainingError
from ghostnet.hub.loader import open_model
from ghostnet.network import ARCHITECTURES, GhostNet
from ghostnet.training.config import Layout, TrainingConfig
from ghostnet.training.finetune import check_task, split_task
from ghostnet.training.folders import ImageFolder, read_folder
from ghostnet.training.pets import OxfordIIITPet
from ghostnet.training.source import FolderSource, MindRecordSource, Source


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
    return Task(FolderSource(train), held_out)


def start(config: TrainingConfig, num_classes: int) -> GhostNet:
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
    network = open_model(config.model).network
    if network.num_classes != num_classes:
        network.reset_classifier(num_classes)
    return network
