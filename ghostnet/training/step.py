"""One step of training: loss, gradients, momentum, moving average."""

import math
from typing import Any

import mindspore as ms
import numpy as np
from mindspore import Parameter, ParameterTuple, Tensor, nn, ops
from numpy.typing import NDArray

from ghostnet.models.network import GhostNet
from ghostnet.training.config import TrainingConfig

LOSS_SCALE = 1024.0
"""Keeps float16 gradients from vanishing in mixed precision."""


class MaskDropout(nn.Cell):
    """Dropout with a mask that is set from outside, so that a step can be repeated bit for bit.

    Multiplies (batch, features) by the mask in training.
    """

    def __init__(self, batch_size: int, features: int, rate: float) -> None:
        super().__init__(auto_prefix=False)
        self.rate = rate
        ones = Tensor(np.ones((batch_size, features), np.float32))
        self.mask = Parameter(ones, name="dropout_mask", requires_grad=False)

    def draw(self, generator: np.random.Generator) -> None:
        """Draw the mask of the next step."""
        kept = generator.random(self.mask.shape, np.float32) >= self.rate
        self.mask.set_data(Tensor(kept.astype(np.float32) / (1 - self.rate)))

    def construct(self, x: Tensor) -> Tensor:
        if not self.training:
            return x
        return x * self.mask.astype(x.dtype)


class LossCell(nn.Cell):
    """Map images and labels to the mean cross-entropy with smoothed labels.

    Our own, because the last digits of MindSpore's differed between processes.
    """

    def __init__(self, network: nn.Cell, num_classes: int, label_smoothing: float) -> None:
        super().__init__(auto_prefix=False)
        self.network = network
        self.num_classes = num_classes
        self.off = Tensor(label_smoothing / num_classes, ms.float32)
        self.on = Tensor(1 - label_smoothing + label_smoothing / num_classes, ms.float32)

    def construct(self, images: Tensor, labels: Tensor) -> Tensor:
        log_shares = ops.log_softmax(self.network(images).astype(ms.float32), -1)
        targets = ops.one_hot(labels, self.num_classes, self.on, self.off)
        return -(targets * log_shares).sum(1).mean()


class MovingAverage(nn.Cell):
    """Exponential moving averages of parameters, including batch-norm statistics.

    Attributes:
        averages: One for each parameter, named ``ema.<name>``.
    """

    def __init__(self, parameters: ParameterTuple) -> None:
        super().__init__(auto_prefix=False)
        self.parameters = parameters
        self.averages = parameters.clone(prefix="ema")
        self.update = ops.MultitypeFuncGraph("update_average")
        self.update.register("Tensor", "Tensor", "Tensor")(_update_average)
        self.map = ops.HyperMap()

    def construct(self, decay: Tensor) -> Tensor:
        self.map(ops.partial(self.update, decay), self.averages, self.parameters)
        return decay


def _update_average(decay: Tensor, average: Tensor, parameter: Tensor) -> Tensor:
    return ops.assign(average, decay * average + (1 - decay) * parameter)


def ema_decay(step: int, decay: float) -> float:
    """Return the decay of a step: smaller at first, so that the initialization soon fades."""
    return min(decay, (1 + step) / (10 + step))


def learning_rates(config: TrainingConfig, steps_per_epoch: int) -> NDArray[np.float32]:
    """Return the rate of every step: linear warm-up, then half a cosine down to nearly zero."""
    total = config.epochs * steps_per_epoch
    warmup = min(round(config.warmup_epochs * steps_per_epoch), total - 1)
    steps = np.arange(total)
    rising = (steps + 1) / (warmup + 1)
    falling = (1 + np.cos(math.pi * (steps - warmup) / (total - warmup))) / 2
    return (config.learning_rate * np.where(steps < warmup, rising, falling)).astype(np.float32)


def make_optimizer(
    network: GhostNet, config: TrainingConfig, steps_per_epoch: int, loss_scale: float
) -> nn.Momentum:
    """Build the optimizer: weight decay on weights only, ``backbone_rate`` below the classifier."""
    rates = learning_rates(config, steps_per_epoch)
    groups: dict[tuple[bool, bool], list[Parameter]] = {}
    for parameter in network.trainable_params():
        kind = (parameter.name.startswith("classifier."), parameter.ndim > 1)
        groups.setdefault(kind, []).append(parameter)
    settings: list[dict[str, Any]] = [
        {
            "params": parameters,
            "lr": (rates if is_classifier else rates * config.backbone_rate).tolist(),
            "weight_decay": config.weight_decay if is_weight else 0.0,
        }
        for (is_classifier, is_weight), parameters in groups.items()
    ]
    return nn.Momentum(
        settings,
        learning_rate=config.learning_rate,
        momentum=config.momentum,
        use_nesterov=config.nesterov,
        loss_scale=loss_scale,
    )
