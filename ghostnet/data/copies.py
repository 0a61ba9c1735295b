"""Copies of images: files with the same bytes, under whatever names."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

from ghostnet.files import sha256_of


def find_copies(files: Sequence[Path]) -> dict[Path, Path]:
    """Map each file to the first file with the same bytes, which may be itself.

    Only files of the same size are read. One that cannot be read has no copies.
    """
    by_size: dict[int, list[Path]] = defaultdict(list)
    first = {file: file for file in files}
    for file in first:
        try:
            by_size[file.stat().st_size].append(file)
        except OSError:
            continue
    for group in by_size.values():
        if len(group) > 1:
            first |= _first_of_same_hash(group)
    return first


def _first_of_same_hash(files: Iterable[Path]) -> dict[Path, Path]:
    first: dict[Path, Path] = {}
    by_hash: dict[str, Path] = {}
    for file in files:
        try:
            first[file] = by_hash.setdefault(sha256_of(file), file)
        except OSError:
            first[file] = file
    return first
