"""Names of hub models, the cards that ship with this package, and the cache of their files.

The cache has the layout of the hub client, so that a file fetched by either serves both.
"""

import os
import re
from functools import cache
from pathlib import Path

import ghostnet
from ghostnet.errors import CardError, FetchError
from ghostnet.hub.card import Asset, ModelCard, parse_card, read_card

DEFAULT_ROOT = "~/.mscache"

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
            f"{uid!r}: expected the UID of a hub model, <user>/<backend>/<version>/<name> or "
            "<user>/<version>/<name>, each part of letters, digits and . _ + -"
        )
    return uid


def find_card(name: str | Path) -> ModelCard:
    """Read the card that a UID, a path or a URL names.

    Raises:
        CardError: There is no such card, or it is malformed.
        FetchError: The URL does not answer.
    """
    text = str(name)
    if text.startswith(("https://", "http://")):
        from ghostnet.hub.http import fetch_text  # requests takes 0.1 s to import

        return parse_card(fetch_text(text), text)
    return read_card(Path(text) if text.endswith(".md") else shipped_card(text))


def shipped_card(uid: str) -> Path:
    """Return the file of a card that ships with this package.

    Raises:
        CardError: The UID is malformed, or no card with it ships.
    """
    if check_uid(uid) not in shipped_uids():
        known = "\n".join(shipped_uids())
        raise CardError(f"{uid}: expected the UID of a card that ships with this package:\n{known}")
    return assets_folder() / f"{uid}.md"


@cache
def shipped_uids() -> tuple[str, ...]:
    """List the UIDs of the cards that ship with this package, in alphabetical order."""
    root = assets_folder()
    names = (path.relative_to(root).with_suffix("").as_posix() for path in root.rglob("*.md"))
    return tuple(sorted(name for name in names if is_uid(name)))


def assets_folder() -> Path:
    """Return the folder of the shipped cards: in the wheel, or in a checkout."""
    package = Path(ghostnet.__file__).parent
    inside = package / "assets"
    return inside if inside.is_dir() else package.parent / "assets"


def cache_root(cache_dir: str | Path | None = None) -> Path:
    """Return ``cache_dir``, else the environment's ``GHOSTNET_CACHE``, else ``~/.mscache``.

    Raises:
        FetchError: The path begins with ``~`` and the user has no home.
    """
    root = Path(cache_dir or os.environ.get("GHOSTNET_CACHE") or DEFAULT_ROOT)
    try:
        return root.expanduser()
    except RuntimeError:
        raise FetchError(
            f"{root}: expected a user with a home, found none; name a folder for the cache with "
            "--cache-dir or GHOSTNET_CACHE"
        ) from None


def model_folder(uid: str, cache_dir: str | Path | None = None) -> Path:
    """Return the folder in the cache for a model's card and files.

    Args:
        uid: UID of the model.
        cache_dir: As in `cache_root`.

    Raises:
        CardError: The UID is malformed.
        FetchError: As `inside`.
    """
    root = cache_root(cache_dir)
    return inside(root, root / Path(check_uid(uid)).parent)


def asset_folder(name: str | Path, asset: Asset, cache_dir: str | Path | None = None) -> Path:
    """Return the folder of an asset: that of the card for a relative link, or one in the cache.

    In the cache it is the model's or, for a card that came from a path or a URL, one named after
    the hash.

    Args:
        name: UID, path or URL of the card.
        asset: Asset of that card.
        cache_dir: As in `cache_root`.

    Raises:
        CardError: The link is relative, but the card was not read from a file.
        FetchError: As `inside`.
    """
    if asset.local_file:
        return asset.local_file.parent
    if is_uid(str(name)):
        return model_folder(str(name), cache_dir)
    root = cache_root(cache_dir)
    return inside(root, root / "by-sha256" / str(asset.sha256))


def inside(root: Path, folder: Path) -> Path:
    """Return ``folder``, if no symbolic link leads it out of ``root``.

    Args:
        root: Upper folder, which may be a link itself.
        folder: Folder below it, which need not exist.

    Raises:
        FetchError: A symbolic link leads out of ``root``.
    """
    place = Path(os.path.realpath(folder))
    if not place.is_relative_to(os.path.realpath(root)):
        raise FetchError(
            f"{folder}: expected a folder in the cache, found a symbolic link to {place}; remove "
            "the link, or name that cache itself with --cache-dir or GHOSTNET_CACHE"
        )
    return folder
