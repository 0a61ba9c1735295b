"""Names of hub models, and where their cards and files lie: in this package and in the cache.

The cache has the layout of the real hub client, so that a file which either fetched serves both.
"""

import os
import re
from pathlib import Path

import ghostnet
from ghostnet.errors import CardError, FetchError
from ghostnet.hub.card import Asset

DEFAULT_ROOT = "~/.mscache"

# <user>[/<backend>]/<version>/<name>
UID = re.compile(r"([A-Za-z0-9][\w.+-]{0,127}/){2,3}[A-Za-z0-9][\w.+-]{0,127}", re.ASCII)


def is_uid(name: str) -> bool:
    """Whether a name has the form of a UID, rather than of a path, a URL or nothing at all."""
    return UID.fullmatch(name) is not None and not name.endswith(".md")


def check_uid(uid: str) -> str:
    """The UID itself, if it has the form of one.

    Raises:
        CardError: anything else: empty parts, ``..``, absolute paths, backslashes, ….
    """
    if not is_uid(uid):
        raise CardError(
            f"{uid!r} is not the name of a hub model: expected <user>/<backend>/<version>/<name> "
            "or <user>/<version>/<name>, each part of letters, digits and . _ + -"
        )
    return uid


def cache_root(cache_dir: str | Path | None = None) -> Path:
    """``cache_dir``, else the environment's ``GHOSTNET_CACHE``, else ``~/.mscache``."""
    return Path(cache_dir or os.environ.get("GHOSTNET_CACHE") or DEFAULT_ROOT).expanduser()


def model_folder(uid: str, cache_dir: str | Path | None = None) -> Path:
    """The folder in the cache for a model's card and files.

    Args:
        uid: name of the model.
        cache_dir: as in `cache_root`.

    Raises:
        CardError: ``uid`` has not the form of one.
        FetchError: as `inside`.
    """
    root = cache_root(cache_dir)
    return inside(root, root / Path(check_uid(uid)).parent)


def asset_folder(name: str | Path, asset: Asset, cache_dir: str | Path | None = None) -> Path:
    """The folder in the cache for a card's asset.

    That of the UID or, for a card that came from a path or a URL, one named after the hash.

    Args:
        name: what the card was asked for by.
        asset: of that card.
        cache_dir: as in `cache_root`.

    Raises:
        FetchError: as `inside`.
    """
    if is_uid(str(name)):
        return model_folder(str(name), cache_dir)
    root = cache_root(cache_dir)
    return inside(root, root / "by-sha256" / str(asset.sha256))


def inside(root: Path, folder: Path) -> Path:
    """A folder below another, unless a symbolic link on the way leads elsewhere.

    Args:
        root: the upper folder, which may be a link itself.
        folder: returned as it is.

    Raises:
        FetchError: there is such a link.
    """
    place = Path(os.path.realpath(folder))
    if not place.is_relative_to(os.path.realpath(root)):
        raise FetchError(
            f"{folder}: expected a folder in the cache, found a symbolic link to {place}; remove "
            "the link, or name that cache itself with --cache-dir or GHOSTNET_CACHE"
        )
    return folder


def assets_folder() -> Path:
    """The folder of the cards that ship with this package: in the wheel, or in a checkout."""
    package = Path(ghostnet.__file__).parent
    inside = package / "assets"
    return inside if inside.is_dir() else package.parent / "assets"


def list_cards() -> tuple[str, ...]:
    """The UIDs of the cards that ship with this package, in alphabetical order."""
    root = assets_folder()
    names = (path.relative_to(root).with_suffix("").as_posix() for path in root.rglob("*.md"))
    return tuple(sorted(name for name in names if is_uid(name)))


def find_card(uid: str) -> Path:
    """The file of a card that ships with this package.

    Raises:
        CardError: ``uid`` is not a name, or not the name of one of them.
    """
    if check_uid(uid) not in list_cards():
        known = "\n".join(list_cards())
        raise CardError(f"no card named {uid} ships with this package; the cards are:\n{known}")
    return assets_folder() / f"{uid}.md"
