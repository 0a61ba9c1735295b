"""The catalog of hub models: their names, and the cards that ship with this package."""

import csv
import re
from functools import cache
from pathlib import Path
from string import Template

import ghostnet
from ghostnet.errors import CardError
from ghostnet.hub.card import ModelCard, parse_card, read_card
from ghostnet.models.registry import is_model, registered_weights

RELEASES = Path("mindspore/releases.csv")
"""Table of the cards that templates beside it make, in the folder of the shipped cards."""

# <user>[/<backend>]/<version>/<name>
UID = re.compile(r"([A-Za-z0-9][\w.+-]{0,127}/){2,3}[A-Za-z0-9][\w.+-]{0,127}", re.ASCII)


def is_uid(name: str) -> bool:
    """Whether a name has the form of a UID, rather than of a path or a URL."""
    return UID.fullmatch(name) is not None and not name.endswith(".md")


def check_uid(uid: str) -> str:
    """Return the UID.

    Raises:
        CardError: It does not have the form of one: an empty part, ``..``, a backslash, ….
    """
    if not is_uid(uid):
        raise CardError(
            f"{uid!r} is not the UID of a hub model: that is <user>/<backend>/<version>/<name> or "
            "<user>/<version>/<name>, and its parts consist of letters, digits and . _ + -"
        )
    return uid


def find_card(name: str | Path, *, allow_short_hash: bool = False) -> ModelCard:
    """Read the card that a UID, a path, a URL or the name of a network names.

    Args:
        name: UID, path, URL, or registered name of a network with weights.
        allow_short_hash: Accept the first digits of a SHA-256 for the files of the card, with a
            warning that says what they prove.

    Raises:
        CardError: There is no such card, or it is malformed.
        FetchError: The URL does not answer.
        ModelError: The network has no registered weights.
    """
    card = _read_card(str(name))
    return card.with_short_hashes() if allow_short_hash else card


def _read_card(name: str) -> ModelCard:
    if name.startswith(("https://", "http://")):
        from ghostnet.web import fetch_text  # requests takes 0.1 s to import

        return parse_card(fetch_text(name), name)
    if name.endswith(".md"):
        return read_card(name)
    if is_model(name):
        name = registered_weights(name)
    return parse_card(shipped_text(name), name, shipped_card(name).parent)


def shipped_card(uid: str) -> Path:
    """Return the file of a card that ships with this package, or of the template that makes it.

    Raises:
        CardError: The UID is malformed, or no card with it ships.
    """
    if check_uid(uid) not in shipped_uids():
        known = "\n".join(shipped_uids())
        raise CardError(f"{uid}: no card with this UID ships with this package; these do:\n{known}")
    row = releases().get(uid)
    return assets_folder() / (f"{RELEASES.parent}/{row['name']}.md" if row else f"{uid}.md")


def shipped_text(uid: str) -> str:
    """Return the text of a card that ships with this package.

    Raises:
        CardError: As `shipped_card`.
    """
    text = shipped_card(uid).read_text(encoding="utf-8")
    row = releases().get(uid)
    return Template(text).substitute(row, uid=uid) if row else text


@cache
def releases() -> dict[str, dict[str, str]]:
    """Return the rows of the cards that the hub repeats for each release of MindSpore.

    Returns:
        For each UID, the name of a template and the values of its placeholders.
    """
    with (assets_folder() / RELEASES).open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return {f"{RELEASES.parent}/{row['version']}/{row['name']}": row for row in rows}


@cache
def shipped_uids() -> tuple[str, ...]:
    """List the UIDs of the cards that ship with this package, in order: 1.9 before 1.10."""
    root = assets_folder()
    names = (path.relative_to(root).with_suffix("").as_posix() for path in root.rglob("*.md"))
    return tuple(sorted([*releases(), *filter(is_uid, names)], key=_natural))


def _natural(uid: str) -> list[tuple[int, str]]:
    """Return a key by which numbers are ordered by their values."""
    parts = re.findall(r"\d+|\D+", uid)
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts]


def prerequisites(card: ModelCard) -> str:
    """Say in a few words what the model of a card needs before it can be loaded.

    Args:
        card: A card that ships with this package.
    """
    if card.is_detector:
        return "an object detector: not supported"
    asset = card.checkpoint
    if asset.local_file:
        return "nothing: bundled"
    wanted = ["download"]
    if asset.has_short_hash:
        wanted.append("--short-hash")
    return ", ".join(wanted)


def assets_folder() -> Path:
    """Return the folder of the shipped cards: in the wheel, or in a checkout."""
    package = Path(ghostnet.__file__).parent
    inside = package / "assets"
    return inside if inside.is_dir() else package.parent / "assets"
