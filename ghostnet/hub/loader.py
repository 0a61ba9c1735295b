"""From a name to a model with verified weights: card, checkpoint, parameters, network.

The signatures of `load` and `load_weights` are those of ``mindspore_hub``. Unlike that client, this
one runs no code but its own. MindSpore is imported only where a network is asked for.
"""

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ghostnet.checkpoints import (
    SUFFIXES,
    Parameters,
    convert,
    count_classes,
    find_network,
    fit_parameters,
    identify,
    is_foreign,
    parse_checkpoint,
    read_foreign,
)
from ghostnet.data.labels import unknown_labels
from ghostnet.data.transforms import Preprocess
from ghostnet.errors import CardError, FetchError, IntegrityError, ModelError
from ghostnet.hub.card import ModelCard
from ghostnet.hub.download import Watch, expected_hash, fetch_checkpoint, location, unwatched
from ghostnet.hub.registry import asset_folder, card_architecture, find_card
from ghostnet.hub.verified_file import read_verified
from ghostnet.model import Model
from ghostnet.models import find_model
from ghostnet.models.weights import Use
from ghostnet.runtime import start_mindspore

if TYPE_CHECKING:
    import mindspore as ms
    from mindspore import nn

    from ghostnet.models.classification import ClassificationNetwork


def open_model(
    name: str | Path,
    *,
    cache_dir: str | Path | None = None,
    watch: Watch = unwatched,
    allow_short_hash: bool = False,
) -> Model:
    """Open the model that a UID, a card (file or URL) or a bare checkpoint file names.

    Args:
        name: UID, card, or checkpoint file of MindSpore, PyTorch or safetensors, in which the
            network is found as in `ghostnet.checkpoints.convert`.
        cache_dir: Root of the cache; by default ``GHOSTNET_CACHE`` or ``~/.mscache``.
        watch: Shows the progress of a download.
        allow_short_hash: As in `load`.

    Raises:
        CardError, FetchError, IntegrityError, CheckpointError: As `load`.

    Examples:
        >>> model = open_model("ghostnet/cpu/2.10/ghostnet_v1.0_pets")
        >>> model.labels[:3]
        ('Abyssinian', 'american_bulldog', 'american_pit_bull_terrier')
    """
    name = str(name)
    if _is_checkpoint(name):
        card = None
        parameters = _read_bare(name)
        architecture = identify(parameters, name)
    else:
        card = find_card(name, allow_short_hash=allow_short_hash)
        architecture = card_architecture(card)
        parameters = card_parameters(name, card, cache_dir=cache_dir, watch=watch)
    classes = count_classes(parameters, architecture, name)
    return Model(
        name,
        architecture,
        fit_parameters(parameters, architecture, classes, name),
        _labels(card, classes),
        Preprocess(_image_size(card) or architecture.image_size),
    )


def _is_checkpoint(name: str) -> bool:
    """Whether a name is that of a bare checkpoint file."""
    if name.startswith(("https://", "http://")) or name.endswith(".md"):
        return False
    return name.endswith(SUFFIXES) or Path(name).is_file()


def _read_bare(name: str) -> Parameters:
    """Read the network in a checkpoint file."""
    conversion = convert(read_foreign(Path(name)), name)
    if conversion.found.use is Use.EMA and conversion.found.alternative:
        warnings.warn(
            f"{name}: took the average of the weights, {conversion.found.prefix}; `ghostnet "
            "convert --use raw` takes the weights themselves",
            stacklevel=3,
        )
    return conversion.parameters


def load(
    name: str | Path,
    *args: Any,
    source: str = "gitee",
    pretrained: bool = True,
    force_reload: bool = False,
    fused: bool = False,
    cache_dir: str | Path | None = None,
    allow_short_hash: bool = False,
    **kwargs: Any,
) -> "nn.Cell":
    """Load the network of a hub card, with the verified weights that the card names.

    Args:
        name: UID (``noah-cvlab/gpu/1.0/ghostnet_v1.0_oxford_pets``), path or URL of a card.
        *args: Arguments of `ghostnet.models.GhostNet` from ``num_classes`` on.
        source: Accepted as in ``mindspore_hub``; cards come with this package.
        pretrained: False leaves the weights at their random initialization and downloads nothing.
        force_reload: Download the checkpoint even if the cache has it.
        fused: Return `ghostnet.fuse` of the network, for inference.
        cache_dir: Root of the cache; by default ``GHOSTNET_CACHE`` or ``~/.mscache``.
        allow_short_hash: Load a checkpoint of which the card gives only the first digits of the
            SHA-256, with a warning that says what they prove.
        **kwargs: Arguments of `ghostnet.models.GhostNet`, above all ``num_classes``; another number
            than the checkpoint's keeps the backbone and initializes the classifier afresh.

    Raises:
        CardError: There is no such card, it is malformed, or it is not a GhostNet's.
        FetchError: The checkpoint is not in the cache and cannot be downloaded.
        IntegrityError: The checkpoint does not have the card's SHA-256.
        CheckpointError: The parameters are not the network's.

    Examples:
        >>> import ghostnet.hub as mshub
        >>> network = mshub.load("ghostnet/cpu/2.10/ghostnet_v1.0_pets", num_classes=37)
    """
    start_mindspore()
    from ghostnet.models.network import build_network

    card = find_card(name, allow_short_hash=allow_short_hash and pretrained)
    if pretrained:
        network = _load_pretrained(
            name, card, *args, force_reload=force_reload, cache_dir=cache_dir, **kwargs
        )
    else:
        architecture = card_architecture(card)
        if card.labels and not args:
            kwargs.setdefault("num_classes", len(card.labels))
        network = build_network(architecture, *args, **kwargs)
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
    allow_short_hash: bool = False,
) -> "dict[str, ms.Parameter]":
    """Load the verified parameters that a card names; arguments and errors as in `load`."""
    start_mindspore()
    import mindspore as ms

    card = find_card(name, allow_short_hash=allow_short_hash)
    card_architecture(card)
    parameters = card_parameters(name, card, force_reload=force_reload, cache_dir=cache_dir)
    return {key: ms.Parameter(ms.Tensor(value), name=key) for key, value in parameters.items()}


