"""A network in training: its cells, and its whole state in one file."""

from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import mindspore as ms
import numpy as np
from mindspore import Parameter, ParameterTuple, Tensor, nn
from numpy.typing import NDArray

from ghostnet.checkpoints import Parameters, write_checkpoint
from ghostnet.errors import TrainingError
from ghostnet.kernels import fuse, unavailable_reason
from ghostnet.model.forward import Forward
from ghostnet.models.classification import ClassificationNetwork
from ghostnet.runtime import current_device, keep_operators_on_one_thread
from ghostnet.training.config import Balance, Lesson, Precision, Recipe
from ghostnet.training.mixing import Mixing
from ghostnet.training.run.batches import Batch, Batches
from ghostnet.training.run.depths import freeze, parameter_depths
from ghostnet.training.run.frozen_backbone import FrozenBackboneHead, open_backbone
from ghostnet.training.run.step import (
    LOSS_SCALE,
    DistillationLoss,
    LossCell,
    MaskDropout,
    MovingAverage,
    ema_decay,
    make_optimizer,
)
from ghostnet.training.source import Hashes
from ghostnet.training.targets import Targets
from ghostnet.training.teacher.distillation import Distillation

MIXED = 1
"""Last number of the seed that batches are mixed by; the dropout's seed has none."""


@dataclass
class Position:
    """The position of a run.

    Attributes:
        step: Number of steps done since the start of the run.
        losses: Losses of the steps of the current epoch.
        best: Accuracy of the best epoch, by the measure of `Recipe.best_by`; -1 before the first.
        best_epoch: Number of epochs that were done then.
        held_out: Hashes of the held-out images, sorted; empty before the first epoch.
    """

    step: int = 0
    losses: list[float] = field(default_factory=list)
    best: Fraction = Fraction(-1)
    best_epoch: int = 0
    held_out: Hashes = field(default_factory=lambda: np.empty(0, np.int64))


