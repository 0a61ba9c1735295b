"""The training loop: from settings to a folder with model, card, log, curve and state."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import numpy as np

from ghostnet.data.image_folder import ImageFolder
from ghostnet.data.transforms import Preprocess
from ghostnet.errors import TrainingError
from ghostnet.files import raising, write_whole
from ghostnet.inference.report import evaluation_page, write_report
from ghostnet.model import Model
from ghostnet.model.evaluation import Evaluation, evaluate
from ghostnet.model.forward import open_forward
from ghostnet.model.label_evaluation import NEUTRAL, LabelEvaluation
from ghostnet.model.result import Result
from ghostnet.runtime import current_device
from ghostnet.training.augment import Augment
from ghostnet.training.class_balance import class_counts, warn_if_unbalanced
from ghostnet.training.config import CONFIG, Balance, BestBy, TrainingConfig, as_yaml
from ghostnet.training.model_card import Origin, make_folder, write_model
from ghostnet.training.rand_augment import RandAugment
from ghostnet.training.run import workers
from ghostnet.training.run.batches import Batches
from ghostnet.training.run.curve import curve_svg
from ghostnet.training.run.folder import REPORT, STATE, check_folder
from ghostnet.training.run.history import History, notebook_display
from ghostnet.training.run.log import Row, read_log, write_log
from ghostnet.training.run.resumption import read_state, resume_batches
from ghostnet.training.run.step import learning_rates
from ghostnet.training.run.task import Task, open_task, start
from ghostnet.training.run.trainer import Position, Trainer
from ghostnet.training.source import FolderSource
from ghostnet.training.teacher.answers import Answers
from ghostnet.training.teacher.distillation import Distillation
from ghostnet.training.teacher.network import Teacher

log = logging.getLogger(__name__)

EVALUATION_BATCH = 32


@dataclass(frozen=True)
class Progress:
    """The progress of a run.

    Attributes:
        step: Number of steps done.
        steps: Number of steps in all.
        loss: Loss of the last step.
        images_per_second: Training speed of all workers.
    """

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
    opened: Callable[[Task], None] = lambda task: None,
    allow_short_hash: bool = False,
    progress: Callable[[Progress], None] = lambda progress: None,
    teacher_progress: Callable[[int, int], None] = lambda done, wanted: None,
    evaluated: Callable[[Row], None] = lambda row: None,
) -> History | None:
    """Train a network; a notebook shows the curve while it grows.

    Under ``msrun`` each worker calls this; the first one evaluates and writes.

    Args:
        config: Settings of the run.
        out: Folder for ``config.yaml``, ``log.csv``, ``curve.png``, ``report.html``, ``state.ckpt``
            (everything that resuming needs) and, for the best epoch so far, ``ghostnet.ckpt`` with
            its ``card.md``.
        command: Command line, for the card.
        resume: Continue from ``state.ckpt``, bit for bit.
        cache_dir: Root of the cache, for the model to start from.
        opened: Called by the first worker when the images are listed.
        allow_short_hash: As in `ghostnet.hub.load`, for the model to start from.
        progress: Called after each step.
        teacher_progress: Called with the number of the teacher's answers that are known, and of
            those that the next epoch needs.
        evaluated: Called by the first worker with the row of each epoch, those before a resumption
            included.

    Returns:
        The epochs and the card of the best one; None for all workers but the first.

    Raises:
        DatasetError: The images cannot be used, or one of them turns out to be broken.
        TrainingError: The folder holds another run, or none to resume; or a loss or a parameter is
            not finite.
    """
    data, recipe = config.data, config.recipe
    worker = workers.join()
    state = out / STATE
    check_folder(out, resume=resume)
    teacher = Teacher(config.teacher.path, config.teacher) if config.teacher.path else None
    task = open_task(data, teacher)
    if worker.rank == 0:
        opened(task)
    augment = Augment(
        recipe.image_size,
        recipe.smallest_crop,
        recipe.flip,
        recipe.color_jitter,
        RandAugment.parse(recipe.aa) if recipe.aa else None,
        recipe.reprob,
    )
    threads, views = data.decode_threads, config.teacher.views if teacher else 0
    indices, combinations = task.source.labels, task.source.combinations
    counts = class_counts(indices, len(task.labels), combinations)
    warn_if_unbalanced(counts, task.labels, multi_label=combinations is not None)
    batches = Batches(
        task.source,
        augment,
        recipe.batch_size,
        recipe.seed,
        threads,
        worker,
        views,
        recipe.balance,
    )
    saved = read_state(state) if resume else {}
    if resume:
        batches = resume_batches(saved, state, batches)
    distillation = None
    if teacher:
        answers = Answers(teacher, batches.source, augment, recipe.seed, cache_dir)
        distillation = Distillation(
            answers, config.teacher, task.labels, recipe.seed, recipe.balance is not Balance.OFF
        )
    network = start(recipe, len(task.labels), cache_dir, allow_short_hash=allow_short_hash)
    trainer = Trainer(network, recipe, batches, distillation)
    examiner = Examiner(trainer, task)
    history = History(out)
    show = notebook_display()
    if resume:
        trainer.restore(saved, state)
        history.rows = read_log(out, trainer.position.step // batches.steps)
    if worker.rank == 0:
        choose_anew_if_others(trainer.position, task.held_out, len(history.rows))
        history.best_epoch = trainer.position.best_epoch
        make_folder(out)
        with raising(TrainingError, f"{out / CONFIG}: cannot be written"):
            write_whole(out / CONFIG, as_yaml(config).encode())
        for known in history.rows:
            evaluated(known)
    name = recipe.model or recipe.architecture
    origin = Origin(command, name, len(task.source), current_device())
    for epoch in range(trainer.position.step // batches.steps, recipe.epochs):
        if recipe.patience and workers.as_first(worker, is_stale(trainer, epoch)):
            break
        if distillation:
            distillation.prepare(batches.view(epoch), batches.order(epoch), teacher_progress)
        speed = run_epoch(trainer, epoch, state, progress)
        trainer.check_finite()
        if worker.rank == 0:
            evaluation = examiner.evaluate()
            history.rows.append(row(trainer, evaluation, epoch, speed))
            write_log(history.rows, out)
            examiner.report(evaluation, history)
            score = score_of(evaluation, recipe.best_by)
            if score > trainer.position.best:
                trainer.position.best, trainer.position.best_epoch = score, epoch + 1
                history.best_epoch = epoch + 1
                write_model(examiner.model, evaluation, origin, out)
        trainer.position.losses.clear()
        if worker.rank == 0:
            trainer.save(state)
            evaluated(history.rows[-1])
            show(history)
    return history if worker.rank == 0 else None


def score_of(evaluation: Evaluation | LabelEvaluation, best_by: BestBy) -> Fraction:
    """Return the score that the best epoch is chosen by, exactly enough to be kept."""
    if isinstance(evaluation, LabelEvaluation):
        score = evaluation.mean_average_precision
    elif best_by is BestBy.TOP1:
        return Fraction(evaluation.correct, evaluation.images)
    else:
        score = evaluation.balanced
    return Fraction(score).limit_denominator(2**40)


def is_stale(trainer: Trainer, epoch: int) -> bool:
    """Tell whether the best of ``epoch`` epochs is too long ago; a message says so."""
    best, patience = trainer.position.best_epoch, trainer.recipe.patience
    if patience is None or epoch - best < patience:
        return False
    log.warning("stopped after epoch %d: none was better since epoch %d", epoch, best)
    return True


def choose_anew_if_others(position: Position, held_out: ImageFolder, epochs: int) -> None:
    """Forget the best of ``epochs`` epochs if it was measured with other images, with a warning."""
    hashes = np.sort(FolderSource(held_out.files).hashes)
    if position.best >= 0 and not np.array_equal(hashes, position.held_out):
        log.warning("the held-out images have changed: the best epoch is chosen from here on")
        position.best, position.best_epoch = Position().best, epochs
    position.held_out = hashes


def run_epoch(
    trainer: Trainer, epoch: int, state: Path, progress: Callable[[Progress], None]
) -> float:
    """Take the steps that the epoch still lacks; returns the images per second of all workers."""
    batches, position = trainer.batches, trainer.position
    first = len(position.losses)
    images = batches.batch_size * batches.worker.count
    began = time.perf_counter()
    speed = 0.0
    for done, batch in enumerate(batches.epoch(epoch, first), start=1):
        trainer.take(batch)
        speed = done * images / (time.perf_counter() - began)
        total = trainer.recipe.epochs * batches.steps
        progress(Progress(position.step, total, position.losses[-1], speed))
        is_due = len(position.losses) % trainer.recipe.save_steps == 0
        if is_due and len(position.losses) < batches.steps and batches.worker.rank == 0:
            trainer.save(state)
    return speed


class Examiner:
    """Evaluates the averaged network on the held-out images.

    Attributes:
        model: The network with the averages of the last evaluation.
    """

    def __init__(self, trainer: Trainer, task: Task) -> None:
        self.trainer = trainer
        self.held_out = task.held_out
        self.model = Model(
            "network in training",
            trainer.network.architecture,
            trainer.averages(),
            task.labels,
            Preprocess(trainer.recipe.measured_size),
            None if task.held_out.combinations is None else (NEUTRAL,) * len(task.labels),
        )
        self.forward = open_forward(self.model)
        self.results: list[Result] = []

    def evaluate(self) -> Evaluation | LabelEvaluation:
        """Evaluate the network as it is now; thresholds of labels are chosen anew."""
        self.model = replace(self.model, parameters=self.trainer.averages())
        self.forward.refresh(self.model.parameters)
        files = [file for file, _ in self.held_out.files]
        self.results = [
            *self.model.results(files, batch_size=EVALUATION_BATCH, forward=self.forward)
        ]
        evaluation = evaluate(
            self.model.name,
            self.model.labels,
            self.held_out,
            self.results,
            thresholds=self.model.thresholds,
        )
        if isinstance(evaluation, LabelEvaluation):
            evaluation = evaluation.with_best_thresholds()
            self.model = replace(self.model, thresholds=evaluation.thresholds)
        return evaluation

    def report(self, evaluation: Evaluation | LabelEvaluation, history: History) -> None:
        """Write the page of a run after an evaluation: its curve, and the worst images."""
        curve = curve_svg(history.rows)
        page = evaluation_page(
            history.out.name, evaluation, self.held_out, self.results, curve=curve
        )
        write_report(history.out / REPORT, page)


def row(
    trainer: Trainer, evaluation: Evaluation | LabelEvaluation, epoch: int, speed: float
) -> Row:
    """Return the log's row of an epoch."""
    rates = learning_rates(trainer.recipe, trainer.batches.steps)
    return Row(
        epoch=epoch + 1,
        learning_rate=float(rates[trainer.position.step - 1]),
        loss=float(np.mean(trainer.position.losses)),
        measures=evaluation.measures,
        images_per_second=round(speed, 1),
    )
