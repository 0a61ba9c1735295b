"""What a network sees in pictures: the features before its classifier, computed once and kept."""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from mindspore import Tensor, nn
from numpy.typing import NDArray

from ghostnet.checkpoint import HEAD, parameters_of
from ghostnet.errors import ImageError
from ghostnet.hub.cache import cache_root
from ghostnet.hub.loader import Model
from ghostnet.hub.store import file_hash
from ghostnet.kernels import fuse, fuse_if_possible, unavailable_reason
from ghostnet.network import GhostNet
from ghostnet.predict import Logits, in_turns
from ghostnet.training.augment import Augment
from ghostnet.training.feature_cache import FeatureCache, Features
from ghostnet.transforms import decode

BATCH_SIZE = 64
SAVE_EVERY = 256
"""Pictures after which their features go to the cache."""

FORMAT = "features 1"
"""Goes into every key; to be changed when the meaning of a view does."""


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
        progress: called with the number of views that are done.

    Returns:
        (num_features,) float32 for each view, and the files that are no pictures with the reason.
    """
    cache = FeatureCache(cache_root(cache_dir) / "features.sqlite")
    keys = _keys(model, views)
    kept = cache.read(keys.values(), model.network.num_features)
    found = {view: kept[key] for view, key in keys.items() if key in kept}
    progress(len(found))
    missing = [view for view in keys if view not in found]
    broken: dict[Path, str] = {}
    for turn in _computed(model, missing):
        for view, result in turn:
            progress(1)
            if isinstance(result, ImageError):
                broken[view.file] = str(result)
            else:
                found[view] = result.values
        cache.write({keys[view]: found[view] for view, _ in turn if view in found})
    cache.prune()
    return found, broken


def _computed(model: Model, views: list[View]) -> Iterator[list[tuple[View, Logits | ImageError]]]:
    """What the network says of the views, some at a time."""
    if not views:
        return
    network = feature_network(model.network)
    results = in_turns(network, partial(put, model), views, model.preprocess.blank, BATCH_SIZE)
    while some := list(islice(results, SAVE_EVERY)):
        yield some


def put(model: Model, view: View, place: NDArray[Any]) -> None:
    """A picture as the view shows it, into a place of a batch; `ImageError` for a broken one."""
    image = decode(view.file)
    if view.number == 0:
        model.preprocess.put(image, place)
    else:
        augment = Augment(model.preprocess.image_size)
        place[:] = augment(image, np.random.default_rng(view.number))


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
