"""From a name to a network with verified weights: card, then checkpoint, then network.

The signatures of `load` and `load_weights` are those of ``mindspore_hub``. Unlike that client,
nothing here runs code that did not ship with this package.
"""

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mindspore as ms
from mindspore import nn

from ghostnet.checkpoint import (
    Parameters,
    identify,
    load_parameters,
    num_classes,
    parse_checkpoint,
    read_checkpoint,
)
from ghostnet.errors import CardError
from ghostnet.hub.card import ModelCard
from ghostnet.hub.find import fetch_checkpoint, find
from ghostnet.hub.store import read_verified
from ghostnet.network import ARCHITECTURES, GhostNet, create_network
from ghostnet.transforms import Preprocess


@dataclass(frozen=True)
class Model:
    """A network and what is needed to use it.

    Attributes:
        name: what it was opened by.
        network: in inference state.
        labels: one a class; ``class 0``, ``class 1``, … where nothing tells.
        preprocess: from an image to the network's input.
    """

    name: str
    network: GhostNet
    labels: tuple[str, ...]
    preprocess: Preprocess


def open_model(name: str | Path, *, cache_dir: str | Path | None = None) -> Model:
    """The model behind a UID, a card (file or URL) or a bare checkpoint file.

    Raises:
        CardError, FetchError, IntegrityError, CheckpointError: as in `load`.
    """
    if str(name).endswith(".ckpt"):
        parameters = read_checkpoint(Path(name))
        architecture = identify(parameters, str(name))
        network = GhostNet(architecture, num_classes(parameters, architecture, str(name)))
        load_parameters(network, parameters, name=str(name))
        labels = None
        image_size = network.architecture.image_size
    else:
        card = find(name)
        network = load(name, cache_dir=cache_dir)
        labels = card.labels
        image_size = _image_size(card) or network.architecture.image_size
        if labels and len(labels) != network.num_classes:
            raise CardError(
                f"{card.source}: labels: expected one for each of the checkpoint's "
                f"{network.num_classes} classes, found {len(labels)}"
            )
    if labels is None:
        labels = tuple(f"class {index}" for index in range(network.num_classes))
    network.set_train(False)
    return Model(str(name), network, labels, Preprocess(image_size))


def load(
    name: str | Path,
    *args: Any,
    source: str = "gitee",
    pretrained: bool = True,
    force_reload: bool = False,
    fused: bool = False,
    cache_dir: str | Path | None = None,
    **kwargs: Any,
) -> nn.Cell:
    """The network of a hub card, with the weights that the card names, verified.

    Args:
        name: a UID (``noah-cvlab/gpu/1.0/ghostnet_v1.0_oxford_pets``), or the path or URL of a
            card.
        *args: for `ghostnet.network.GhostNet`.
        **kwargs: the same, above all ``num_classes``; another number than the checkpoint's keeps
            the backbone and starts the classifier anew.
        source: accepted as in ``mindspore_hub``; cards come with this package.
        pretrained: False leaves the weights at their random start, and fetches nothing.
        force_reload: fetch the checkpoint even if the cache has it.
        fused: return `ghostnet.fuse` of the network, for inference on CPU.
        cache_dir: root of the cache; by default ``GHOSTNET_CACHE`` or ``~/.mscache``.

    Raises:
        CardError: no such card, a bad one, or not a GhostNet's.
        FetchError: the checkpoint is neither in the cache nor to be had.
        IntegrityError: its bytes do not have the card's SHA-256.
        CheckpointError: its parameters are not the network's.
    """
    card = find(name)
    model_name = _architecture_name(card)
    if not pretrained:
        if card.labels and not args:
            kwargs.setdefault("num_classes", len(card.labels))
        network = create_network(model_name, *args, **kwargs)
    else:
        parameters = card_parameters(name, card, force_reload=force_reload, cache_dir=cache_dir)
        classes = num_classes(parameters, ARCHITECTURES[model_name], str(name))
        if not args:
            kwargs.setdefault("num_classes", classes)
        network = create_network(model_name, *args, **kwargs)
        keep_head = network.num_classes == classes
        load_parameters(network, parameters, keep_head=keep_head, name=str(name))
        if not keep_head:
            warnings.warn(
                f"{name} was trained for {classes} classes: the classifier for "
                f"{network.num_classes} starts anew and has to be trained",
                stacklevel=2,
            )
    if not fused:
        return network
    from ghostnet.kernels import fuse_if_possible

    return fuse_if_possible(network.set_train(False))


def load_weights(
    name: str | Path,
    *,
    source: str = "gitee",
    force_reload: bool = False,
    cache_dir: str | Path | None = None,
) -> dict[str, ms.Parameter]:
    """The verified parameters that a card names; arguments and errors as in `load`."""
    parameters = card_parameters(name, find(name), force_reload=force_reload, cache_dir=cache_dir)
    return {key: ms.Parameter(ms.Tensor(value), name=key) for key, value in parameters.items()}


def card_parameters(
    name: str | Path,
    card: ModelCard,
    *,
    force_reload: bool = False,
    cache_dir: str | Path | None = None,
) -> Parameters:
    """The parameters in a card's checkpoint, from the very bytes whose hash was checked."""
    path = fetch_checkpoint(name, card, force=force_reload, cache_dir=cache_dir)
    return parse_checkpoint(read_verified(path, str(card.checkpoint.sha256)), str(path))


def _architecture_name(card: ModelCard) -> str:
    if card.name.lower() not in ARCHITECTURES:
        raise CardError(
            f"{card.source}: model-name {card.name!r} is none of the networks that this package "
            f"builds: {', '.join(ARCHITECTURES)}"
        )
    return card.name.lower()


def _image_size(card: ModelCard) -> int | None:
    """The side of the square picture in the card's input-shape, (side, side, 3)."""
    match card.input_shape:
        case (int(height), int(width), 3) if height == width:
            return height
    return None
