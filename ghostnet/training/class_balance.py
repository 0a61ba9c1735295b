"""Classes with different numbers of images, and what evens them out."""

import logging
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

log = logging.getLogger(__name__)

UNBALANCED = 5
"""Ratio of the largest to the smallest class that is worth a warning."""


def class_weights(labels: NDArray[np.int64], num_classes: int) -> NDArray[np.float64]:
    """Return the (num_classes,) weights that give classes the same part of a sum over images.

    Their mean over the images is 1. A class without images weighs nothing.

    Args:
        labels: (images,) indices of the classes; negative where the class is not known.
        num_classes: Number of classes.
    """
    counts = np.bincount(labels[labels >= 0], minlength=num_classes)
    shares = counts.sum() / (np.count_nonzero(counts) * np.maximum(counts, 1))
    return np.where(counts > 0, shares, 0.0)


def label_weights(counts: NDArray[np.int64], images: int) -> NDArray[np.float64]:
    """Return the (2 · num_labels,) weights that give the images with a label the part of the rest.

    The first half is for images with a label, the second for those without. Their mean over the
    images is 1.

    Args:
        counts: (num_labels,) numbers of images with each label.
        images: Number of images.
    """
    counts = np.concatenate((counts, images - counts))
    halved = images / (2 * np.maximum(counts, 1))
    return np.where(counts < images, np.where(counts > 0, halved, 0.0), 1.0)


def class_counts(
    indices: NDArray[np.int64],
    num_classes: int,
    combinations: Sequence[Sequence[int]] | None = None,
) -> NDArray[np.int64]:
    """Return the (num_classes,) numbers of images with each class or label.

    Args:
        indices: (images,), as in `ghostnet.data.image_folder.ImageFolder.files`; negative where
            nothing is known.
        num_classes: Number of classes.
        combinations: Labels that the indices stand for, if images may have several.
    """
    length = num_classes if combinations is None else len(combinations)
    counts = np.bincount(indices[indices >= 0], minlength=length)
    if combinations is None:
        return counts
    totals = np.zeros(num_classes, np.int64)
    for count, own in zip(counts, combinations, strict=True):
        totals[[*own]] += count
    return totals


def balanced_sample(labels: NDArray[np.int64], generator: np.random.Generator) -> NDArray[np.int64]:
    """Draw as many images as there are, and from each class as many as from the others.

    A class gives its images in turn: none appears twice more often than another of its class.

    Args:
        labels: (images,) indices of the classes; negative where the class is not known. Such images
            are drawn once each.
        generator: Source of randomness.

    Returns:
        (images,) places of images, shuffled.
    """
    classes = generator.permutation(np.unique(labels[labels >= 0]))
    labeled = int((labels >= 0).sum())
    drawn = [np.flatnonzero(labels < 0)]
    for place, index in enumerate(classes):
        images = np.flatnonzero(labels == index)
        count = (labeled + place) // len(classes)
        turns = [generator.permutation(images) for _ in range(-(-count // len(images)))]
        drawn.append(np.concatenate(turns)[:count])
    return generator.permutation(np.concatenate(drawn))


def warn_if_unbalanced(
    counts: NDArray[np.int64], names: Sequence[str], *, multi_label: bool = False
) -> None:
    """Warn of classes with far fewer images than others, which a network tends to ignore.

    Args:
        counts: (classes,) numbers of training images.
        names: Names of the classes.
        multi_label: Whether the classes are labels, of which an image may have several.
    """
    what, measure = ("classes", "the balanced accuracy")
    if multi_label:
        what, measure = ("labels", "the average precision of each")
    least, most = int(counts.argmin()), int(counts.argmax())
    if counts[most] >= UNBALANCED * counts[least]:
        log.warning(
            "the %s are unbalanced: %s has %d training images, %s %d; look at %s, and try "
            "--balance weights",
            what,
            names[least],
            counts[least],
            names[most],
            counts[most],
            measure,
        )
