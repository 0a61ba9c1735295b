"""The features that a network's classifier reads, computed once for each image and kept."""

import hashlib
import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ghostnet.checkpoints import classifier_names
from ghostnet.data.archives import image_sha256
from ghostnet.data.transforms import decode
from ghostnet.errors import FetchError, ImageError
from ghostnet.hub.cache import cache_root
from ghostnet.model import Model
from ghostnet.model.forward import open_forward
from ghostnet.model.pipeline import Pipeline
from ghostnet.training.augment import Augment
from ghostnet.training.head.feature_cache import FeatureCache, Features

log = logging.getLogger(__name__)

BATCH_SIZE = 64

FORMAT = "features 2"
"""Part of every key; changes with the meaning of a view."""


@dataclass(frozen=True)
class View:
    """One way to see an image: 0 as in evaluation, others are random crops and flips."""

    file: Path
    number: int = 0


def extract(
    model: Model,
    views: Iterable[View],
    *,
    cache_dir: str | Path | None = None,
    progress: Callable[[int], None] = lambda count: None,
) -> tuple[Mapping[View, Features], Mapping[Path, str]]:
    """Return the features of images, from the cache or from one pass of the network.

    Args:
        model: As `ghostnet.hub.open_model` returns it.
        views: Views of images.
        cache_dir: Root of the cache; by default ``GHOSTNET_CACHE`` or ``~/.mscache``.
        progress: Called with the number of views that are done.

    Returns:
        (num_features,) float32 for each view, and the files that cannot be read with the reason.
    """
    cache = _cache(model, cache_dir)
    keys = _keys(views)
    kept = cache.read() if cache else {}
    found = {view: kept[key] for view, key in keys.items() if key in kept}
    progress(len(found))
    missing = [view for view in keys if view not in found]
    broken: dict[Path, str] = {}
    if not missing:
        return found, broken
    try:
        for view, result in _pipeline(model).run(missing):
            progress(1)
            if isinstance(result, ImageError):
                broken[view.file] = str(result)
            else:
                found[view] = result.values
    finally:  # keep what was computed before an interruption
        if cache:
            cache.write(kept | {keys[view]: features for view, features in found.items()})
    return found, broken


def _cache(model: Model, cache_dir: str | Path | None) -> FeatureCache | None:
    """Open the cache of a model's features; where there is none, log the reason and return None."""
    try:
        folder = cache_root(cache_dir) / "features"
    except FetchError as error:
        log.warning("%s; no features are kept", error)
        return None
    return FeatureCache(folder, _network_key(model), model.architecture.head_channels)


def put_view(model: Model, view: View, place: NDArray[Any]) -> None:
    """Write a view of an image into its place in a batch.

    Raises:
        ImageError: The file cannot be decoded.
    """
    image = decode(view.file)
    if view.number == 0:
        model.preprocess.put(image, place)
    else:
        augment = Augment(model.preprocess.image_size)
        place[:] = augment(image, np.random.default_rng(view.number))


def _pipeline(model: Model) -> Pipeline[View]:
    forward = open_forward(model, features=True)
    return Pipeline(
        forward,
        lambda view, place: put_view(model, view, place),
        model.preprocess.blank,
        BATCH_SIZE,
    )


def _network_key(model: Model) -> str:
    """Hash what the features of a network depend on beside the image."""
    digest = hashlib.sha256(repr((FORMAT, model.preprocess)).encode())
    classifier = classifier_names(model.architecture)
    for name, values in model.parameters.items():
        if name not in classifier:
            digest.update(name.encode() + values.tobytes())
    return digest.hexdigest()


def _keys(views: Iterable[View]) -> dict[View, str]:
    """Return a key for each view: the hash of the image's file, and the number of the view."""
    hashes: dict[Path, str] = {}
    keys = {}
    for view in views:
        if view.file not in hashes:
            hashes[view.file] = _hash(view.file)
        keys[view] = f"{hashes[view.file]}-{view.number}"
    return keys


def _hash(file: Path) -> str:
    try:
        return image_sha256(file)
    except OSError:  # decoding will say why
        return str(file)