class Trainer:
    """Takes steps, and keeps everything that the next step depends on.

    Args:
        network: Trained in place.
        recipe: How to train it.
        batches: Batches of this worker.
        distillation: What to learn from a teacher.
    """

    def __init__(
        self,
        network: ClassificationNetwork,
        recipe: Recipe,
        batches: Batches,
        distillation: Distillation | None = None,
    ) -> None:
        self.network = network
        self.recipe = recipe
        self.batches = batches
        self.distillation = distillation
        self.position = Position()
        self.mixing = Mixing(
            recipe.mixup, recipe.cutmix, recipe.mixup_prob, recipe.mixup_switch_prob
        )
        source = batches.source
        self.targets = Targets(
            source.labels,
            network.num_classes,
            source.combinations,
            smoothing=recipe.label_smoothing,
            balanced=recipe.balance is Balance.WEIGHTS,
        )
        self.parameters = ParameterTuple(network.get_parameters())
        learner = network.classifier if recipe.backbone_rate == 0 else network
        self.average = MovingAverage(ParameterTuple(learner.get_parameters()))
        self.dropout = MaskDropout(recipe.batch_size, network.num_features, recipe.drop_rate)
        network.dropout = self.dropout
        network.set_train()
        freeze(network, recipe.freeze)
        mixed = mixes(recipe.precision)
        if mixed:
            ms.amp.auto_mixed_precision(network, "O2")
        scale = LOSS_SCALE if mixed else 1.0
        reason = unavailable_reason(training=True, architecture=network.architecture)
        fused = recipe.fuse and not mixed and reason is None
        if fused:
            keep_operators_on_one_thread()
        self.backbone: Forward | None = None
        if recipe.backbone_rate == 0:
            self.backbone = open_backbone(
                network.architecture, self.averages(), recipe.image_size, fused=fused
            )
        trained = self._trained(fused)
        self.projection = make_projection(network, distillation)
        multi_label = source.combinations is not None
        loss = (
            DistillationLoss(
                trained,
                network,
                self.projection,
                distillation.settings.temperature,
                multi_label=multi_label,
            )
            if distillation
            else LossCell(trained, multi_label=multi_label)
        )
        learning = [*learner.trainable_params(), *self._projected()]
        depths = parameter_depths(network.spec)
        self.optimizer = make_optimizer(learning, recipe, depths, batches.steps, scale)
        self.cell = nn.TrainOneStepCell(loss, self.optimizer, scale)
        self.cell.set_train()
        freeze(network, recipe.freeze)

    def _trained(self, fused: bool) -> nn.Cell:
        """Return the cell whose gradients are taken."""
        if self.backbone:
            return FrozenBackboneHead(self.network)
        return fuse(self.network, training=True) if fused else self.network

    def take(self, batch: Batch) -> None:
        """Train on one batch.

        Raises:
            TrainingError: The loss is not finite; the parameters must not be kept.
        """
        step = self.position.step
        self.dropout.draw(np.random.default_rng([self.recipe.seed, step, self.batches.worker.rank]))
        images, shares = self._mixed(batch)
        lesson = map(Tensor, self._lesson(batch, shares))
        if self.backbone:
            images = self.backbone(images)
        loss = float(self.cell(Tensor(images), *lesson).asnumpy())
        if not np.isfinite(loss):
            names = "\n  ".join(self.batches.source.name(int(index)) for index in batch.indices)
            raise TrainingError(
                f"the loss of step {step + 1} is {loss}; lower learning_rate, or look at the "
                f"images of the batch:\n  {names}"
            )
        self.average(Tensor(ema_decay(step, self.recipe.ema_decay), ms.float32))
        self.position.step += 1
        self.position.losses.append(loss)

    def _mixed(self, batch: Batch) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return the images of a batch and the shares of their labels, mixed with others."""
        place = [self.recipe.seed, self.position.step, self.batches.worker.rank, MIXED]
        shares = self.targets(batch.labels)
        return self.mixing(batch.images, shares, np.random.default_rng(place))

    def _lesson(self, batch: Batch, shares: NDArray[np.float32]) -> tuple[NDArray[Any], ...]:
        """Return what the loss compares the network's answers with."""
        if self.distillation is None:
            return (shares,)
        epoch = self.position.step // self.batches.steps
        weights = self.distillation.weights(batch.labels)
        taught = self.distillation.targets(batch.indices, self.batches.view(epoch))
        return (1 - weights[:, None]) * shares, taught, weights

    def check_finite(self) -> None:
        """Check the parameters, their averages and the optimizer's moments.

        Raises:
            TrainingError: A value is not finite.
        """
        for name, parameter in self._kept().items():
            if not np.isfinite(parameter.asnumpy()).all():
                raise TrainingError(
                    f"{name} has NaN or infinite values after step {self.position.step}; lower "
                    "learning_rate"
                )

    def averages(self) -> Parameters:
        """Copy the parameters into arrays by name: their moving averages, where they learn."""
        kept = {own.name: own for own in self.parameters}
        pairs = zip(self.average.parameters, self.average.averages, strict=True)
        kept |= {own.name: average for own, average in pairs}
        return {name: parameter.asnumpy().copy() for name, parameter in kept.items()}

    def save(self, path: Path) -> None:
        """Write the whole state atomically.

        Raises:
            TrainingError: A parameter is not finite; the previous state is kept.
            CheckpointError: The file cannot be written.
        """
        self.check_finite()
        state: Parameters = {name: kept.asnumpy() for name, kept in self._kept().items()}
        state["position.step"] = np.array([self.position.step], np.int64)
        if self.position.losses:  # a checkpoint holds no empty arrays
            state["position.losses"] = np.array(self.position.losses, np.float32)
        state["position.best"] = np.array(self.position.best.as_integer_ratio(), np.int64)
        state["position.best_epoch"] = np.array([self.position.best_epoch], np.int64)
        if self.position.held_out.size:
            state["position.held_out"] = self.position.held_out
        state["position.images"] = self.batches.source.hashes
        state["position.workers"] = np.array([self.batches.worker.count], np.int64)
        write_checkpoint(state, path)

    def restore(self, state: Parameters, path: Path) -> None:
        """Return to a saved state.

        Args:
            state: As `save` writes it.
            path: Its file, for errors.

        Raises:
            TrainingError: It is the state of another network.
        """
        kept = self._kept()
        wrong = [
            name
            for name, parameter in kept.items()
            if name not in state or state[name].shape != parameter.shape
        ]
        if wrong:
            raise TrainingError(
                f"{path} is not the state of this run: it has no {wrong[0]} of the right shape"
            )
        for name, parameter in kept.items():
            parameter.set_data(Tensor(state[name].copy()))
        self.position = Position(
            int(state["position.step"][0]),
            state["position.losses"].tolist() if "position.losses" in state else [],
            Fraction(*map(int, state["position.best"])),
            int(state["position.best_epoch"][0]),
            state.get("position.held_out", Position().held_out),
        )

    def _kept(self) -> dict[str, Parameter]:
        """Return the parameters that change from step to step."""
        kept = (
            *self.parameters,
            *self.average.averages,
            *self._projected(),
            *self.optimizer.moments,
            self.optimizer.global_step,
        )
        return {parameter.name: parameter for parameter in kept}

    def _projected(self) -> list[Parameter]:
        """Return the parameters of the projection, which the result does not keep."""
        return [] if self.projection is None else self.projection.trainable_params()


def make_projection(
    network: ClassificationNetwork, distillation: Distillation | None
) -> nn.Dense | None:
    """Build the map from the network's features to the teacher's, if features are learned."""
    if distillation is None or distillation.settings.lesson is not Lesson.FEATURES:
        return None
    projection = nn.Dense(network.num_features, distillation.length, has_bias=False)
    projection.update_parameters_name("projection.")
    return projection


def mixes(precision: Precision) -> bool:
    """Whether float16 is used where it is safe."""
    if precision is Precision.AUTO:
        return current_device() != "CPU"
    return precision is Precision.MIXED
