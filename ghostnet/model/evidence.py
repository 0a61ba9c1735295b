"""Which places of an image speak for a label: Grad-CAM, whose gradient is known in closed form.

Behind the last map, the network averages each channel, and applies a dense layer, an activation and
another dense layer. The gradient of a logit is the product of their matrices, where the activation
counts with its slope: no automatic differentiation is needed. Where the activation is ReLU, the
logit is more than approximated: it is the sum of the evidence of all places and a constant.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ghostnet.checkpoints.folding import Array
from ghostnet.model.last_map import ACTIVATIONS, LastMap
from ghostnet.models.architectures import Activation

SLOPES: Mapping[Activation | None, Callable[[Array], Array]] = {
    None: np.ones_like,
    "relu": lambda x: np.asarray(x > 0, np.float32),
    "relu6": lambda x: np.asarray((x > 0) & (x < 6), np.float32),
    "hard_swish": lambda x: np.where(np.abs(x) < 3, x / 3 + 0.5, x > 0).astype(np.float32),
}
"""Derivatives of the activations."""


class Evidence(NamedTuple):
    """What the places of the last map contribute to the logits.

    Attributes:
        logits: (classes,) float32.
        places: (classes, height, width) float32, in the unit of the logits.
    """

    logits: NDArray[np.float32]
    places: NDArray[np.float32]


def evidence(last_map: LastMap, image: NDArray[np.float32]) -> Evidence:
    """Compute the logits of an image, and what speaks for and against each.

    Args:
        last_map: Computes the last map of the network.
        image: (3, height, width) float32, preprocessed.
    """
    features = last_map(image)
    spec, layers = last_map.spec, last_map.layers
    channels, height, width = features.shape
    pooled: Array = np.mean(features, (1, 2), dtype=np.float32)
    classifier = layers[spec.classifier.name]
    slopes: Array = classifier.matrix
    if spec.head:
        head = layers[spec.head.name]
        before = np.asarray(head.matrix @ pooled + head.bias, np.float32)
        pooled = ACTIVATIONS[spec.head.activation](before)
        slopes = np.matmul(slopes * SLOPES[spec.head.activation](before), head.matrix)
    places = slopes @ features.reshape(channels, -1) / (height * width)
    logits = classifier.matrix @ pooled + classifier.bias
    return Evidence(logits, places.reshape(-1, height, width))
