"""How large a checkpoint may be: its file, and what the file becomes in memory."""

import math
from typing import Final

from ghostnet.models import MODELS, network_spec

COPIES = 4
"""A training run saves the weights, their average, and two moments of the optimizer."""

FACTOR = 4
"""Room for float64, or for a classifier of the 21,841 classes of ImageNet-21k."""


def _largest_network() -> int:
    """Return the bytes of the largest registered network, in float32 with 1000 classes."""
    specs = (network_spec(entry.architecture, 1000) for entry in MODELS.values())
    return max(4 * sum(map(math.prod, spec.parameter_shapes().values())) for spec in specs)


MAX_BYTES: Final = FACTOR * COPIES * _largest_network()
"""Largest checkpoint, in bytes."""
