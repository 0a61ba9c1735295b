"""How large a checkpoint may be: its file, and what the file becomes in memory."""

from typing import Final

LARGEST_NETWORK: Final = 69_860_368
"""Bytes of the largest registered network, ``ghostnetv3_160``, in float32 with 1000 classes."""

COPIES: Final = 4
"""A training run saves the weights, their average, and two moments of the optimizer."""

FACTOR: Final = 4
"""Room for float64, or for a classifier of the 21,841 classes of ImageNet-21k."""

MAX_BYTES: Final = FACTOR * COPIES * LARGEST_NETWORK
"""Largest checkpoint, in bytes."""
