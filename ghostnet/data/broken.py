"""Broken images, and what a data set is without them."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

from ghostnet.data.image_folder import ImageFolder
from ghostnet.data.transforms import decode
from ghostnet.errors import DatasetError, ImageError, listed
from ghostnet.threads import thread_pool

log = logging.getLogger(__name__)

MAX_BROKEN = 0.1
"""Share of the images that may be broken; beyond it the work stops."""


def readable(train: ImageFolder, held_out: ImageFolder) -> tuple[ImageFolder, ImageFolder]:
    """Return both folders without their broken images, which are logged.

    Raises:
        DatasetError: Too many images are broken, or all of a class.
    """
    broken = find_broken([file for file, _ in (*train.files, *held_out.files)])
    train, held_out = without(train, broken), without(held_out, broken)
    check_filled(train, held_out)
    return train, held_out


def find_broken(files: Sequence[Path]) -> dict[Path, str]:
    """Decode images; returns the broken ones with the reason, which is logged.

    Raises:
        DatasetError: Too many images are broken.
    """
    with thread_pool() as executor:
        reasons = executor.map(_reason, files)
        broken = {file: why for file, why in zip(files, reasons, strict=True) if why}
    check_broken(broken, len(files))
    if broken:
        log.warning("skipped:\n  %s", "\n  ".join(broken.values()))
    return broken


def _reason(file: Path) -> str | None:
    """Say why an image is broken; None where it is not."""
    try:
        decode(file)
    except ImageError as error:
        return str(error)
    return None


def check_broken(broken: Mapping[Path, str], total: int) -> None:
    """Check that at most `MAX_BROKEN` of the images are broken.

    Raises:
        DatasetError: More images are broken.
    """
    if len(broken) > MAX_BROKEN * total:
        listed = "\n  ".join([*broken.values()][:10])
        raise DatasetError(
            f"{len(broken)} of {total} images are broken, more than {MAX_BROKEN:.0%}; "
            f"repair or remove them:\n  {listed}"
        )


def without(folder: ImageFolder, broken: Mapping[Path, str]) -> ImageFolder:
    """Return a folder without its broken images."""
    files = tuple((file, index) for file, index in folder.files if file not in broken)
    return folder.with_files(files)


def check_filled(train: ImageFolder, held_out: ImageFolder) -> None:
    """Check that broken images leave something of each class, and something to measure with.

    Raises:
        DatasetError: A class or the held-out part has no image left.
    """
    if train.without_images:
        raise DatasetError(f"no image in {listed(train.without_images)} can be read; add some")
    if not held_out.files:
        raise DatasetError("no held-out image can be read; add some")
