"""The classifier at the end of a network, fitted on features: multinomial logistic regression."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import logsumexp

Array = NDArray[np.float64]

REGULARISATIONS = tuple(float(x) for x in np.logspace(1, -4, 11))
"""L2 penalties to choose from, strongest first."""

MAX_ITERATIONS = 300


@dataclass(frozen=True)
class Samples:
    """Pictures to learn from: (n, num_features) features and the (n,) indices of their classes."""

    features: NDArray[Any]
    classes: NDArray[np.int64]


@dataclass(frozen=True)
class Head:
    """A linear classifier.

    Attributes:
        weights: (num_classes, num_features) float32.
        bias: (num_classes,) float32.
        regularisation: the L2 penalty that it was fitted with.
    """

    weights: NDArray[np.float32]
    bias: NDArray[np.float32]
    regularisation: float

    def logits(self, features: NDArray[Any]) -> NDArray[np.float32]:
        """(n, num_features) to (n, num_classes)."""
        return np.asarray(features @ self.weights.T + self.bias, np.float32)


def choose(train: Samples, held_out: Samples, num_classes: int) -> float:
    """The penalty of `REGULARISATIONS` whose head, fitted on one part, suits the other best.

    What counts is the cross-entropy of the held-out part: it is less of a lottery than accuracy.
    From strong to weak it falls and then rises, and where it rises the search is over.
    """
    best, least, start = REGULARISATIONS[0], np.inf, None
    for regularisation in REGULARISATIONS:
        head, start = _fit(train, num_classes, regularisation, start)
        loss = _cross_entropy(head.logits(held_out.features), held_out.classes)
        if loss > least:
            break
        best, least = regularisation, loss
    return best


def fit(train: Samples, num_classes: int, regularisation: float) -> Head:
    """The head with the least mean cross-entropy plus ``regularisation`` / 2 · ‖weights‖².

    The penalty is on the weights for features of mean 0 and deviation 1; the head that is
    returned takes the features as they come. The same samples give the same head.
    """
    return _fit(train, num_classes, regularisation, None)[0]


def _fit(
    train: Samples, num_classes: int, regularisation: float, start: Array | None
) -> tuple[Head, Array]:
    """The head, and the solution from which the next fit may start."""
    mean = train.features.mean(axis=0, dtype=np.float64)
    deviation = train.features.std(axis=0, dtype=np.float64)
    deviation = np.maximum(deviation, 0.1 * deviation.mean() or 1.0)  # leave rare features small
    x = ((train.features - mean) / deviation).astype(np.float32)
    targets = np.eye(num_classes)[train.classes]
    split = num_classes * x.shape[1]

    def loss_and_gradient(solution: Array) -> tuple[float, Array]:
        weights = solution[:split].reshape(num_classes, -1)
        logits = x @ weights.T.astype(np.float32) + solution[split:]
        log_shares = logits - logsumexp(logits, axis=1, keepdims=True)
        errors = (np.exp(log_shares) - targets) / len(x)
        loss = -(targets * log_shares).sum() / len(x) + regularisation / 2 * (weights**2).sum()
        slopes = errors.T.astype(np.float32) @ x + regularisation * weights
        return float(loss), np.concatenate((slopes.ravel(), errors.sum(axis=0)))

    solution = minimize(
        loss_and_gradient,
        np.zeros(split + num_classes) if start is None else start,
        jac=True,
        method="L-BFGS-B",
        options={"maxiter": MAX_ITERATIONS, "gtol": 1e-5},
    ).x
    weights = solution[:split].reshape(num_classes, -1) / deviation
    bias = solution[split:] - weights @ mean
    head = Head(weights.astype(np.float32), bias.astype(np.float32), regularisation)
    return head, solution


def _cross_entropy(logits: NDArray[np.float32], classes: NDArray[np.int64]) -> float:
    picked = logits[np.arange(len(classes)), classes]
    return float((logsumexp(logits, axis=1) - picked).mean())
