"""Lay a model into the real hub client's cache, so that `mindspore_hub.load` finds it there.

The client wants, in the model's folder, the card, the checkpoint and a folder named after the
last part of the card's repo-link with the entry file in it. It opens every asset-link of the card
first, and gives up where one fails: so the laid card links to the laid checkpoint, and lists no
asset until that is there.
"""

import re
from pathlib import Path

from ghostnet.errors import CardError
from ghostnet.hub.cache import find_card, inside, model_folder
from ghostnet.hub.card import Asset, ModelCard, read_card
from ghostnet.hub.fetch import fetch, place
from ghostnet.hub.store import write_text
from ghostnet.hub.web import DEFAULT_LIMITS, Limits

ENTRY_FILE = "mindspore_hub_conf.py"
ENTRY = '''"""The entry file that MindSpore Hub's client looks for."""

from ghostnet.network import create_network

__all__ = ["create_network"]
'''

ASSETS = re.compile(r"^asset:[ \t]*\n(?:(?![A-Za-z]|---).*\n)*", re.MULTILINE)


def install(
    uid: str, cache_dir: str | Path | None = None, *, limits: Limits = DEFAULT_LIMITS
) -> Path:
    """Lay card, entry folder and checkpoint into the client's cache, in this order.

    Without the checkpoint the client still works with ``pretrained=False``.

    Args:
        uid: of a card that ships with this package.
        cache_dir: root of the cache; by default ``GHOSTNET_CACHE`` or ``~/.mscache``.
        limits: of time and size.

    Returns:
        The checkpoint.

    Raises:
        CardError: this package has no such card.
        FetchError: the checkpoint is not to be had.
        IntegrityError: it is not the promised one.
    """
    source = find_card(uid)
    card = read_card(source)
    text = source.read_text(encoding="utf-8")
    folder = model_folder(uid, cache_dir)
    entry = inside(folder, folder / _entry_folder(card)) / ENTRY_FILE
    write_text(folder / source.name, _with_assets(text, ""))
    write_text(entry, ENTRY)
    checkpoint = _lay_checkpoint(card.checkpoint, folder, uid, limits)
    write_text(folder / source.name, _with_assets(text, _local_asset(card.checkpoint, checkpoint)))
    return checkpoint


def _entry_folder(card: ModelCard) -> str:
    """The name that the client gives to what it would clone from the card's repo-link."""
    if card.repo_link is None:
        raise CardError(f"{card.source}: repo-link: the hub client needs one, found none")
    return card.repo_link.rpartition("/")[2]


def _lay_checkpoint(asset: Asset, folder: Path, uid: str, limits: Limits) -> Path:
    if asset.local_file:
        return place(asset, asset.local_file, folder)
    return fetch(asset, folder, uid=uid, limits=limits)


def _with_assets(text: str, assets: str) -> str:
    """The card with `assets` for its list of them."""
    return ASSETS.sub(lambda _: assets, text, count=1)


def _local_asset(asset: Asset, path: Path) -> str:
    return (
        "asset:\n\n"
        f"- file-format: {asset.format}\n"
        f"  asset-link: <{path.resolve().as_uri()}>\n"
        f"  asset-sha256: {asset.sha256}\n\n"
    )
