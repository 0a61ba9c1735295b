"""Hub cards: a Markdown file read into a typed, frozen `ModelCard`, or refused with a reason."""

import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PositiveInt,
    StringConstraints,
    ValidationError,
)

from ghostnet.data.label_lists import label_list
from ghostnet.errors import CardError, IntegrityError
from ghostnet.hub.claims import ClaimTable, read_claims
from ghostnet.hub.front_matter import FrontMatter, Place, Value, read_front_matter
from ghostnet.models import Architecture, find_model
from ghostnet.models.registry import canonical, is_model

MAX_BYTES = 1024 * 1024
SHA256_DIGITS = 64

DETECTORS = frozenset({"ghostnet_ssd", "ssd_ghostnet"})
"""Names of the hub's object detectors with a GhostNet backbone, as `canonical` spells them."""

# Attribute → field of a card. Other fields are ignored.
CARD_FIELDS = {
    "name": "model-name",
    "backbone": "backbone-name",
    "module_type": "module-type",
    "fine_tunable": "fine-tunable",
    "input_shape": "input-shape",
    "model_version": "model-version",
    "dataset": "train-dataset",
    "accuracy": "accuracy",
    "evaluation": "evaluation",
    "author": "author",
    "repo_link": "repo-link",
    "user_id": "user-id",
    "train_backends": "train-backend",
    "infer_backends": "infer-backend",
    "mindspore_version": "mindspore-version",
    "assets": "asset",
    "license": "license",
    "summary": "summary",
    "labels": "labels",
    "thresholds": "thresholds",
}
ASSET_FIELDS = {"format": "file-format", "link": "asset-link", "sha256": "asset-sha256"}

# Values that stand for an absent one.
ABSENT: tuple[Value, ...] = ("", "-", "N/A")

# `vit-base: 83.78 / swin-base: 84.03`: an accuracy for each of several models.
ACCURACIES = re.compile(r"[\w.-]+: \d+(\.\d+)?( / [\w.-]+: \d+(\.\d+)?)*")

URL = re.compile(r"[a-z][a-z0-9+.-]*://.+", re.IGNORECASE)
RELATIVE_LINK = re.compile(r"\w[\w.@+=-]*(/\w[\w.@+=-]*)*")


def _check_link(link: str) -> str:
    """Strip `<…>` from a link that is a URL or a file beside the card; refuse any other."""
    link = link.removeprefix("<").removesuffix(">").strip()
    if URL.fullmatch(link):
        urlsplit(link)
    elif not RELATIVE_LINK.fullmatch(link):
        raise ValueError("must be a URL or the name of a file beside the card")
    return link


def _listed_labels(labels: object) -> object:
    return label_list(labels) if isinstance(labels, str) else labels


def _split_backends(text: object) -> object:
    return tuple(text.lower().split("/")) if isinstance(text, str) else text


Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
Link = Annotated[Text, AfterValidator(_check_link)]
Shape = tuple[PositiveInt, ...]
Backends = Annotated[tuple[Text, ...], BeforeValidator(_split_backends)]
Labels = Annotated[tuple[Text, ...], BeforeValidator(_listed_labels)]
Threshold = Annotated[float, Field(gt=0, lt=1)]
Hex = Annotated[str, StringConstraints(pattern=r"^[0-9A-Fa-f]{8,64}$", to_lower=True)]


