"""A network in training: its cells, and its whole state in one file."""

import hashlib
from dataclasses import dataclass, field
from pathlib import Path

import mindspore as ms
import numpy as np
from mindspore import Parameter, ParameterTuple, Tensor, nn
from numpy.typing import NDArray

from ghostnet.checkpoints import Parameters, read_checkpoint, write_checkpoint
from ghostnet.errors import TrainingError
from ghostnet.kernels import fuse, unavailable_reason
from ghostnet.models.network import GhostNet
from ghostnet.runtime import current_device
from ghostnet.training.batches import Batch, Batches
from ghostnet.training.config import Precision, TrainingConfig
from ghostnet.training.step import (
    LOSS_SCALE,
    LossCell,
    MaskDropout,
    MovingAverage,
    ema_decay,
    make_optimizer,
)


@dataclass
class Position:
    """The position of a run.

    Attributes:
        step: Number of steps done since the start of the run.
        losses: Losses of the steps of the current epoch.
        best: Correct answers on the held-out images in the best epoch; -1 before the first.
    """

    step: int = 0
    losses: list[float] = field(default_factory=list)
    best: int = -1


class Trainer:
    """Takes steps, and keeps everything that the next step depends on.

    Args:
        network: Trained in place.
        config: Settings of the run.
        batches: Batches of this worker.
    """

    def __init__(self, network: GhostNet, config: TrainingConfig, batches: Batches) -> None:
        self.network = network
        self.config = config
        self.batches = batches
        self.position = Position()
        self.parameters = ParameterTuple(network.get_parameters())
        self.average = MovingAverage(self.parameters)
        self.dropout = MaskDropout(config.batch_size, network.num_features, config.drop_rate)
        network.dropout = self.dropout
        network.set_train()
        mixed = mixes(config.precision)
        if mixed:
            ms.amp.auto_mixed_precision(network, "O2")
        scale = LOSS_SCALE if mixed else 1.0
        self.optimizer = make_optimizer(network, config, batches.steps, scale)
        fused = config.fuse and not mixed and unavailable_reason(training=True) is None
        trained = fuse(network, training=True) if fused else network
        self.cell = nn.TrainOneStepCell(
            LossCell(trained, network.num_classes, config.label_smoothing), self.optimizer, scale
        )
        self.cell.set_train()

    def take(self, batch: Batch) -> None:
        """Train on one batch.

        Raises:
            TrainingError: The loss is not finite, so no parameter should be kept.
        """
        step = self.position.step
        self.dropout.draw(np.random.default_rng([self.config.seed, step, self.batches.worker.rank]))
        loss = float(self.cell(Tensor(batch.images), Tensor(batch.labels)).asnumpy())
        if not np.isfinite(loss):
            names = "\n  ".join(self.batches.source.name(int(index)) for index in batch.indices)
            raise TrainingError(
                f"expected a finite loss in step {step + 1}, found {loss}; lower learning_rate, or "
                f"look at the images of the batch:\n  {names}"
            )
        self.average(Tensor(ema_decay(step, self.config.ema_decay), ms.float32))
        self.position.step += 1
        self.position.losses.append(loss)

    def check_finite(self) -> None:
        """Check the parameters, their averages and the optimizer's moments.

        Raises:
            TrainingError: A value is not finite.
        """
        for name, parameter in self._kept().items():
            if not np.isfinite(parameter.asnumpy()).all():
                raise TrainingError(
                    f"{name}: expected finite values after step {self.position.step}, found NaN or "
                    "infinity; lower learning_rate"
                )

    def averages(self) -> Parameters:
        """Copy the moving averages into arrays, by the names of the parameters."""
        pairs = zip(self.parameters, self.average.averages, strict=True)
        return {own.name: average.asnumpy().copy() for own, average in pairs}

    def save(self, path: Path) -> None:
        """Write the whole state atomically.

        Raises:
            TrainingError: A parameter is not finite; the last state stays.
            CheckpointError: The file cannot be written.
        """
        self.check_finite()
        state: Parameters = {name: kept.asnumpy() for name, kept in self._kept().items()}
        state["position.step"] = np.array([self.position.step], np.int64)
        if self.position.losses:  # a checkpoint holds no empty arrays
            state["position.losses"] = np.array(self.position.losses, np.float32)
        state["position.best"] = np.array([self.position.best], np.int64)
        state["position.pictures"] = self._fingerprint()
        write_checkpoint(state, path)

    def restore(self, path: Path) -> None:
        """Return to a saved state.

        Raises:
            CheckpointError: The file cannot be read.
            TrainingError: It is the state of another network, or of other images.
        """
        state = read_checkpoint(path)
        kept = self._kept()
        wrong = [
            name
            for name, parameter in kept.items()
            if name not in state or state[name].shape != parameter.shape
        ]
        if wrong:
            raise TrainingError(
                f"{path}: expected the state of this run, found no {wrong[0]} of its shape"
            )
        if not np.array_equal(state["position.pictures"], self._fingerprint()):
            raise TrainingError(
                f"{path}: expected the training images that the run started with, found others; "
                "restore them, or start again in another folder"
            )
        for name, parameter in kept.items():
            parameter.set_data(Tensor(state[name].copy()))
        self.position = Position(
            int(state["position.step"][0]),
            state["position.losses"].tolist() if "position.losses" in state else [],
            int(state["position.best"][0]),
        )

    def _kept(self) -> dict[str, Parameter]:
        """Return the parameters that change from step to step."""
        kept = (
            *self.parameters,
            *self.average.averages,
            *self.optimizer.moments,
            self.optimizer.global_step,
        )
        return {parameter.name: parameter for parameter in kept}

    def _fingerprint(self) -> NDArray[np.int64]:
        """Hash the names of the images, and so the order in which they come."""
        source = self.batches.source
        names = "\n".join(source.name(index) for index in range(len(source)))
        return np.frombuffer(
            hashlib.sha256(names.encode(errors="surrogateescape")).digest(), np.int64
        )


def mixes(precision: Precision) -> bool:
    """Whether float16 is used where it is safe."""
    if precision is Precision.AUTO:
        return current_device() != "CPU"
    return precision is Precision.MIXED
