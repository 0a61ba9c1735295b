"""Logistic regression on features: the new classifier of a fine-tuned network.

Our own, in NumPy alone, because SciPy and scikit-learn would double the size of an installation for
inference, which fine-tunes too.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ghostnet.training.class_balance import class_weights

Array: TypeAlias = NDArray[np.float64]
Objective: TypeAlias = Callable[[Array], tuple[float, Array]]
Loss: TypeAlias = Callable[[NDArray[Any], Array], tuple[float, NDArray[Any]]]

PENALTIES = tuple(float(x) for x in np.logspace(2, -3, 11))
"""L2 penalties to choose from, strongest first."""

MAX_ITERATIONS = 300
TOLERANCE = 1e-5
"""Largest slope of a solution."""

CHOICE_SHARE = 0.2
"""Share of the samples that the L2 penalty is chosen on."""

MEMORY = 10
"""Steps that L-BFGS estimates the curvature from."""

SUFFICIENT_DECREASE = 1e-4
"""Share of the expected decrease that a step has to reach (Armijo's rule)."""

MIN_STEP = 2.0**-30

LEAST = 1e-4
"""Least curvature, where all images have a label or none has."""


@dataclass(frozen=True)
class Samples:
    """Features of images whose classes or labels are known.

    Attributes:
        features: (n, num_features).
        targets: (n,) indices of classes in multinomial regression, or the (n, 2 · num_labels)
            weights of yes and then of no to each label, which has a regression of its own.
        balanced: Give every class the same weight, whatever its number of samples.
    """

    features: NDArray[Any]
    targets: NDArray[Any]
    balanced: bool = False

    def weights(self, num_classes: int) -> Array:
        """Return the weights of the cross-entropies, as `loss` takes them.

        The (n, num_classes) weights of classes have a mean of 1 for the classes of the samples.
        """
        if self.is_multi_label:
            return np.asarray(self.targets, np.float64)
        one_hot: Array = np.eye(num_classes)[self.targets]
        if self.balanced:
            one_hot *= class_weights(self.targets, num_classes)
        return one_hot

    def steepness(self, num_classes: int) -> Array:
        """Return (num_classes,): about the curvature of the mean cross-entropy in each logit."""
        if not self.is_multi_label:
            return np.full(num_classes, 0.5)
        yes, no = np.split(self.weights(num_classes).mean(axis=0), 2)
        steepness: Array = np.maximum(yes * no / np.maximum(yes + no, LEAST), LEAST)
        return steepness

    @property
    def is_multi_label(self) -> bool:
        """Whether each label has a regression of its own."""
        return self.targets.ndim == 2

    @property
    def loss(self) -> Loss:
        """Maps logits and `weights` to the sum of the cross-entropies and its slopes."""
        return _of_labels if self.is_multi_label else _of_classes


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


class Whitened:
    """Samples in coordinates in which the loss curves about equally in all directions.

    The curvature of the cross-entropy of classes is at most half the covariance of the features
    (Böhning, 1992), that of a label about p (1 - p) times the covariance, where p is the share of
    images with it. L-BFGS starts from a curvature of one, and takes fewer steps in coordinates that
    have it.

    Args:
        samples: The samples.
        num_classes: Number of classes.
    """

    def __init__(self, samples: Samples, num_classes: int) -> None:
        self.num_classes = num_classes
        self._weights = samples.weights(num_classes)
        self._loss = samples.loss
        self._mean = samples.features.mean(axis=0, dtype=np.float64)
        # One for all features: those that vary little tell little, and should stay small.
        self._deviation = float(samples.features.std(axis=0, dtype=np.float64).mean()) or 1.0
        scaled = ((samples.features - self._mean) / self._deviation).astype(np.float32)
        covariance = (scaled.T @ scaled / len(scaled)).astype(np.float64)
        variances, self._directions = np.linalg.eigh(covariance)
        self._steepness = samples.steepness(num_classes)[:, None]
        self._curvatures = self._steepness * np.maximum(variances, 0)
        self._rotated = scaled @ self._directions.astype(np.float32)

    def fit(self, penalty: float, start: Array | None = None) -> Array:
        """Return the (num_classes, num_features + 1) solution, the bias last.

        It is in coordinates that do not depend on the penalty, so that another fit can start from
        it.
        """
        scale = 1 / np.sqrt(self._curvatures + penalty)
        scales = np.column_stack((scale, 1 / np.sqrt(2 * self._steepness)))
        x = self._rotated

        def objective(point: Array) -> tuple[float, Array]:
            solution = point.reshape(scales.shape) * scales
            weight, bias = solution[:, :-1], solution[:, -1]
            logits = x @ weight.T.astype(np.float32) + bias
            total, errors = self._loss(logits, self._weights)
            errors /= len(x)
            loss = total / len(x) + penalty / 2 * float((weight**2).sum())
            slopes = errors.T.astype(np.float32) @ x + penalty * weight
            return loss, (np.column_stack((slopes, errors.sum(axis=0))) * scales).ravel()

        first = np.zeros(scales.shape) if start is None else start / scales
        solution: Array = minimize(objective, first.ravel()).reshape(scales.shape) * scales
        return solution

    def classifier(self, solution: Array) -> LinearClassifier:
        """Return the classifier of a solution, for features as they are."""
        weight = solution[:, :-1] @ self._directions.T / self._deviation
        bias = solution[:, -1] - weight @ self._mean
        return LinearClassifier(weight.astype(np.float32), bias.astype(np.float32))


def choose_penalty(train: Samples, held_out: Samples, num_classes: int) -> float:
    """Choose the L2 penalty whose classifier has the least cross-entropy on held-out samples.

    Cross-entropy varies less by chance than accuracy. From strong to weak penalties it falls and
    then rises; the search stops where it rises.
    """
    whitened, solution = Whitened(train, num_classes), None
    best, least = PENALTIES[0], np.inf
    for penalty in PENALTIES:
        solution = whitened.fit(penalty, solution)
        logits = whitened.classifier(solution).logits(held_out.features)
        loss = _cross_entropy(logits, held_out)
        if loss > least:
            break
        best, least = penalty, loss
    return best


def fit(train: Samples, num_classes: int, penalty: float) -> LinearClassifier:
    """Fit a classifier: the least mean cross-entropy plus ``penalty`` / 2 · ‖weight‖².

    The penalty is on the weight for features whose mean deviation is 1; the returned classifier
    takes features as they are. The same samples give the same classifier.
    """
    whitened = Whitened(train, num_classes)
    return whitened.classifier(whitened.fit(penalty))


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


def _of_classes(logits: NDArray[Any], weights: Array) -> tuple[float, NDArray[Any]]:
    """Return the sum of the cross-entropies of classes, and its slopes in the logits.

    Args:
        logits: (n, num_classes).
        weights: (n, num_classes), of the classes.
    """
    log_shares = logits - logits.max(axis=1, keepdims=True)
    log_shares -= np.log(np.exp(log_shares).sum(axis=1, keepdims=True))
    slopes = weights.sum(axis=1, keepdims=True) * np.exp(log_shares) - weights
    return float(-(weights * log_shares).sum()), slopes


def _of_labels(logits: NDArray[Any], weights: Array) -> tuple[float, NDArray[Any]]:
    """Return the sum of the cross-entropies of labels, and its slopes in the logits.

    Args:
        logits: (n, num_labels).
        weights: (n, 2 · num_labels), of yes and then of no to each label.
    """
    yes, no = np.split(weights, 2, axis=1)
    log_no = -np.logaddexp(0, logits)
    loss = -((yes + no) * log_no + yes * logits).sum()  # log yes = log no + logit
    return float(loss), no - (yes + no) * np.exp(log_no)


def _cross_entropy(logits: NDArray[np.float32], samples: Samples) -> float:
    loss, _ = samples.loss(logits.astype(np.float64), samples.weights(logits.shape[1]))
    return loss / len(logits)
