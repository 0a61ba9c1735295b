"""Images with several labels each, or none."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ghostnet.data.copies import find_copies
from ghostnet.data.image_folder import ImageFolder
from ghostnet.data.left_out import LeftOut
from ghostnet.errors import DatasetError

Labels = frozenset[str]


def multi_label_folder(
    classes: Sequence[str], labels: Mapping[Path, Labels], left_out: LeftOut
) -> ImageFolder:
    """Return images with their labels.

    Args:
        classes: Names of all labels.
        labels: Names of each image's labels.
        left_out: What else was found.
    """
    place = {name: index for index, name in enumerate(classes)}
    sets = {file: tuple(sorted(place[name] for name in own)) for file, own in labels.items()}
    combinations = sorted(set(sets.values()))
    number = {combination: index for index, combination in enumerate(combinations)}
    files = tuple((file, number[sets[file]]) for file in sorted(sets))
    return ImageFolder(tuple(classes), files, left_out, tuple(combinations))


def united(folder: ImageFolder) -> ImageFolder:
    """Return a folder of classes as one of labels: copies of an image have the labels of all."""
    first = find_copies([file for file, _ in folder.files])
    labels: dict[Path, set[str]] = {}
    for file, index in folder.files:
        labels.setdefault(first[file], set()).add(folder.classes[index])
    named = {file: frozenset(own) for file, own in labels.items()}
    return multi_label_folder(folder.classes, named, folder.left_out)


def with_other_images(train: ImageFolder, other: ImageFolder) -> tuple[ImageFolder, ImageFolder]:
    """Return two folders in terms of the first one's labels, with the same combinations of them."""
    labels = {**labels_of(other), **labels_of(train)}
    both = multi_label_folder(train.classes, labels, other.left_out)
    own = {file for file, _ in train.files}
    learnt, rest = (
        tuple((file, index) for file, index in both.files if (file in own) is side)
        for side in (True, False)
    )
    return (
        ImageFolder(both.classes, learnt, train.left_out, both.combinations),
        both.with_files(rest),
    )


def labels_of(folder: ImageFolder) -> dict[Path, Labels]:
    """Return the names of each image's labels."""
    names = [frozenset(folder.classes[label] for label in own) for own in folder.label_sets]
    return {file: names[index] for file, index in folder.files}


def label_matrix(sets: Sequence[Sequence[int]], num_labels: int) -> NDArray[np.bool_]:
    """Return (sets, num_labels), whether each set of indices has each label."""
    matrix = np.zeros((len(sets), num_labels), np.bool_)
    for row, own in zip(matrix, sets, strict=True):
        row[[*own]] = True
    return matrix


def check_labels_differ(folder: ImageFolder, source: Path) -> None:
    """Check that there is something to learn.

    Raises:
        DatasetError: All images have the same labels.
    """
    if len({index for _, index in folder.files}) < 2:
        raise DatasetError(
            f"{source}: all images have the same labels, so there is nothing to learn; add images "
            "that lack some of them"
        )


def choose_held_out(labels: Mapping[Path, Iterable[int]], fraction: float) -> set[Path]:
    """Choose a share of the images with each label, always in the same way.

    Labels take their shares in turn, the rarest first, since an image that is chosen for one label
    counts for its others too (Sechidis et al., 2011). Each label keeps an image for training.

    Args:
        labels: Indices of each image's labels.
        fraction: Share of the images to hold out, in (0, 1).
    """
    images: dict[int, list[Path]] = {}
    for file, own in labels.items():
        for label in own or [-1]:  # images without labels have their share too
            images.setdefault(label, []).append(file)
    left = {label: len(files) for label, files in images.items()}
    held: set[Path] = set()
    decided: set[Path] = set()
    for label in sorted(images, key=lambda label: (len(images[label]), label)):
        files = images[label]
        wanted = max(1, round(fraction * len(files))) - len(held.intersection(files))
        for place in np.random.default_rng(label + 1).permutation(len(files)):
            file = files[place]
            own = [*labels[file]] or [-1]
            if wanted > 0 and file not in decided and all(left[other] > 1 for other in own):
                held.add(file)
                wanted -= 1
                for other in own:
                    left[other] -= 1
        decided.update(files)
    return held
