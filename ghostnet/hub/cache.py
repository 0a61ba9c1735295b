"""The cache of checkpoints, in the layout of the hub client, so that a file serves both."""

import os
from pathlib import Path

from ghostnet.errors import FetchError
from ghostnet.hub.card import Asset
from ghostnet.hub.catalog import check_uid, is_uid

DEFAULT_ROOT = "~/.mscache"


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
            f"{root}: this user has no home; name a folder for the cache with --cache-dir or "
            "GHOSTNET_CACHE"
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
            f"{folder}: a symbolic link leads out of the cache, to {place}; remove the link, or "
            "name that folder itself with --cache-dir or GHOSTNET_CACHE"
        )
    return folder
