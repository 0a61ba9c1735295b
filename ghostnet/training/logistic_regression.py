"""Multinomial logistic regression on features: the new classifier of a fine-tuned network.

Our own, in NumPy alone, because SciPy and scikit-learn would double the size of an installation for
inference, which fine-tunes too.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[np.float64]
Objective: TypeAlias = Callable[[Array], tuple[float, Array]]

PENALTIES = tuple(float(x) for x in np.logspace(1, -4, 11))
"""L2 penalties to choose from, strongest first."""

MAX_ITERATIONS = 300
TOLERANCE = 1e-5
"""Largest slope of a solution."""

MEMORY = 10
"""Steps that L-BFGS estimates the curvature from."""

SUFFICIENT_DECREASE = 1e-4
"""Share of the expected decrease that a step has to reach (Armijo's rule)."""

MIN_STEP = 2.0**-30


@dataclass(frozen=True)
class Samples:
    """Features of images of known classes.

    Attributes:
        features: (n, num_features).
        classes: (n,) indices.
    """

    features: NDArray[Any]
    classes: NDArray[np.int64]


@dataclass(frozen=True)
class LinearClassifier:
    """A linear classifier.

    Attributes:
        weight: (num_classes, num_features) float32.
        bias: (num_classes,) float32.
    """

    weight: NDArray[np.float32]
    bias: NDArray[np.float32]

    def logits(self, features: NDArray[Any]) -> NDArray[np.float32]:
        """Map (n, num_features) to (n, num_classes)."""
        return np.asarray(features @ self.weight.T + self.bias, np.float32)


def choose_penalty(train: Samples, held_out: Samples, num_classes: int) -> float:
    """Choose the L2 penalty whose classifier has the least cross-entropy on held-out samples.

    Cross-entropy varies less by chance than accuracy. From strong to weak penalties it falls and
    then rises; the search stops where it rises.
    """
    best, least, start = PENALTIES[0], np.inf, None
    for penalty in PENALTIES:
        classifier, start = _fit(train, num_classes, penalty, start)
        loss = _cross_entropy(classifier.logits(held_out.features), held_out.classes)
        if loss > least:
            break
        best, least = penalty, loss
    return best


def fit(train: Samples, num_classes: int, penalty: float) -> LinearClassifier:
    """Fit a classifier: the least mean cross-entropy plus ``penalty`` / 2 · ‖weight‖².

    The penalty is on the weight for features of mean 0 and deviation 1; the returned classifier
    takes features as they are. The same samples give the same classifier.
    """
    return _fit(train, num_classes, penalty, None)[0]


def _fit(
    train: Samples, num_classes: int, penalty: float, start: Array | None
) -> tuple[LinearClassifier, Array]:
    """Return the classifier, and the solution that the next fit may start from."""
    mean = train.features.mean(axis=0, dtype=np.float64)
    deviation = train.features.std(axis=0, dtype=np.float64)
    deviation = np.maximum(deviation, 0.1 * deviation.mean() or 1.0)  # leave rare features small
    x = ((train.features - mean) / deviation).astype(np.float32)
    targets = np.eye(num_classes)[train.classes]
    split = num_classes * x.shape[1]

    def objective(solution: Array) -> tuple[float, Array]:
        weight = solution[:split].reshape(num_classes, -1)
        log_shares = _log_softmax(x @ weight.T.astype(np.float32) + solution[split:])
        errors = (np.exp(log_shares) - targets) / len(x)
        loss = -(targets * log_shares).sum() / len(x) + penalty / 2 * (weight**2).sum()
        slopes = errors.T.astype(np.float32) @ x + penalty * weight
        return float(loss), np.concatenate((slopes.ravel(), errors.sum(axis=0)))

    solution = minimize(objective, np.zeros(split + num_classes) if start is None else start)
    weight = solution[:split].reshape(num_classes, -1) / deviation
    bias = solution[split:] - weight @ mean
    return LinearClassifier(weight.astype(np.float32), bias.astype(np.float32)), solution


def minimize(objective: Objective, start: Array) -> Array:
    """Minimize a smooth convex function by L-BFGS (Nocedal and Wright, algorithm 7.5).

    Args:
        objective: Returns value and gradient at a point.
        start: Point to start from.
    """
    point = start
    value, gradient = objective(point)
    pairs: deque[tuple[Array, Array]] = deque(maxlen=MEMORY)
    for _ in range(MAX_ITERATIONS):
        if np.abs(gradient).max() <= TOLERANCE:
            break
        direction = _direction(gradient, pairs)
        expected = float(gradient @ direction)
        length = 1.0 if pairs else min(1.0, 1.0 / float(np.abs(gradient).sum()))
        while True:
            new_point = point + length * direction
            new_value, new_gradient = objective(new_point)
            if new_value <= value + SUFFICIENT_DECREASE * length * expected:
                break
            length /= 2
            if length < MIN_STEP:  # float32 products leave no decrease to be found
                return point
        move, change = new_point - point, new_gradient - gradient
        if move @ change > 0:
            pairs.append((move, change))
        point, value, gradient = new_point, new_value, new_gradient
    return point


def _direction(gradient: Array, pairs: deque[tuple[Array, Array]]) -> Array:
    """Multiply the gradient by the estimated inverse curvature (the two-loop recursion)."""
    direction = -gradient
    shares = []
    for move, change in reversed(pairs):
        share = (move @ direction) / (move @ change)
        direction = direction - share * change
        shares.append(share)
    if pairs:
        move, change = pairs[-1]
        direction = direction * ((move @ change) / (change @ change))
    for (move, change), share in zip(pairs, reversed(shares), strict=True):
        direction = direction + (share - (change @ direction) / (move @ change)) * move
    return direction


def _log_softmax(logits: NDArray[Any]) -> NDArray[Any]:
    shifted: NDArray[Any] = logits - logits.max(axis=1, keepdims=True)
    shifted -= np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return shifted


def _cross_entropy(logits: NDArray[np.float32], classes: NDArray[np.int64]) -> float:
    return float(-_log_softmax(logits.astype(np.float64))[np.arange(len(classes)), classes].mean())
