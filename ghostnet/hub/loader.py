"""Networks with the verified weights of a hub card, in MindSpore.

The signatures of `load` and `load_weights` are those of ``mindspore_hub``. Unlike that client, this
one runs no code but its own.
"""

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ghostnet.checkpoints import count_classes, form_of
from ghostnet.errors import ModelError
from ghostnet.hub.catalog import find_card
from ghostnet.hub.checkpoint_file import CheckpointFile, locate
from ghostnet.models import Architecture, find_model
from ghostnet.models.registry import of_width, registered_weights
from ghostnet.runtime import start_mindspore

if TYPE_CHECKING:
    import mindspore as ms
    from mindspore import nn

    from ghostnet.models.classification import ClassificationNetwork
    from ghostnet.models.network import HeadFeatures


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

    A GhostNetV3 or RepGhost keeps the branches that its checkpoint has; `ghostnet.merge_branches`
    makes a network for inference of it.

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
        checkpoint = locate(card, cache_dir)
        network = _pretrained(
            card.architecture, checkpoint, *args, force_reload=force_reload, **kwargs
        )
    else:
        if card.labels and not args:
            kwargs.setdefault("num_classes", len(card.labels))
        network = build_network(card.architecture, *args, **kwargs)
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
    parameters = locate(card, cache_dir).parameters(force=force_reload)
    return {key: ms.Parameter(ms.Tensor(value), name=key) for key, value in parameters.items()}


TIMM_ARGUMENTS: dict[str, tuple[Any, str]] = {
    "in_chans": (3, "the networks take RGB images; repeat a gray channel three times"),
    "features_only": (
        False,
        "StageFeatures(network) of ghostnet.models.network gives the feature maps",
    ),
    "global_pool": (
        "avg",
        "the features are averaged over the map; StageFeatures(network) of "
        "ghostnet.models.network gives maps",
    ),
    "drop_path_rate": (0.0, "the networks have no stochastic depth; drop_rate sets dropout"),
    "checkpoint_path": ("", "ghostnet.open_model(PATH).network loads a checkpoint"),
}
"""Arguments of timm's that mean nothing here: the value that changes nothing, and what to do."""


def _check_arguments(arguments: dict[str, Any]) -> dict[str, Any]:
    """Return the arguments of a network, without those of timm's that change nothing.

    Raises:
        ModelError: An argument is not one of the network's.
    """
    known = {"drop_rate"}
    for name, value in arguments.items():
        neutral, advice = TIMM_ARGUMENTS.get(name, (None, f"remove {name}"))
        if name not in known and (name not in TIMM_ARGUMENTS or value != neutral):
            raise ModelError(f"create_model does not support {name}={value!r}: {advice}")
    return {name: value for name, value in arguments.items() if name in known}


def create_model(
    name: str,
    num_classes: int | None = None,
    pretrained: bool | str = False,
    *,
    allow_short_hash: bool = False,
    **kwargs: Any,
) -> "ClassificationNetwork | HeadFeatures":
    """Create a registered network.

    Args:
        name: Any registered name, such as ``ghostnet_1x``; see `ghostnet.list_models`.
        num_classes: Length of the logits; by default that of the weights, or 1000. With 0, the
            result maps images to the (batch, num_features) features that a classifier would read.
        pretrained: True loads the registered weights; a UID, or the path or URL of a card, loads
            the weights that it names.
        allow_short_hash: As in `ghostnet.hub.load`.
        **kwargs: ``drop_rate``, the share of features that dropout clears in training; ``width``,
            the width of the network in place of the one in its name, in hundredths.

    Raises:
        ModelError: The name is not registered, the weights are another model's, there are none, or
            an argument is not supported.
        CardError, FetchError, IntegrityError, CheckpointError: As `load`.

    Examples:
        >>> import ghostnet
        >>> network = ghostnet.create_model("ghostnet_1x", num_classes=37)
    """
    start_mindspore()
    from ghostnet.models.network import HeadFeatures, build_network

    entry = find_model(name)
    if "width" in kwargs:
        entry = of_width(entry, kwargs.pop("width"))
        name = entry.name
    kwargs = _check_arguments(kwargs)
    if num_classes == 0:
        network = create_model(name, None, pretrained, allow_short_hash=allow_short_hash, **kwargs)
        assert not isinstance(network, HeadFeatures)
        return HeadFeatures(network)
    if num_classes is not None:
        kwargs["num_classes"] = num_classes
    if not pretrained:
        return build_network(entry.architecture, **kwargs)
    weights = registered_weights(name) if pretrained is True else pretrained
    card = find_card(weights, allow_short_hash=allow_short_hash)
    if card.architecture != entry.architecture:
        raise ModelError(f"{weights}: these are not weights of {entry.name}")
    return _pretrained(entry.architecture, locate(card), **kwargs)


def _pretrained(
    architecture: Architecture,
    checkpoint: CheckpointFile,
    *args: Any,
    force_reload: bool = False,
    **kwargs: Any,
) -> "ClassificationNetwork":
    """Build a network with the weights of a checkpoint; arguments as in `load`."""
    from ghostnet.checkpoints.cells import load_parameters
    from ghostnet.models.network import build_network

    name = checkpoint.source
    parameters = checkpoint.parameters(force=force_reload)
    architecture = form_of(parameters, architecture)
    classes = count_classes(parameters, architecture, name)
    if not args:
        kwargs.setdefault("num_classes", classes)
    network = build_network(architecture, *args, **kwargs)
    keep_classifier = network.num_classes == classes
    load_parameters(network, parameters, keep_classifier=keep_classifier, name=name)
    if not keep_classifier:
        warnings.warn(
            f"{name} was trained for {classes} classes: the classifier for {network.num_classes} "
            "is initialized afresh and has to be trained",
            stacklevel=3,
        )
    return network
