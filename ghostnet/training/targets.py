"""What a network should answer for images: the shares of the possible answers in the loss."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ghostnet.data.multi_label import label_matrix
from ghostnet.training.class_balance import class_counts, class_weights, label_weights

UNLABELED = -1
"""Index of an image whose class or labels are not known."""

Floats = NDArray[np.float32]


class Targets:
    """Maps the (batch,) indices of images' classes to (batch, answers) shares.

    The answers are the classes or, if images may have several labels, yes and then no to each of
    them: (batch, 2 · labels). A row is zeros where nothing is known of an image.

    Args:
        indices: (images,) of all training images, by which answers are balanced.
        num_classes: Number of classes or labels.
        combinations: Labels that the indices stand for, if images may have several.
        smoothing: Share of a class that is spread over all classes, as timm does for labels too.
        balanced: Give every class the same weight; every label's yes that of its no.
    """

    def __init__(
        self,
        indices: NDArray[np.int64],
        num_classes: int,
        combinations: Sequence[Sequence[int]] | None = None,
        *,
        smoothing: float = 0.0,
        balanced: bool = False,
    ) -> None:
        self.num_classes = num_classes
        self.smoothing = smoothing
        self.class_weights: Floats | None = None
        self.sets: Floats | None = None
        if combinations is not None:
            self.sets = self._yes_and_no(label_matrix(combinations, num_classes))
            if balanced:
                counts = class_counts(indices, num_classes, combinations)
                images = int((indices != UNLABELED).sum())
                self.sets *= label_weights(counts, images).astype(np.float32)
        elif balanced:
            self.class_weights = class_weights(indices, num_classes).astype(np.float32)

    def __call__(self, indices: NDArray[np.integer]) -> Floats:
        """Return the shares of images."""
        known = (indices != UNLABELED)[:, None]
        if self.sets is not None:
            return np.where(known, self.sets[indices], 0).astype(np.float32)
        shares = self._smoothed(indices[:, None] == np.arange(self.num_classes))
        if self.class_weights is not None:
            shares *= self.class_weights[indices][:, None]
        return np.where(known, shares, 0).astype(np.float32)

    def _yes_and_no(self, has: NDArray[np.bool_]) -> Floats:
        """Return (sets, 2 · labels) shares of sets of labels."""
        yes = self._smoothed(has)
        return np.concatenate((yes, 1 - yes), axis=1)

    def _smoothed(self, has: NDArray[np.bool_]) -> Floats:
        smoothed = has * (1 - self.smoothing) + self.smoothing / self.num_classes
        return smoothed.astype(np.float32)
