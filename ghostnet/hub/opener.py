"""From a name to an opened model: a card's, or the one in a checkpoint file."""

import warnings
from pathlib import Path

from ghostnet.checkpoints import (
    SUFFIXES,
    Parameters,
    convert,
    count_classes,
    fit_parameters,
    form_of,
    read_foreign,
)
from ghostnet.data.labels import unknown_labels
from ghostnet.data.transforms import Preprocess
from ghostnet.errors import CardError, ModelError
from ghostnet.hub.card import ModelCard
from ghostnet.hub.catalog import find_card
from ghostnet.hub.checkpoint_file import Watch, locate, unwatched
from ghostnet.model import Model
from ghostnet.models.registry import DEFAULT_MODEL
from ghostnet.models.weights import Use


def open_model(
    name: str | Path = DEFAULT_MODEL,
    *,
    cache_dir: str | Path | None = None,
    watch: Watch = unwatched,
    allow_short_hash: bool = False,
    new_classifier: bool = False,
    keep_branches: bool = False,
) -> Model:
    """Open the model that a UID, a card (file or URL) or a bare checkpoint file names.

    Args:
        name: UID, card, registered name of a network with weights, or checkpoint file of MindSpore,
            PyTorch or safetensors, in which the network is found as in
            `ghostnet.checkpoints.convert`.
        cache_dir: Root of the cache; by default ``GHOSTNET_CACHE`` or ``~/.mscache``.
        watch: Shows the progress of a download.
        allow_short_hash: As in `load`.
        new_classifier: Accept a checkpoint file without a classifier that fits the network, because
            a new one will replace it; until then, a blank one for a single class takes its place.
        keep_branches: Keep the branches of a GhostNetV3 or RepGhost in training, to train it on; by
            default they are merged.

    Raises:
        CardError, FetchError, IntegrityError, CheckpointError: As `load`.
        ModelError: The network has no registered weights.

    Examples:
        >>> model = open_model("ghostnet/cpu/2.10/ghostnet_v1.0_pets")
        >>> model.labels[:3]
        ('Abyssinian', 'american_bulldog', 'american_pit_bull_terrier')
    """
    name = str(name)
    if _is_checkpoint(name):
        model = _open_bare(name, new_classifier=new_classifier)
    else:
        card = find_card(name, allow_short_hash=allow_short_hash)
        model = _open_card(card, name, locate(card, cache_dir).parameters(watch=watch))
    return model if keep_branches else model.merged


def _is_checkpoint(name: str) -> bool:
    """Whether a name is that of a bare checkpoint file."""
    if name.startswith(("https://", "http://")) or name.endswith(".md"):
        return False
    return name.endswith(SUFFIXES) or Path(name).is_file()


def _open_bare(name: str, *, new_classifier: bool) -> Model:
    """Open the network in a checkpoint file."""
    conversion = convert(
        read_foreign(Path(name)), name, keep_branches=True, new_classifier=new_classifier
    )
    if conversion.found.use is Use.EMA and conversion.found.alternative:
        warnings.warn(
            f"{name}: took the average of the weights, {conversion.found.prefix}; `ghostnet "
            "convert --use raw` takes the weights themselves",
            stacklevel=3,
        )
    if conversion.architecture.attends and conversion.architecture.upsampling == "bilinear":
        warnings.warn(
            f"{name}: the gates of its attention are interpolated, as in the code of the MindSpore "
            "model zoo, whose names its tensors have; if they were trained with the nearest gate, "
            "as in the authors' code, use the file that `ghostnet convert --upsampling nearest` "
            "writes",
            stacklevel=3,
        )
    return Model(
        name,
        conversion.architecture,
        conversion.parameters,
        unknown_labels(conversion.num_classes),
        Preprocess(conversion.architecture.image_size),
    )


def _open_card(card: ModelCard, name: str, parameters: Parameters) -> Model:
    """Make a model of a card and the parameters in its checkpoint."""
    architecture = form_of(parameters, card.architecture)
    classes = count_classes(parameters, architecture, name)
    fitted = fit_parameters(parameters, architecture, classes, name)
    preprocess = Preprocess(_image_size(card) or architecture.image_size)
    labels, thresholds = _labels(card, classes), _thresholds(card, classes)
    try:
        return Model(name, architecture, fitted, labels, preprocess, thresholds)
    except ModelError as error:
        raise CardError(f"{card.source}: input-shape: {error}") from error


def _labels(card: ModelCard, classes: int) -> tuple[str, ...]:
    """Return the labels on a card, or placeholders if it has none."""
    if card.labels is None:
        return unknown_labels(classes)
    if len(card.labels) != classes:
        raise CardError(
            f"{card.source}: labels: there are {len(card.labels)}, but the checkpoint has "
            f"{classes} classes"
        )
    return card.labels


def _thresholds(card: ModelCard, classes: int) -> tuple[float, ...] | None:
    """Return the thresholds on a card, if its images may have several labels."""
    if card.thresholds is not None and len(card.thresholds) != classes:
        raise CardError(
            f"{card.source}: thresholds: there are {len(card.thresholds)}, but the checkpoint has "
            f"{classes} labels"
        )
    return card.thresholds


def _image_size(card: ModelCard) -> int | None:
    """Return the side of the square image in a card's input-shape, (side, side, 3)."""
    match card.input_shape:
        case (int(height), int(width), 3) if height == width:
            return height
    return None