class Asset(BaseModel):
    """A file that a card offers.

    Attributes:
        format: Format in lower case, without a dot: ``ckpt``, ``mindir``, ….
        link: URL, or name of a file beside the card.
        sha256: 8 to 64 hexadecimal digits, or None. Loading a file takes all 64, unless
            ``allow_short_hash`` is set.
        folder: Folder of the card; a relative link starts there.
        allow_short_hash: Whether the first digits of a SHA-256 are enough to load a file.
    """

    model_config = ConfigDict(frozen=True)

    format: Annotated[Text, AfterValidator(lambda text: text.lower().removeprefix("."))]
    link: Link
    sha256: Hex | None = None
    folder: Path | None = None
    allow_short_hash: bool = Field(default=False, exclude=True)

    @property
    def has_short_hash(self) -> bool:
        """Whether the card gives only the first digits of a SHA-256."""
        return self.sha256 is not None and len(self.sha256) < SHA256_DIGITS

    @property
    def verifiable(self) -> bool:
        """Whether the card gives a whole SHA-256 or, where they are allowed, its first digits."""
        return self.sha256 is not None and (self.allow_short_hash or not self.has_short_hash)

    @property
    def expected_hash(self) -> str:
        """The SHA-256 that the file must have, or its first digits if they are allowed.

        Raises:
            IntegrityError: The card does not give it.
        """
        if self.sha256 is None or not self.verifiable:
            digits = len(self.sha256 or "")
            allow = "; --short-hash (allow_short_hash=True) accepts these digits" if digits else ""
            raise IntegrityError(
                f"{self.link}: the card gives {digits or 'none'} of the {SHA256_DIGITS} digits of "
                f"its SHA-256, and a file that cannot be verified is not loaded{allow}"
            )
        return self.sha256

    @property
    def local_file(self) -> Path | None:
        """The file that a relative link points to; None for a URL.

        Raises:
            CardError: The link is relative, but the card was not read from a file.
        """
        if URL.fullmatch(self.link):
            return None
        if self.folder is None:
            raise CardError(
                f"asset-link: {self.link!r} must be a URL, since this card is not a local file"
            )
        return self.folder / self.link


class ModelCard(BaseModel):
    """A hub card.

    Attributes:
        input_shape: (height, width, 3) in pixels, or one such shape for each input.
        accuracy: Top-1 accuracy as written: between 0 and 1, or in percent.
        labels: Names of the classes, listed on the card or taken from the data set that it names.
            The hub's own cards do not have this field.
        thresholds: Probability from which each label is given, if images may have several labels;
            also a field of our own.
        claims: Tables of the Performance section.
        source: UID, file or URL that the card was read from.
    """

    model_config = ConfigDict(frozen=True)

    name: Text
    backbone: Text
    module_type: Text
    fine_tunable: bool
    input_shape: Shape | tuple[Shape, ...] | None = None
    model_version: Text
    dataset: Text | None = None
    accuracy: Annotated[float, Field(ge=0, le=100)] | None = None
    evaluation: Text | None = None
    author: Text
    repo_link: Link | None = None
    user_id: Text
    train_backends: Backends = ()
    infer_backends: Backends = ()
    mindspore_version: Text
    assets: tuple[Asset, ...] = ()
    license: Text
    summary: Text
    labels: Labels | None = None
    thresholds: tuple[Threshold, ...] | None = None
    claims: tuple[ClaimTable, ...] = ()
    source: str = ""

    @property
    def checkpoint(self) -> Asset:
        """The MindSpore checkpoint: the last asset of that format, as in the hub client.

        Raises:
            CardError: The card offers no checkpoint.
        """
        checkpoints = [asset for asset in self.assets if asset.format == "ckpt"]
        if not checkpoints:
            formats = ", ".join(asset.format for asset in self.assets) or "no assets"
            raise CardError(f"{self.source}: asset: there is no checkpoint (ckpt), only {formats}")
        return checkpoints[-1]

    @property
    def is_detector(self) -> bool:
        """Whether the model is the hub's object detector with a GhostNet backbone."""
        return canonical(self.name) in DETECTORS

    @property
    def architecture(self) -> Architecture:
        """The architecture of the model.

        Raises:
            CardError: The model is an object detector, or not registered.
        """
        if self.is_detector:
            raise CardError(
                f"{self.source}: {self.name} is an object detector with a GhostNet backbone; this "
                "package classifies images and detects no objects"
            )
        if not is_model(self.name):
            raise CardError(
                f"{self.source}: model-name: this package has no model named {self.name!r}; "
                "ghostnet.list_models() lists those that it has"
            )
        return find_model(self.name).architecture

    def with_short_hashes(self) -> "ModelCard":
        """Return the card with short hashes allowed; a warning says what each of them proves."""
        for asset in self.assets:
            if asset.has_short_hash:
                digits = len(asset.sha256 or "")
                warnings.warn(
                    f"{asset.link}: the card gives {digits} of the {SHA256_DIGITS} digits of the "
                    f"SHA-256: {4 * digits} bits show that the file was not damaged by accident, "
                    "but not that it is the published one, since another file with the same digits "
                    f"takes 2^{4 * digits} trials to find",
                    stacklevel=4,
                )
        allowed = (asset.model_copy(update={"allow_short_hash": True}) for asset in self.assets)
        return self.model_copy(update={"assets": tuple(allowed)})


