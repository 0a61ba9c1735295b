"""What a network sees in pictures: the features before its classifier, computed once and kept."""

import hashlib
import io
import os
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from mindspore import Tensor, nn
from numpy.typing import NDArray

from ghostnet.checkpoint import HEAD, parameters_of
from ghostnet.errors import ImageError, TrainingError
from ghostnet.hub.cache import cache_root
from ghostnet.hub.loader import Model
from ghostnet.hub.store import file_hash
from ghostnet.kernels import fuse, fuse_if_possible, unavailable_reason
from ghostnet.network import GhostNet
from ghostnet.predict import in_turns
from ghostnet.training.augment import Augment
from ghostnet.transforms import decode

BATCH_SIZE = 32
MAX_CACHE_BYTES = 1 << 30
FORMAT = "features 1"
"""Goes into every key; to be changed when the meaning of a view does."""

Features = NDArray[np.float32]


@dataclass(frozen=True)
class View:
    """One way to look at a picture: 0 as in evaluation, others are random crops and flips."""

    file: Path
    number: int = 0


class FeatureNetwork(nn.Cell):
    """(batch, 3, height, width) to (batch, num_features), sharing the network's parameters."""

    def __init__(self, network: GhostNet) -> None:
        super().__init__(auto_prefix=False)
        self.network = network

    def construct(self, x: Tensor) -> Tensor:
        return self.network.features(x)


class FeatureCache:
    """Features in files under ``root``, named by all that they depend on.

    Files are written whole or not at all; beyond ``max_bytes`` the longest unused ones go.
    """

    def __init__(self, root: Path, max_bytes: int = MAX_CACHE_BYTES) -> None:
        self.root = root
        self.max_bytes = max_bytes

    def read(self, key: str, length: int) -> Features | None:
        """The features under a key, or None where there are none of that length."""
        path = self._path(key)
        try:
            found = np.load(path)
            os.utime(path)
        except (OSError, ValueError, EOFError):
            return None
        return found if found.shape == (length,) and found.dtype == np.float32 else None

    def write(self, key: str, features: Features) -> None:
        """Keep features under a key.

        Raises:
            TrainingError: the folder cannot be written, or is full.
        """
        path = self._path(key)
        part = path.with_suffix(f".{os.getpid()}.part")
        content = io.BytesIO()
        np.save(content, features)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            part.write_bytes(content.getbuffer())
            os.replace(part, path)
        except OSError as error:
            with suppress(OSError):
                part.unlink()
            raise TrainingError(
                f"{self.root}: cannot be written ({error.strerror or error}); "
                "--cache-dir or GHOSTNET_CACHE name another folder"
            ) from error

    def prune(self) -> None:
        """Delete the longest unused files until the rest fit into ``max_bytes``."""
        entries = [(path, path.stat()) for path in self.root.rglob("*") if path.is_file()]
        size = sum(status.st_size for _, status in entries)
        for path, status in sorted(entries, key=lambda entry: entry[1].st_mtime):
            if size <= self.max_bytes:
                return
            path.unlink(missing_ok=True)
            size -= status.st_size

    def _path(self, key: str) -> Path:
        return self.root / key[:2] / f"{key[2:]}.npy"


def feature_network(network: GhostNet) -> nn.Cell:
    """A cell for the features of a network in inference, fused where the machine allows."""
    if unavailable_reason() is None:
        return fuse(network, features=True)
    return FeatureNetwork(fuse_if_possible(network))  # which warns and gives the network back


def extract(
    model: Model,
    views: Iterable[View],
    *,
    cache_dir: str | Path | None = None,
    progress: Callable[[int], None] = lambda count: None,
) -> tuple[Mapping[View, Features], Mapping[Path, str]]:
    """The features of pictures, from the cache or from one pass of the network.

    Args:
        model: as `ghostnet.hub.open_model` gives it.
        views: what to look at.
        cache_dir: root of the cache; by default ``GHOSTNET_CACHE`` or ``~/.mscache``.
        progress: called with 1 for each view.

    Returns:
        (num_features,) float32 for each view, and the files that are no pictures with the reason.
    """
    cache = FeatureCache(cache_root(cache_dir) / "features")
    keys = _keys(model, views)
    found: dict[View, Features] = {}
    for view, key in keys.items():
        if (features := cache.read(key, model.network.num_features)) is not None:
            found[view] = features
            progress(1)
    missing = [view for view in keys if view not in found]
    broken: dict[Path, str] = {}
    if not missing:
        return found, broken
    for view, result in in_turns(
        feature_network(model.network), lambda view: load(model, view), missing, BATCH_SIZE
    ):
        progress(1)
        if isinstance(result, ImageError):
            broken[view.file] = str(result)
        else:
            cache.write(keys[view], result.values)
            found[view] = result.values
    cache.prune()
    return found, broken


def load(model: Model, view: View) -> NDArray[np.float32]:
    """A picture as the view shows it: (3, height, width) float32; `ImageError` for a broken one."""
    image = decode(view.file)
    if view.number == 0:
        return model.preprocess(image)
    return Augment(model.preprocess.image_size)(image, np.random.default_rng(view.number))


def _keys(model: Model, views: Iterable[View]) -> dict[View, str]:
    """What each view's features depend on, as a hash."""
    network = hashlib.sha256()
    for name, values in parameters_of(model.network).items():
        if name not in HEAD:
            network.update(name.encode() + values.tobytes())
    contents: dict[Path, str | None] = {}
    keys = {}
    for view in views:
        if view.file not in contents:
            contents[view.file] = file_hash(view.file)
        parts = (FORMAT, network.hexdigest(), model.preprocess, view.number, contents[view.file])
        keys[view] = hashlib.sha256(repr(parts).encode()).hexdigest()
    return keys
