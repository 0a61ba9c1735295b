"""Images of noise, and the networks that are tried on them."""

import numpy as np
from numpy.typing import NDArray

NETWORKS = [
    "ghostnet_1x",
    "ghostnet_nose_1x",
    "ghostnet_600m",
    "ghostnetv2_100",
    "repghostnet_100",
    "mobilenet_v2_1x",
]


def draw(batch: int, height: int, width: int) -> NDArray[np.float32]:
    """Return (batch, 3, height, width); the same for the same arguments."""
    return np.random.default_rng(batch).standard_normal((batch, 3, height, width), np.float32)