def read_card(path: str | Path) -> ModelCard:
    """Read a card from a file of at most 1 MiB.

    Raises:
        CardError: The file is not a card; the message names the file, the line and the field.

    Examples:
        >>> card = read_card("assets/noah-cvlab/gpu/1.0/ghostnet_v1.0_oxford_pets.md")
        >>> card.name, card.accuracy
        ('GhostNet', 0.8245)
    """
    path = Path(path)
    try:
        if not path.is_file():
            raise CardError(f"{path}: there is no such card")
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
        text = content.decode("utf-8-sig")
    except OSError as error:
        raise CardError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise CardError(f"{path}, line {line}: not UTF-8 text") from None
    if len(content) > MAX_BYTES:
        raise CardError(f"{path}: a card may have {MAX_BYTES:,} bytes, and this file has more")
    return parse_card(text, str(path), path.parent)


def parse_card(text: str, source: str, folder: Path | None = None) -> ModelCard:
    """Read a card from its text.

    Args:
        text: The whole card, front matter and body.
        source: What errors call the card.
        folder: Folder that relative links start from; None for a card that is not a file.

    Raises:
        CardError: As `read_card`.
    """
    front = read_front_matter(text, source)
    fields = _attributes(front.values, CARD_FIELDS)
    if isinstance(fields.get("assets"), list):
        fields["assets"] = [_asset_fields(asset, folder) for asset in fields["assets"]]
    if ACCURACIES.fullmatch(str(fields.get("accuracy"))):
        fields.setdefault("evaluation", fields.pop("accuracy"))
    try:
        return ModelCard(**fields, claims=read_claims(front.body), source=source)
    except ValidationError as error:
        raise CardError(_explain(error, front, source)) from None


def _attributes(values: Mapping[str, Value], names: Mapping[str, str]) -> dict[str, Any]:
    """Return the values of the known fields that a card fills in, by attribute."""
    return {
        attribute: values[name]
        for attribute, name in names.items()
        if name in values and values[name] not in ABSENT
    }


def _asset_fields(asset: Value, folder: Path | None) -> Any:
    """Return the fields of one asset; validation reports what is not a mapping."""
    if not isinstance(asset, dict):
        return asset
    return _attributes(asset, ASSET_FIELDS) | {"folder": folder}


def _explain(error: ValidationError, front: FrontMatter, source: str) -> str:
    """Describe each problem in one line: file, line, field, problem and value found."""
    problems: dict[str, str] = {}
    for detail in error.errors(include_url=False):
        place = _place(detail["loc"], front)
        field = " → ".join(str(part + 1 if isinstance(part, int) else part) for part in place)
        problem = detail["msg"].removeprefix("Value error, ")
        found = "" if detail["type"] == "missing" else f", found {str(detail['input'])[:80]!r}"
        problems.setdefault(field, f"{source}, line {front.line(place)}: {field}: {problem}{found}")
    return "\n".join(problems.values())


def _place(location: tuple[int | str, ...], front: FrontMatter) -> Place:
    """Translate pydantic's location of a problem to a place in the front matter."""
    place: Place = ()
    for part in location:
        names = ASSET_FIELDS if place else CARD_FIELDS
        step = names.get(part, part) if isinstance(part, str) else part
        if part not in names and (*place, step) not in front.lines:
            break
        place = (*place, step)
    return place
