"""`ghostnet train`: from a config to a folder with model, card, log, curve and state."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ghostnet.errors import TrainingError
from ghostnet.hub.loader import Model
from ghostnet.network import GhostNet
from ghostnet.predict import Classifier
from ghostnet.runtime import current_device
from ghostnet.training import workers
from ghostnet.training.augment import Augment
from ghostnet.training.batches import Batches
from ghostnet.training.config import CONFIG, TrainingConfig, as_yaml
from ghostnet.training.evaluation import Evaluation, evaluate
from ghostnet.training.log import Row, read_log, write_log, write_whole
from ghostnet.training.report import CARD, Origin, make_folder, write_model
from ghostnet.training.step import learning_rates
from ghostnet.training.task import Task, open_task, start
from ghostnet.training.trainer import Trainer
from ghostnet.transforms import Preprocess

STATE = "state.ckpt"
EVALUATION_BATCH = 32


@dataclass(frozen=True)
class Progress:
    """Where a run stands: steps done and in all, the last loss, and the speed of all workers."""

    step: int
    steps: int
    loss: float
    images_per_second: float


def train(
    config: TrainingConfig,
    out: Path,
    *,
    command: str,
    resume: bool = False,
    cache_dir: str | Path | None = None,
    progress: Callable[[Progress], None] = lambda progress: None,
) -> Path | None:
    """Train a network; returns the card of its best epoch.

    Under ``msrun`` each worker calls this; the first one measures and writes, the others get None.

    Args:
        config: the settings of the run.
        out: gets ``config.yaml``, ``log.csv``, ``curve.png``, ``state.ckpt`` (all that resuming
            needs) and, for the best epoch so far, ``ghostnet.ckpt`` with its ``card.md``.
        command: the command line, for the card.
        resume: go on from ``state.ckpt``, bit for bit.
        cache_dir: where the model to start from is kept, if not in the usual cache.
        progress: called after each step.

    Raises:
        DatasetError: pictures that cannot be learnt from, or a broken one on the way.
        TrainingError: a folder that holds another run, or none to resume; a loss that is not
            finite.
    """
    worker = workers.join()
    state = out / STATE
    check_folder(state, resume)
    task = open_task(config)
    augment = Augment(config.image_size, config.smallest_crop, config.flip, config.colour_jitter)
    source, threads = task.source, config.workers
    batches = Batches(source, augment, config.batch_size, config.seed, threads, worker)
    trainer = Trainer(start(config, len(task.labels), cache_dir), config, batches)
    examiner = Examiner(trainer, task)
    rows: list[Row] = []
    if resume:
        trainer.restore(state)
        rows = read_log(out, trainer.position.step // batches.steps)
    if worker.rank == 0:
        make_folder(out)
        write_whole(out / CONFIG, as_yaml(config).encode())
    name = config.model or config.architecture
    origin = Origin(command, name, len(source), current_device())
    for epoch in range(trainer.position.step // batches.steps, config.epochs):
        speed = run_epoch(trainer, epoch, state, progress)
        if worker.rank == 0:
            evaluation = examiner.evaluate()
            rows.append(row(trainer, evaluation, epoch, speed))
            write_log(rows, out)
            if evaluation.correct > trainer.position.best:
                trainer.position.best = evaluation.correct
                write_model(examiner.network, config.measured_size, evaluation, origin, out)
        trainer.position.losses.clear()
        if worker.rank == 0:
            trainer.save(state)
    return out / CARD if worker.rank == 0 else None


def check_folder(state: Path, resume: bool) -> None:
    """Raise `TrainingError` where there is no run to resume, or one that would be overwritten."""
    if resume and not state.exists():
        raise TrainingError(f"{state.parent}: holds no run to resume")
    if state.exists() and not resume:
        raise TrainingError(
            f"{state.parent}: holds a run; go on with it (--resume) or name another folder"
        )


def run_epoch(
    trainer: Trainer, epoch: int, state: Path, progress: Callable[[Progress], None]
) -> float:
    """Take the steps that the epoch still lacks; returns the pictures a second of all workers."""
    batches, position = trainer.batches, trainer.position
    first = len(position.losses)
    images = batches.batch_size * batches.worker.count
    began = time.perf_counter()
    speed = 0.0
    for done, batch in enumerate(batches.epoch(epoch, first), start=1):
        trainer.take(batch)
        speed = done * images / (time.perf_counter() - began)
        total = trainer.config.epochs * batches.steps
        progress(Progress(position.step, total, position.losses[-1], speed))
        is_due = len(position.losses) % trainer.config.save_steps == 0
        if is_due and len(position.losses) < batches.steps and batches.worker.rank == 0:
            trainer.save(state)
    return speed


class Examiner:
    """Measures the averaged network on the held-out pictures, with one graph for the whole run.

    Attributes:
        network: with the averages of the last evaluation.
    """

    def __init__(self, trainer: Trainer, task: Task) -> None:
        self.trainer = trainer
        self.held_out = task.held_out
        self.network = GhostNet(trainer.network.architecture, len(task.labels))
        self.network.set_train(False)
        preprocess = Preprocess(trainer.config.measured_size)
        model = Model("network in training", self.network, task.labels, preprocess)
        self.classifier = Classifier(model, batch_size=EVALUATION_BATCH)

    def evaluate(self) -> Evaluation:
        """How often the network is right as it now is."""
        self.trainer.copy_averages(self.network)
        self.classifier.refresh()
        return evaluate(self.classifier, self.held_out)


def row(trainer: Trainer, evaluation: Evaluation, epoch: int, speed: float) -> Row:
    """What the log says of an epoch."""
    rates = learning_rates(trainer.config, trainer.batches.steps)
    return Row(
        epoch=epoch + 1,
        learning_rate=float(rates[trainer.position.step - 1]),
        loss=float(np.mean(trainer.position.losses)),
        top1=evaluation.correct / evaluation.images,
        images_per_second=round(speed, 1),
    )
