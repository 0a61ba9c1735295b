"""Copies of images: files with the same bytes, under whatever names."""

import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from ghostnet.data.archives import image_sha256, image_version, open_image

TAIL_BYTES = 4096


def find_copies(files: Sequence[Path]) -> dict[Path, Path]:
    """Map each file to the first file with the same bytes, which may be itself.

    Files are compared by size, then by their last bytes, and read whole only where both agree. One
    that cannot be read has no copies.
    """
    groups = [[*dict.fromkeys(files)]]
    for key in (_size, _tail, image_sha256):
        groups = [part for group in groups for part in _split(group, key)]
    first = {file: file for file in files}
    for group in groups:
        first |= dict.fromkeys(group, group[0])
    return first


def _split(files: Iterable[Path], key: Callable[[Path], object]) -> list[list[Path]]:
    """Group files by a key; those that are alone are left out."""
    groups: dict[object, list[Path]] = defaultdict(list)
    for file in files:
        try:
            groups[key(file)].append(file)
        except OSError:
            continue
    return [group for group in groups.values() if len(group) > 1]


def _size(file: Path) -> int:
    size, _ = image_version(file)
    return size


def _tail(file: Path) -> bytes:
    with open_image(file) as opened:
        opened.seek(max(0, opened.seek(0, os.SEEK_END) - TAIL_BYTES))
        return opened.read(TAIL_BYTES)
