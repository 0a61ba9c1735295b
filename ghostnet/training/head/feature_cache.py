"""Features of images, kept on disk for the next run."""

import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from ghostnet.files import replacing

log = logging.getLogger(__name__)

Features: TypeAlias = NDArray[np.float32]

MAX_BYTES = 1 << 30
"""Default size of the cache, in bytes."""


class FeatureCache:
    """The features of one network in one ``.npz`` file, by the keys of the images.

    NumPy's format checks each array by its CRC. A damaged file counts as empty. A folder that
    cannot be written is reported on the log, and the next run computes the features again.

    Args:
        folder: Folder of the files of all networks; created if needed.
        network: Hash of everything that the features depend on apart from the image.
        length: Length of the features.
        max_bytes: Size that the files of all networks are kept within, in bytes.
    """

    def __init__(self, folder: Path, network: str, length: int, max_bytes: int = MAX_BYTES) -> None:
        self.path = folder / f"{network}.npz"
        self.length = length
        self.max_bytes = max_bytes

    def read(self) -> dict[str, Features]:
        """Read the features that are kept, by key."""
        try:
            with (
                self.path.open("rb") as file,  # NumPy leaves a damaged file open
                np.load(file, allow_pickle=False) as arrays,
            ):
                keys, features = arrays["keys"], arrays["features"]
            os.utime(self.path)
        except Exception:  # zipfile and NumPy raise almost anything on damaged bytes
            return {}
        fits = features.dtype == np.float32 and features.shape == (keys.size, self.length)
        return dict(zip(keys.tolist(), features, strict=True)) if fits and keys.ndim == 1 else {}

    def write(self, features: Mapping[str, Features]) -> None:
        """Replace the kept features; if there are too many, the first ones are dropped."""
        fitting = self.max_bytes // (4 * self.length)
        kept = list(features.items())[-fitting:]
        try:
            with replacing(self.path) as file:
                keys, rows = [key for key, _ in kept], [row for _, row in kept]
                np.savez(file, keys=np.array(keys, str), features=np.array(rows, np.float32))
            self._prune()
        except OSError as error:
            log.warning("%s: cannot be written (%s); no features are kept", self.path, error)

    def _prune(self) -> None:
        """Delete the least recently used other files until the rest fit."""
        others = [file for file in self.path.parent.glob("*.npz") if file != self.path]
        stats = {file: file.stat() for file in others}
        total = self.path.stat().st_size
        for file in sorted(others, key=lambda file: stats[file].st_mtime_ns, reverse=True):
            total += stats[file].st_size
            if total > self.max_bytes:
                file.unlink(missing_ok=True)
