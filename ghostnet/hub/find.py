"""From the name of a model to its card, and from the card to its verified checkpoint file."""

from pathlib import Path

from ghostnet.hub.cache import asset_folder, find_card
from ghostnet.hub.card import ModelCard, parse_card, read_card
from ghostnet.hub.fetch import fetch, place
from ghostnet.hub.web import fetch_text


def find(name: str | Path) -> ModelCard:
    """The card behind a UID, a path or a URL.

    Raises:
        CardError: there is none, or it is a bad one.
        FetchError: the URL does not answer.
    """
    text = str(name)
    if text.startswith(("https://", "http://")):
        return parse_card(fetch_text(text), text)
    return read_card(Path(text) if text.endswith(".md") else find_card(text))


def fetch_checkpoint(
    name: str | Path,
    card: ModelCard,
    *,
    source: Path | None = None,
    force: bool = False,
    cache_dir: str | Path | None = None,
) -> Path:
    """The verified checkpoint file of a card.

    Args:
        name: what the card was asked for by; it decides the place in the cache.
        card: as `find` gives it.
        source: a file to place in the cache instead of downloading one.
        force: download even where the cache has the right file.
        cache_dir: root of the cache; by default ``GHOSTNET_CACHE`` or ``~/.mscache``.

    Raises:
        CardError: the card offers no checkpoint.
        FetchError, IntegrityError: there is no file, or not the promised one.
    """
    asset = card.checkpoint
    folder = asset_folder(name, asset, cache_dir)
    if source:
        return place(asset, source, folder)
    return fetch(asset, folder, uid=str(name), force=force)
