"""Probabilities from logits."""

from typing import Any

import numpy as np
from numpy.typing import NDArray


def probabilities_of(logits: NDArray[Any], *, multi_label: bool) -> NDArray[np.float64]:
    """Return the probabilities of (…, classes) logits.

    Args:
        logits: The logits.
        multi_label: Whether each label has a probability of its own (sigmoid), or those of all
            classes add up to 1 (softmax).
    """
    values = logits.astype(np.float64)
    if multi_label:
        return np.asarray((1 + np.tanh(values / 2)) / 2)
    shifted = np.exp(values - values.max(axis=-1, keepdims=True, initial=-np.inf))
    return np.asarray(shifted / shifted.sum(axis=-1, keepdims=True))
