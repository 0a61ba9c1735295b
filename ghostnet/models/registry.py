"""The registry of models: a row for each, with all the names that it goes by."""

from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from typing import NamedTuple

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


class _Scalable(NamedTuple):
    """A network that comes in several widths.

    Attributes:
        name: Name in timm, without the width.
        hub_name: Name on cards, likewise.
        architecture: Its table of width 1.
        percents: Registered widths, in percent of the table's.
    """

    name: str
    hub_name: str
    architecture: Architecture
    percents: tuple[int, ...] = ()

    def entry(self, percent: int) -> ModelEntry:
        """Return the entry of a width; timm's ``ghostnetv2_130`` is 1.3 times as wide."""
        table = scale_width(self.architecture, percent / 100)
        return ModelEntry(f"{self.name}_{percent:03d}", f"{self.hub_name}_{percent:03d}", table)


_SCALABLE = (
    _Scalable("ghostnet", "GhostNet", GHOSTNET_1X),
    _Scalable("ghostnetv2", "GhostNetV2", GHOSTNETV2_1X, (100, 130, 160)),
    _Scalable("ghostnetv3", "GhostNetV3", GHOSTNETV3_1X, (50, 100, 130, 160)),
    _Scalable("repghostnet", "RepGhostNet", REPGHOSTNET_1X, (50, 58, 80, 100, 111, 130, 150, 200)),
)

_PERCENTS = sorted(
    range(10, 401),
    key=lambda percent: (percent % 25 > 0, percent % 10 > 0, percent % 5 > 0, percent),
)
"""Widths that need no entry, the roundest first."""


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
    *(scalable.entry(percent) for scalable in _SCALABLE for percent in scalable.percents),
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
    """Whether a name, an alias included, is that of a model."""
    return _find(name) is not None


def find_model(name: str) -> ModelEntry:
    """Find a model by any of its names, in any case.

    A GhostNet, GhostNetV2, GhostNetV3 or RepGhost of another width is named like those that are
    registered: ``ghostnet_075`` is three quarters as wide as ``ghostnet_100``.

    Raises:
        ModelError: There is no such model.
    """
    found = _find(name)
    if found is None:
        raise ModelError(
            f"model {name!r} is not registered; the registered models are {', '.join(MODELS)}; "
            "other widths are named like ghostnet_075"
        )
    return found


def _find(name: str) -> ModelEntry | None:
    """Find a model that is registered, or of another width."""
    wanted = canonical(name)
    registered = (entry for entry in MODELS.values() if wanted in entry.names)
    return next(registered, None) or _parsed(wanted)


def _parsed(name: str) -> ModelEntry | None:
    """Return the model of a name that ends in its width; None for other names."""
    base, _, percent = name.rpartition("_")
    if len(percent) != 3 or not percent.isdecimal() or int(percent) not in _PERCENTS:
        return None
    return next((own.entry(int(percent)) for own in _SCALABLE if own.name == base), None)


def of_width(entry: ModelEntry, width: float) -> ModelEntry:
    """Return a model in another width.

    Raises:
        ModelError: It does not come in this width.
    """
    percent = round(100 * width)
    bases = {name[:-4] for name in entry.names if _parsed(name)}
    for scalable in _SCALABLE:
        if scalable.name in bases and percent in _PERCENTS:
            return find_model(f"{scalable.name}_{percent:03d}")
    raise ModelError(
        f"{entry.name} does not come in width {width:g}; "
        f"{', '.join(scalable.name for scalable in _SCALABLE)} do, from 0.1 to 4"
    )


@cache
def other_widths() -> tuple[ModelEntry, ...]:
    """Return the networks of every width, the roundest first."""
    return tuple(scalable.entry(percent) for percent in _PERCENTS for scalable in _SCALABLE)


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
    for entries in (MODELS.values, other_widths):
        for entry in entries():
            if entry.architecture.merged == architecture.merged:
                return entry
    return None


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
