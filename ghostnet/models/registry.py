"""The registry of models: a row for each, with all the names that it goes by."""

from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase

from ghostnet.errors import ModelError
from ghostnet.models.architectures import (
    GHOSTNET_1X,
    GHOSTNET_600M,
    GHOSTNET_INT8_1X,
    GHOSTNET_NOSE_1X,
    GHOSTNETV2_1X,
    GHOSTNETV2_ZOO_1X,
    GHOSTNETV3_1X,
    MOBILENET_V2_1X,
    REPGHOSTNET_1X,
    Architecture,
    scale_width,
)

DEFAULT_MODEL = "ghostnet/cpu/2.10/ghostnet_v1.0_pets"
"""UID of the default model, which ships with this package."""

BACKBONE_MODEL = "ghostnet/cpu/2.10/ghostnet_v1.0_imagenet_distilled"
"""UID of the model that new classes start from; it ships with this package."""


@dataclass(frozen=True)
class ModelEntry:
    """A registered model.

    Attributes:
        name: Name in this package, such as ``ghostnet_1x``.
        hub_name: Name on hub cards (``model-name``), such as ``GhostNet``.
        title: Name in the cards' tables, such as ``Ghost-1x``; empty if no table has it.
        architecture: Its table, with the size of its images.
        aliases: Names of other libraries, such as timm's ``ghostnet_100``.
        mindcv_name: Name in MindCV; None if MindCV does not have it.
        pretrained: UID of the hub model that ``pretrained=True`` loads, or None.
    """

    name: str
    hub_name: str
    architecture: Architecture
    title: str = ""
    aliases: tuple[str, ...] = ()
    mindcv_name: str | None = None
    pretrained: str | None = None

    @property
    def names(self) -> frozenset[str]:
        """Every name of the model, as `canonical` spells it."""
        spelled = (self.name, self.hub_name, self.title, *self.aliases)
        return frozenset(canonical(name) for name in spelled if name)


_WIDTHS = (
    ("ghostnetv2", "GhostNetV2", GHOSTNETV2_1X, (1.0, 1.3, 1.6)),
    ("ghostnetv3", "GhostNetV3", GHOSTNETV3_1X, (0.5, 1.0, 1.3, 1.6)),
    ("repghostnet", "RepGhostNet", REPGHOSTNET_1X, (0.5, 0.58, 0.8, 1.0, 1.11, 1.3, 1.5, 2.0)),
)
"""Networks that come in several widths: timm's name, the name on cards, the table of width 1."""


def _entries_of_widths() -> Iterator[ModelEntry]:
    """Yield an entry for each width, named as in timm: ``ghostnetv2_130`` is 1.3 times as wide."""
    for name, hub_name, architecture, widths in _WIDTHS:
        for width in widths:
            percent = f"{round(width * 100):03d}"
            yield ModelEntry(
                f"{name}_{percent}",
                f"{hub_name}_{percent}",
                scale_width(architecture, width),
            )


_ENTRIES = (
    ModelEntry(
        "ghostnet_1x",
        "GhostNet",
        GHOSTNET_1X,
        title="Ghost-1x",
        aliases=("ghostnet_100", "ghostnet_1.0x"),
        mindcv_name="ghostnet_100",
        pretrained=BACKBONE_MODEL,
    ),
    ModelEntry(
        "ghostnet_nose_1x",
        "GhostNet_nose",
        GHOSTNET_NOSE_1X,
        title="Ghost-1x without SE",
        aliases=("ghostnet_nose_100",),
    ),
    ModelEntry(
        "ghostnet_int8_1x",
        "GhostNet_int8",
        GHOSTNET_INT8_1X,
        aliases=("ghostnet_quant",),
        pretrained="noah-cvlab/gpu/1.0/ghostnet_int8_v1.0_oxford_pets",
    ),
    ModelEntry(
        "ghostnet_600m",
        "GhostNet-600",
        GHOSTNET_600M,
        title="Ghost-600",
        aliases=("ghostnet_600",),
        pretrained="noah-cvlab/gpu/1.0/ghostnet-600_v1.0_oxford_pets",
    ),
    ModelEntry(
        "ghostnet_050",
        "GhostNet_050",
        scale_width(GHOSTNET_1X, 0.5),
        aliases=("ghostnet_0.5x",),
        mindcv_name="ghostnet_050",
    ),
    ModelEntry(
        "ghostnet_130",
        "GhostNet_130",
        scale_width(GHOSTNET_1X, 1.3),
        aliases=("ghostnet_1.3x",),
        mindcv_name="ghostnet_130",
    ),
    *_entries_of_widths(),
    ModelEntry("ghostnetv2_1x", "GhostNetV2-1x", GHOSTNETV2_ZOO_1X),
    ModelEntry(
        "mobilenet_v2_1x",
        "MobileNetV2-1x",
        MOBILENET_V2_1X,
        aliases=("mobilenet_v2_100",),
        mindcv_name="mobilenet_v2_100",
    ),
)


MODELS = {entry.name: entry for entry in _ENTRIES}
"""The registered models, by name."""


def canonical(name: str) -> str:
    """Spell a name in lower case, with ``_`` for spaces and hyphens."""
    return name.lower().replace("-", "_").replace(" ", "_")


def is_model(name: str) -> bool:
    """Whether a name, an alias included, is registered."""
    return any(canonical(name) in entry.names for entry in MODELS.values())


def find_model(name: str) -> ModelEntry:
    """Find a model by any of its names, in any case.

    Raises:
        ModelError: The name is not registered.
    """
    for entry in MODELS.values():
        if canonical(name) in entry.names:
            return entry
    raise ModelError(
        f"model {name!r} is not registered; the registered models are {', '.join(MODELS)}"
    )


def registered_weights(name: str) -> str:
    """Return the UID of the weights that are registered for a model.

    Raises:
        ModelError: The name is not registered, or no weights are registered for it.
    """
    entry = find_model(name)
    if entry.pretrained is None:
        raise ModelError(
            f"{entry.name}: no weights are registered; convert a published checkpoint with "
            "`ghostnet convert`, or give the UID, the card or the checkpoint of a model"
        )
    return entry.pretrained


def model_of(architecture: Architecture) -> ModelEntry | None:
    """Find the model that has an architecture, its branches merged or not; None without one."""
    entries = (
        entry for entry in MODELS.values() if entry.architecture.merged == architecture.merged
    )
    return next(entries, None)


def network_name(architecture: Architecture) -> str:
    """Name the network of an architecture: its model, and whether its branches are merged."""
    entry = model_of(architecture)
    name = entry.name if entry else "a network of your own"
    return f"{name}, {architecture.form}" if architecture.form != "plain" else name


def list_models(pattern: str = "*", *, pretrained: bool = False) -> list[str]:
    """List the names of the registered models.

    Args:
        pattern: Shell pattern that a name, or an alias, has to match, such as ``*nose*``.
        pretrained: List only models that have weights.

    Examples:
        >>> list_models("*1x")
        ['ghostnet_1x', 'ghostnet_nose_1x', 'ghostnet_int8_1x', 'ghostnetv2_1x', 'mobilenet_v2_1x']
    """
    wanted = canonical(pattern)
    return [
        entry.name
        for entry in MODELS.values()
        if (entry.pretrained or not pretrained)
        and any(fnmatchcase(name, wanted) for name in entry.names)
    ]
