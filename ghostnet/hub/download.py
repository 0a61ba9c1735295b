"""Assets of hub cards as verified files: from the cache, from their link, or placed by hand."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias
from urllib.parse import urlsplit

from ghostnet.errors import FetchError, IntegrityError
from ghostnet.hub.card import RELATIVE_LINK, SHA256_DIGITS, Asset, ModelCard
from ghostnet.hub.registry import asset_folder, card_architecture
from ghostnet.hub.verified_file import (
    check_file,
    copy_verified,
    found_hash,
    locked,
    matches,
    set_aside,
    store,
)

if TYPE_CHECKING:
    from ghostnet.hub.http import Limits

Watch: TypeAlias = Callable[[str, int | None, Iterator[bytes]], Iterator[bytes]]
"""Passes on the chunks of a download, given the name of the file and its length if known."""


def unwatched(name: str, length: int | None, chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Pass on the chunks of a download and show nothing."""
    return chunks


def fetch_checkpoint(
    name: str | Path,
    card: ModelCard,
    *,
    source: Path | None = None,
    force: bool = False,
    cache_dir: str | Path | None = None,
    watch: Watch = unwatched,
) -> Path:
    """Return the verified checkpoint file of a card, downloaded if need be.

    Args:
        name: UID, path or URL of the card; decides the place in the cache.
        card: The card.
        source: File to place in the cache instead of downloading one.
        force: Download even where the cache has the right file.
        cache_dir: Root of the cache; by default ``GHOSTNET_CACHE`` or ``~/.mscache``.
        watch: Shows the progress of the download.

    Raises:
        CardError: The card offers no checkpoint, or one of a network that this package lacks.
        FetchError: The file can be neither found nor downloaded.
        IntegrityError: The file does not have the card's SHA-256.
    """
    card_architecture(card)  # what no network takes is not fetched
    asset = card.checkpoint
    folder = asset_folder(name, asset, cache_dir)
    if source:
        return place(asset, source, folder)
    return fetch(asset, folder, uid=str(name), force=force, watch=watch)


def fetch(
    asset: Asset,
    folder: Path,
    *,
    uid: str = "UID",
    force: bool = False,
    limits: "Limits | None" = None,
    watch: Watch = unwatched,
) -> Path:
    """Return the verified file of an asset: in ``folder``, or beside the card for a relative link.

    A file that is already there is hashed. A wrong one is set aside, logged and fetched again.

    Args:
        asset: Asset of a card.
        folder: Its folder in the cache.
        uid: UID, path or URL of the card, for the advice in errors.
        force: Download even where the right file is there.
        limits: Limits of time and size; by default `ghostnet.hub.http.DEFAULT_LIMITS`.
        watch: Shows the progress of the download.

    Raises:
        FetchError: The file can be neither found nor downloaded.
        IntegrityError: The file is not the promised one, or the card does not promise one.
    """
    expected = expected_hash(asset)
    target = location(asset, folder)
    if asset.local_file:
        check_file(target, expected)
        return target
    if not force and matches(found_hash(target), expected):
        return target
    with locked(folder):
        found = "a copy to replace" if force else set_aside(target, expected)
        if found:
            try:
                _download(asset.link, target, expected, limits, watch)
            except (FetchError, IntegrityError) as error:
                raise type(error)(f"{error}\n{_advice(target, expected, found, uid)}") from None
    return target


def location(asset: Asset, folder: Path) -> Path:
    """Return the path where `fetch` finds or leaves the file of an asset.

    Raises:
        FetchError: The link has no file name.
    """
    return asset.local_file or folder / _file_name(asset)


def place(asset: Asset, source: Path, folder: Path) -> Path:
    """Copy a file to where `fetch` looks for an asset, if its SHA-256 is right.

    Raises:
        FetchError: ``source`` cannot be read, or ``folder`` cannot be written.
        IntegrityError: The SHA-256 of ``source`` is another.
    """
    expected = expected_hash(asset)
    target = folder / _file_name(asset)
    copy_verified(source, target, expected)
    return target


def expected_hash(asset: Asset) -> str:
    """Return the SHA-256 that the file of an asset has to have, or its first digits if allowed.

    Raises:
        IntegrityError: The card does not give it.
    """
    if asset.sha256 is None or not asset.verifiable:
        digits = len(asset.sha256 or "")
        allow = "; --short-hash (allow_short_hash=True) accepts these digits" if digits else ""
        raise IntegrityError(
            f"{asset.link}: expected a SHA-256 of {SHA256_DIGITS} digits on the card, found "
            f"{digits or 'none'}: a file that cannot be verified is not loaded{allow}"
        )
    return asset.sha256


def _file_name(asset: Asset) -> str:
    name = urlsplit(asset.link).path.rpartition("/")[2]
    if not RELATIVE_LINK.fullmatch(name):
        raise FetchError(f"{asset.link}: expected a link that ends in a file name, found {name!r}")
    return name


def _download(
    link: str, target: Path, expected: str, limits: "Limits | None", watch: Watch
) -> None:
    from ghostnet.hub import http  # requests takes 0.1 s to import

    def consume(length: int | None, chunks: Iterator[bytes]) -> None:
        store(watch(target.name, length, chunks), target, expected, link)

    http.read(link, consume, limits or http.DEFAULT_LIMITS)


def _advice(target: Path, expected: str, found: str, uid: str) -> str:
    return (
        f"expected {target} with SHA-256 {expected}, found {found}; "
        f"to place a copy by hand: ghostnet hub fetch {uid} --from FILE"
    )
