"""A network in training: its cells, and all of its state in one file."""

import hashlib
from dataclasses import dataclass, field
from pathlib import Path

import mindspore as ms
import numpy as np
from mindspore import Parameter, ParameterTuple, Tensor, nn
from numpy.typing import NDArray

from ghostnet.checkpoint import Parameters, load_parameters, read_checkpoint, write_checkpoint
from ghostnet.errors import TrainingError
from ghostnet.kernels import fuse, unavailable_reason
from ghostnet.network import GhostNet
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
    """Where a run stands.

    Attributes:
        step: steps done since the start of the run.
        losses: of the steps of the current epoch.
        best: right answers on the held-out pictures in the best epoch; -1 before the first.
    """

    step: int = 0
    losses: list[float] = field(default_factory=list)
    best: int = -1


class Trainer:
    """Takes steps, and keeps everything that the next step depends on.

    Args:
        network: what is trained, in place.
        config: the settings of the run.
        batches: this worker's.
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
        """Learn from one batch.

        Raises:
            TrainingError: the loss is not finite; no parameter should be kept after that.
        """
        step = self.position.step
        self.dropout.draw(np.random.default_rng([self.config.seed, step, self.batches.worker.rank]))
        loss = float(self.cell(Tensor(batch.images), Tensor(batch.labels)).asnumpy())
        if not np.isfinite(loss):
            names = "\n  ".join(self.batches.source.name(int(index)) for index in batch.indices)
            raise TrainingError(
                f"the loss is {loss} in step {step + 1}; a lower learning_rate may help, or a look "
                f"at the batch's pictures:\n  {names}"
            )
        self.average(Tensor(ema_decay(step, self.config.ema_decay), ms.float32))
        self.position.step += 1
        self.position.losses.append(loss)

    def copy_averages(self, network: GhostNet) -> None:
        """Give another network of these layers the moving averages for weights."""
        pairs = zip(self.parameters, self.average.averages, strict=True)
        load_parameters(network, {own.name: average.asnumpy() for own, average in pairs})

    def save(self, path: Path) -> None:
        """Write the whole state, whole or not at all."""
        state: Parameters = {name: kept.asnumpy() for name, kept in self._kept().items()}
        state["position.step"] = np.array([self.position.step], np.int64)
        if self.position.losses:  # a checkpoint holds no empty arrays
            state["position.losses"] = np.array(self.position.losses, np.float32)
        state["position.best"] = np.array([self.position.best], np.int64)
        state["position.pictures"] = self._fingerprint()
        write_checkpoint(state, path)

    def restore(self, path: Path) -> None:
        """Go back to a saved state.

        Raises:
            CheckpointError: the file cannot be read.
            TrainingError: it is the state of another network, or of other pictures.
        """
        state = read_checkpoint(path)
        kept = self._kept()
        wrong = [
            name
            for name, parameter in kept.items()
            if name not in state or state[name].shape != parameter.shape
        ]
        if wrong:
            raise TrainingError(f"{path}: not a state of this run; no {wrong[0]} of its shape")
        if not np.array_equal(state["position.pictures"], self._fingerprint()):
            raise TrainingError(
                f"{path}: the pictures to learn from are not those of the start of the run; "
                "restore them, or start anew in another folder"
            )
        for name, parameter in kept.items():
            parameter.set_data(Tensor(state[name].copy()))
        self.position = Position(
            int(state["position.step"][0]),
            state["position.losses"].tolist() if "position.losses" in state else [],
            int(state["position.best"][0]),
        )

    def _kept(self) -> dict[str, Parameter]:
        """The parameters that change from step to step."""
        kept = (
            *self.parameters,
            *self.average.averages,
            *self.optimizer.moments,
            self.optimizer.global_step,
        )
        return {parameter.name: parameter for parameter in kept}

    def _fingerprint(self) -> NDArray[np.int64]:
        """Of the pictures' names, and so of the order in which they are met."""
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
