"""Mixup and CutMix: each image of a batch becomes a mixture of two, and so does its label."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Mixing:
    """Mixes a batch with its reverse, as timm does for whole batches.

    Attributes:
        mixup: Alpha of the Beta distribution of shares in Mixup (Zhang et al., 2018); 0 turns it
            off.
        cutmix: The same in CutMix (Yun et al., 2019).
        probability: Probability that a batch is mixed.
        switch: Probability of CutMix where both are on.
    """

    mixup: float = 0.0
    cutmix: float = 0.0
    probability: float = 1.0
    switch: float = 0.5

    def __call__(
        self, images: Floats, shares: Floats, generator: np.random.Generator
    ) -> tuple[Floats, Floats]:
        """Mix a batch.

        Args:
            images: (batch, 3, height, width).
            shares: (batch, classes) of the labels.
            generator: Source of randomness.
        """
        if not (self.mixup or self.cutmix) or generator.random() >= self.probability:
            return images, shares
        cuts = self.cutmix and (not self.mixup or generator.random() < self.switch)
        alpha = self.cutmix if cuts else self.mixup
        own = generator.beta(alpha, alpha)
        if cuts:
            images, own = _cut(images, own, generator)
        else:
            images = _weighed(images, own)
        return images, _weighed(shares, own)


def _weighed(values: Floats, own: float) -> Floats:
    return np.asarray(own * values + (1 - own) * values[::-1], np.float32)


def _cut(images: Floats, own: float, generator: np.random.Generator) -> tuple[Floats, float]:
    """Put a box of other images into a batch; returns it with the share that is left of its own."""
    sides = np.array(images.shape[2:])
    half = (sides * np.sqrt(1 - own)).astype(int) // 2
    center = generator.integers(sides)
    top, left = np.maximum(center - half, 0)
    bottom, right = np.minimum(center + half, sides)
    images, others = images.copy(), images[::-1]
    images[:, :, top:bottom, left:right] = others[:, :, top:bottom, left:right]
    return images, 1 - float((bottom - top) * (right - left) / sides.prod())
