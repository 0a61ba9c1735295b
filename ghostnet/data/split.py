"""The training and the held-out images of a folder, apart from each other."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from ghostnet.data.copies import find_copies
from ghostnet.data.image_folder import ImageFolder, read_folder
from ghostnet.data.label_table import LabelTable
from ghostnet.data.labels import check_labels
from ghostnet.data.multi_label import (
    check_labels_differ,
    choose_held_out,
    united,
    with_other_images,
)
from ghostnet.data.parts import HELD_OUT, measured_part, training_part
from ghostnet.errors import DatasetError, listed


def read_split(
    folder: Path,
    held_out: Path | float | None = None,
    table: LabelTable | None = None,
    *,
    multi_label: bool = False,
) -> tuple[ImageFolder, ImageFolder]:
    """List the training and the held-out images, checked before any work is done.

    Args:
        folder: Folder with a sub-folder of images for each class, or with folders of such parts,
            such as ``train`` and ``val``.
        held_out: Another such folder, or the fraction of the training images to hold out, in
            (0, 1); by default the data set's own part, or `HELD_OUT`.
        table: Classes of the images, in place of sub-folders; its parts are the data set's own.
        multi_label: Whether an image may have several labels: those of all rows, or of all
            sub-folders that hold a copy of it.

    Raises:
        DatasetError: There are fewer than two classes, a class without images, too few images to
            hold any out, a class that only ``held_out`` has, an image on both sides, or a name that
            a card cannot hold.
    """
    if table:
        return _read_table(folder, held_out, table, multi_label=multi_label)
    folder, own = training_part(folder, with_held_out=held_out is None)
    train = read_folder(folder)
    if multi_label:
        train = united(train)
    check_classes(train, folder)
    return split_folder(train, folder, held_out or own or HELD_OUT)


def read_measured(
    folder: Path, table: LabelTable | None = None, *, multi_label: bool = False
) -> ImageFolder:
    """List the images that a finished model is measured with.

    Args:
        folder: As for `read_split`; its part for tests counts, or else the one for validation.
        table: Classes of the images, in place of sub-folders.
        multi_label: As for `read_split`.

    Raises:
        DatasetError: As `ghostnet.data.image_folder.read_folder`, or as `LabelTable.read`.
    """
    if table is None:
        images = read_folder(measured_part(folder))
        return united(images) if multi_label else images
    parts = table.read(folder, multi_label=multi_label)
    return next((parts[name] for name in ("test", "val") if parts[name].files), parts["train"])


def _read_table(
    folder: Path, held_out: Path | float | None, table: LabelTable, *, multi_label: bool
) -> tuple[ImageFolder, ImageFolder]:
    """List the training and the held-out images that a table labels."""
    parts = table.read(folder, multi_label=multi_label)
    train = parts["train"]
    check_classes(train, folder)
    if train.without_images:
        raise DatasetError(
            f"{table.path}: no training image has {listed(train.without_images)}; add some, or "
            "remove the rows that name nothing else"
        )
    own = next((parts[name] for name in ("val", "test") if parts[name].files), None)
    if held_out or own is None:
        return split_folder(train, folder, held_out or HELD_OUT)
    check_apart([file for file, _ in train.files], own, table.path)
    return train, own


def check_classes(train: ImageFolder, folder: Path) -> None:
    """Check that there is something to learn, and that a card can hold its name.

    Raises:
        DatasetError: There are fewer than two classes, all images have the same labels, or a card
            cannot hold a name.
    """
    check_labels(train.classes)
    if train.combinations is not None:
        check_labels_differ(train, folder)
    elif len(train.classes) < 2:
        raise DatasetError(
            f"{folder}: a model needs at least two classes, each a sub-folder of images; there is "
            f"only {train.classes[0]}"
        )


def split_folder(
    train: ImageFolder, folder: Path, held_out: Path | float
) -> tuple[ImageFolder, ImageFolder]:
    """Return the training and the held-out images, with the same classes.

    Args:
        train: Images of ``folder``.
        folder: What errors call them.
        held_out: Another folder, or the fraction of ``train`` to hold out, in (0, 1).

    Raises:
        DatasetError: Only ``held_out`` has a class, an image of it is also in ``train``, or there
            are too few images to hold any out.
    """
    if isinstance(held_out, Path):
        measured = read_folder(measured_part(held_out))
        unknown = [name for name in measured.classes if name not in train.classes]
        if unknown:
            raise DatasetError(
                f"{held_out}: {folder} has no classes named {listed(unknown)}; it has "
                f"{listed(train.classes)}"
            )
        check_apart([file for file, _ in train.files], measured, held_out)
        if train.combinations is not None:
            return with_other_images(train, united(measured))
        place = [train.classes.index(name) for name in measured.classes]
        files = tuple((file, place[index]) for file, index in measured.files)
        return train, ImageFolder(train.classes, files, measured.left_out)
    train, measured = hold_out(train, held_out)
    if not measured.files:
        raise DatasetError(
            f"{folder}: no class has two images, so that one could be held out; add "
            "images, or name a folder of others with --val"
        )
    return train, measured


def check_apart(train: Sequence[Path], held_out: ImageFolder, folder: Path) -> None:
    """Check that no held-out image is also a training image, by its bytes.

    Args:
        train: Files of the training images.
        held_out: Held-out images.
        folder: What the error calls them.

    Raises:
        DatasetError: A held-out image is also a training image.
    """
    first = find_copies([*train, *(file for file, _ in held_out.files)])
    known = set(train)
    copies = {file: str(first[file]) for file, _ in held_out.files if first[file] in known}
    check_no_copies(copies, held_out, folder)


def check_no_copies(copies: Mapping[Path, str], held_out: ImageFolder, folder: Path) -> None:
    """Refuse held-out images that are also training images.

    Args:
        copies: Such images, with the training image that each is a copy of.
        held_out: Held-out images.
        folder: What the error calls them.

    Raises:
        DatasetError: There are such images.
    """
    if copies:
        examples = ", ".join(f"{file} = {image}" for file, image in [*copies.items()][:3])
        raise DatasetError(
            f"{folder}: {len(copies):,} of {len(held_out.files):,} held-out images are also "
            f"training images ({examples}); remove them from one "
            "side, or hold out a fraction of the training images with --val 0.2"
        )


def hold_out(folder: ImageFolder, fraction: float) -> tuple[ImageFolder, ImageFolder]:
    """Split a folder into a training part and a held-out part, always in the same way.

    Each class keeps at least one image for training, and gives at least one where it has two. All
    copies of an image go to the same part, and to the training part if their classes differ.

    Args:
        folder: What to split.
        fraction: Share of each class to hold out, in (0, 1).
    """
    first = find_copies([file for file, _ in folder.files])
    classes_of: dict[Path, set[int]] = {}
    for file, index in folder.files:
        classes_of.setdefault(first[file], set()).add(index)
    held: set[Path] = set()
    if folder.combinations is not None:
        alike = {file: min(classes) for file, classes in classes_of.items() if len(classes) == 1}
        sets = {file: folder.combinations[index] for file, index in alike.items()}
        held = choose_held_out(sets, fraction)
    else:
        for index in range(len(folder.classes)):
            images = [file for file, classes in classes_of.items() if classes == {index}]
            held |= _choose(images, fraction, index)
    kept, chosen = (
        tuple((file, index) for file, index in folder.files if (first[file] in held) is side)
        for side in (False, True)
    )
    return folder.with_files(kept), folder.with_files(chosen)


def _choose(images: Sequence[Path], fraction: float, seed: int) -> set[Path]:
    """Choose a share of different images to hold out, but never all of them."""
    count = min(len(images) - 1, max(1, round(fraction * len(images))))
    order = np.random.default_rng(seed).permutation(len(images))
    return {images[place] for place in order[: max(0, count)]}
