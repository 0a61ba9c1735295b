"""One step of training: loss, gradients, momentum, moving average."""

import math
from collections.abc import Iterable, Mapping
from typing import Any

import mindspore as ms
import numpy as np
from mindspore import Parameter, ParameterTuple, Tensor, nn, ops
from numpy.typing import NDArray

from ghostnet.models.classification import ClassificationNetwork
from ghostnet.training.config import Recipe

LOSS_SCALE = 1024.0
"""Prevents float16 gradients from vanishing in mixed precision."""


FRESH = ("classifier.", "projection.")
"""Prefixes of the parameters above the backbone."""


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


class LogShares(nn.Cell):
    """Map (batch, classes) logits to the logarithms of the probabilities of the answers.

    These are the classes or, if images may have several labels, yes and then no to each of them:
    (batch, 2 · labels).

    Our own, because the last digits of MindSpore's losses differed between processes.
    """

    def __init__(self, *, multi_label: bool) -> None:
        super().__init__(auto_prefix=False)
        self.multi_label = multi_label

    def construct(self, logits: Tensor) -> Tensor:
        if not self.multi_label:
            return ops.log_softmax(logits, -1)
        yes_and_no = ops.stack((logits, ops.zeros_like(logits)), -1)
        return ops.log_softmax(yes_and_no, -1).transpose(0, 2, 1).reshape(logits.shape[0], -1)


class LossCell(nn.Cell):
    """Map images and the (batch, answers) shares of their labels to the mean cross-entropy."""

    def __init__(self, network: nn.Cell, *, multi_label: bool = False) -> None:
        super().__init__(auto_prefix=False)
        self.network = network
        self.log_shares = LogShares(multi_label=multi_label)

    def construct(self, images: Tensor, shares: Tensor) -> Tensor:
        log_shares = self.log_shares(self.network(images).astype(ms.float32))
        return -(shares * log_shares).sum(1).mean()


class DistillationLoss(nn.Cell):
    """Map images and their targets to the mean loss of a network with a teacher.

    The loss of an image is the cross-entropy with its label, and ``weight`` times that with the
    teacher's shares at a temperature, as of Hinton et al. (2015), or one minus the cosine between
    the teacher's features and the network's, projected.

    Args:
        body: Maps images to features: the network or its fused counterpart.
        network: The plain network, whose dropout and classifier follow.
        projection: Maps the network's features to the teacher's; None to learn shares of classes.
        temperature: Divides the logits.
        multi_label: Whether images may have several labels; the teacher then gives features.
    """

    def __init__(
        self,
        body: nn.Cell,
        network: ClassificationNetwork,
        projection: nn.Cell | None,
        temperature: float,
        *,
        multi_label: bool = False,
    ) -> None:
        super().__init__(auto_prefix=False)
        self.body = body
        self.dropout = network.dropout
        self.classifier = network.classifier
        self.projection = projection
        self.temperature = temperature
        self.log_shares = LogShares(multi_label=multi_label)

    def construct(self, images: Tensor, shares: Tensor, taught: Tensor, weights: Tensor) -> Tensor:
        """Return the loss.

        Args:
            images: (batch, 3, height, width).
            shares: (batch, answers) of the labels; they add up to what the teacher leaves of 1.
            taught: (batch, length): shares of the classes, or features.
            weights: (batch,) weights of the teacher.
        """
        features = self.body.features(images)
        logits = self.classifier(self.dropout(features)).astype(ms.float32)
        losses = -(shares * self.log_shares(logits)).sum(1)
        if self.projection is None:
            scale = self.temperature
            apart = -(taught * ops.log_softmax(logits / scale, -1)).sum(1) * (scale * scale)
        else:
            projected = self.projection(features).astype(ms.float32)
            lengths = ops.sqrt((projected * projected).sum(1) * (taught * taught).sum(1) + 1e-12)
            apart = 1 - (projected * taught).sum(1) / lengths
        return (losses + weights * apart).mean()


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


def learning_rates(recipe: Recipe, steps_per_epoch: int) -> NDArray[np.float32]:
    """Return the rate of every step: linear warm-up, then half a cosine down to nearly zero.

    The warm-up takes at most half of the steps.
    """
    total = recipe.epochs * steps_per_epoch
    warmup = min(round(recipe.warmup_epochs * steps_per_epoch), total // 2)
    steps = np.arange(total)
    rising = (steps + 1) / (warmup + 1)
    falling = (1 + np.cos(math.pi * (steps - warmup) / (total - warmup))) / 2
    return (recipe.learning_rate * np.where(steps < warmup, rising, falling)).astype(np.float32)


def make_optimizer(
    parameters: Iterable[Parameter],
    recipe: Recipe,
    depths: Mapping[str, int],
    steps_per_epoch: int,
    loss_scale: float,
) -> nn.Momentum:
    """Build the optimizer: weight decay on weights only, and lower rates below the classifier.

    Args:
        parameters: What learns.
        recipe: Its rates.
        depths: Depth of each parameter of the network, as
            `ghostnet.training.run.depths.parameter_depths` returns it.
        steps_per_epoch: Steps in an epoch.
        loss_scale: What the gradients are to be divided by.
    """
    rates = learning_rates(recipe, steps_per_epoch)
    top = max(depths.values())
    groups: dict[tuple[bool, float, bool], list[Parameter]] = {}
    for parameter in parameters:
        is_fresh = parameter.name.startswith(FRESH)
        decay = 1.0 if is_fresh else recipe.layer_decay ** (top - depths[parameter.name])
        kind = (is_fresh, decay, parameter.ndim > 1)
        groups.setdefault(kind, []).append(parameter)
    settings: list[dict[str, Any]] = [
        {
            "params": parameters,
            "lr": (rates if is_fresh else rates * recipe.backbone_rate * decay).tolist(),
            "weight_decay": recipe.weight_decay if is_weight else 0.0,
        }
        for (is_fresh, decay, is_weight), parameters in groups.items()
    ]
    return nn.Momentum(
        settings,
        learning_rate=recipe.learning_rate,
        momentum=recipe.momentum,
        use_nesterov=recipe.nesterov,
        loss_scale=loss_scale,
    )
