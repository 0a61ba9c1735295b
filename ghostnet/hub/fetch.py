"""Assets of hub cards as verified files: from the cache, from their link, or placed by hand."""

import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

from ghostnet.errors import FetchError, IntegrityError
from ghostnet.hub import web
from ghostnet.hub.card import RELATIVE_LINK, Asset
from ghostnet.hub.store import check_file, copy_verified, file_hash, locked, set_aside, store
from ghostnet.hub.web import DEFAULT_LIMITS, Limits


def fetch(
    asset: Asset,
    folder: Path,
    *,
    uid: str = "UID",
    force: bool = False,
    limits: Limits = DEFAULT_LIMITS,
) -> Path:
    """The verified file of an asset: in ``folder``, or beside the card where the link is relative.

    A file that is already there is hashed; a wrong one is set aside, reported on the log and
    fetched anew.

    Args:
        asset: of a card.
        folder: in the cache.
        uid: what the card was asked for by, for the advice in errors.
        force: fetch even where the file is right.
        limits: of time and size.

    Raises:
        IntegrityError: the bytes, or the card's hash, cannot be trusted.
        FetchError: there is no file to be had.
    """
    expected = _expected(asset)
    target = location(asset, folder)
    if asset.local_file:
        check_file(target, expected)
        return target
    if not force and file_hash(target) == expected:
        return target
    with locked(folder):
        found = "a copy to replace" if force else set_aside(target, expected)
        if found:
            try:
                _download(asset.link, target, expected, limits)
            except (FetchError, IntegrityError) as error:
                raise type(error)(f"{error}\n{_advice(target, expected, found, uid)}") from None
    return target


def location(asset: Asset, folder: Path) -> Path:
    """Where `fetch` finds or leaves the file of an asset; there need not be one.

    Raises:
        FetchError: the link has no file name.
    """
    return asset.local_file or folder / _file_name(asset)


def place(asset: Asset, source: Path, folder: Path) -> Path:
    """Copy a file to where `fetch` looks for an asset, if its SHA-256 is right.

    Raises:
        IntegrityError: it is not.
        FetchError: ``source`` cannot be read or ``folder`` not written.
    """
    expected = _expected(asset)
    target = folder / _file_name(asset)
    copy_verified(source, target, expected)
    return target


def _expected(asset: Asset) -> str:
    if asset.sha256 is None or not asset.verifiable:
        digits = len(asset.sha256 or "")
        raise IntegrityError(
            f"{asset.link}: expected a SHA-256 of 64 digits on the card, found {digits or 'none'}: "
            "a file that cannot be verified is not loaded"
        )
    return asset.sha256


def _file_name(asset: Asset) -> str:
    name = urlsplit(asset.link).path.rpartition("/")[2]
    if not RELATIVE_LINK.fullmatch(name):
        raise FetchError(f"{asset.link}: expected a link that ends in a file name, found {name!r}")
    return name


def _download(link: str, target: Path, expected: str, limits: Limits) -> None:
    def consume(length: int | None, chunks: Iterator[bytes]) -> None:
        store(_shown(target.name, length, chunks), target, expected, link)

    web.read(link, consume, limits)


def _shown(name: str, length: int | None, chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Passes `chunks` on, with a progress bar on stderr where that is a terminal."""
    columns = (TextColumn(name), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    console = Console(stderr=True)
    disable = not sys.stderr.isatty()
    with Progress(*columns, console=console, transient=True, disable=disable) as progress:
        task = progress.add_task(name, total=length)
        for chunk in chunks:
            yield chunk
            progress.advance(task, len(chunk))


def _advice(target: Path, expected: str, found: str, uid: str) -> str:
    return (
        f"expected {target} with SHA-256 {expected}, found {found}; "
        f"to place a copy by hand: ghostnet hub fetch {uid} --from FILE"
    )