def create_model(
    name: str,
    num_classes: int | None = None,
    pretrained: bool | str = False,
    *,
    allow_short_hash: bool = False,
    **kwargs: Any,
) -> "ClassificationNetwork":
    """Create a registered network.

    Args:
        name: Any registered name, such as ``ghostnet_1x``; see `ghostnet.list_models`.
        num_classes: Length of the logits; by default that of the weights, or 1000.
        pretrained: True loads the registered weights; a UID, or the path or URL of a card, loads
            the weights that it names.
        allow_short_hash: As in `ghostnet.hub.load`.
        **kwargs: Further arguments of `ghostnet.models.GhostNet`.

    Raises:
        ModelError: The name is not registered, the weights are another model's, or there are none.
        CardError, FetchError, IntegrityError, CheckpointError: As `load`.

    Examples:
        >>> import ghostnet
        >>> network = ghostnet.create_model("ghostnet_1x", num_classes=37)
    """
    start_mindspore()
    from ghostnet.models.network import build_network

    entry = find_model(name)
    if num_classes is not None:
        kwargs["num_classes"] = num_classes
    if not pretrained:
        return build_network(entry.architecture, **kwargs)
    weights = entry.pretrained if pretrained is True else pretrained
    if weights is None:
        raise ModelError(
            f"{entry.name}: expected registered weights, found none; pass pretrained=False, or the "
            "UID or card of a model"
        )
    card = find_card(weights, allow_short_hash=allow_short_hash)
    if card_architecture(card) != entry.architecture:
        raise ModelError(f"{weights}: expected weights of {entry.name}, found another model's")
    return _load_pretrained(weights, card, **kwargs)


def card_parameters(
    name: str | Path,
    card: ModelCard,
    *,
    force_reload: bool = False,
    cache_dir: str | Path | None = None,
    watch: Watch = unwatched,
) -> Parameters:
    """Read the network of a card's checkpoint, from the very bytes whose hash was checked.

    What a training run saved beside it is left out.
    """
    sha256 = expected_hash(card.checkpoint)
    path = card.checkpoint.local_file
    if path is None:  # a file beside the card needs no cache
        path = location(card.checkpoint, asset_folder(name, card.checkpoint, cache_dir))
    content = None if force_reload else _read_if_right(path, sha256)
    if content is None:
        path = fetch_checkpoint(name, card, force=force_reload, cache_dir=cache_dir, watch=watch)
        content = read_verified(path, sha256)
    return released_parameters(content, str(path))


def released_parameters(content: bytes, name: str) -> Parameters:
    """Parse the network in a checkpoint; MindCV's names become the released ones.

    Args:
        content: Content of the file.
        name: What errors call the file.

    Raises:
        CheckpointError: The bytes are not a MindSpore checkpoint, or not a GhostNet's.
    """
    parameters = find_network(parse_checkpoint(content, name), name).parameters
    return convert(parameters, name).parameters if is_foreign(parameters) else parameters


def _read_if_right(path: Path, sha256: str) -> bytes | None:
    """Read a file that has the expected SHA-256, so that it is hashed once; else return None."""
    try:
        return read_verified(path, sha256)
    except (FetchError, IntegrityError):
        return None


def _load_pretrained(
    name: str | Path,
    card: ModelCard,
    *args: Any,
    force_reload: bool = False,
    cache_dir: str | Path | None = None,
    **kwargs: Any,
) -> "ClassificationNetwork":
    """Build the network of a card with its verified weights; arguments as in `load`."""
    from ghostnet.checkpoints.cells import load_parameters
    from ghostnet.models.network import build_network

    architecture = card_architecture(card)
    parameters = card_parameters(name, card, force_reload=force_reload, cache_dir=cache_dir)
    classes = count_classes(parameters, architecture, str(name))
    if not args:
        kwargs.setdefault("num_classes", classes)
    network = build_network(architecture, *args, **kwargs)
    keep_classifier = network.num_classes == classes
    load_parameters(network, parameters, keep_classifier=keep_classifier, name=str(name))
    if not keep_classifier:
        warnings.warn(
            f"{name} was trained for {classes} classes: the classifier for {network.num_classes} "
            "is initialized afresh and has to be trained",
            stacklevel=3,
        )
    return network


def _labels(card: ModelCard | None, classes: int) -> tuple[str, ...]:
    """Return the labels on a card, or placeholders where there are none."""
    if card is None or card.labels is None:
        return unknown_labels(classes)
    if len(card.labels) != classes:
        raise CardError(
            f"{card.source}: labels: expected one for each of the checkpoint's {classes} classes, "
            f"found {len(card.labels)}"
        )
    return card.labels


def _image_size(card: ModelCard | None) -> int | None:
    """Return the side of the square image in a card's input-shape, (side, side, 3)."""
    match card.input_shape if card else None:
        case (int(height), int(width), 3) if height == width:
            return height
    return None
