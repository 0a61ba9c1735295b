"""The checkpoint that a card promises: its place, its SHA-256, and its verified content."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias
from urllib.parse import urlsplit

from ghostnet.checkpoints import (
    Parameters,
    convert,
    find_network,
    is_foreign,
    parse_checkpoint,
)
from ghostnet.checkpoints.budget import MAX_BYTES
from ghostnet.errors import FetchError, IntegrityError
from ghostnet.hub.cache import asset_folder
from ghostnet.hub.card import RELATIVE_LINK, Asset, ModelCard
from ghostnet.hub.verified_file import (
    check_file,
    copy_verified,
    found_hash,
    locked,
    matches,
    read_verified,
    set_aside,
    store,
)

if TYPE_CHECKING:
    from ghostnet.web import DownloadLimits

Watch: TypeAlias = Callable[[str, int | None, Iterator[bytes]], Iterator[bytes]]
"""Passes on the chunks of a download, given the name of the file and its length if known."""


def unwatched(name: str, length: int | None, chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Pass on the chunks of a download and show nothing."""
    return chunks


def locate(card: ModelCard, cache_dir: str | Path | None = None) -> "CheckpointFile":
    """Say where the checkpoint of a card is, or will be, and which SHA-256 it must have.

    Args:
        card: As `ghostnet.hub.catalog.find_card` returns it.
        cache_dir: Root of the cache; by default ``GHOSTNET_CACHE`` or ``~/.mscache``.

    Raises:
        CardError: The card offers no checkpoint, or its model is not one that this package builds.
        FetchError: The link does not end in a file name, or the cache cannot be used.
        IntegrityError: The card gives no SHA-256.
    """
    _ = card.architecture  # a checkpoint that no network can take is not fetched
    asset = card.checkpoint
    return promised(asset, asset_folder(card.source, asset, cache_dir), card.source)


def promised(asset: Asset, folder: Path, source: str = "UID") -> "CheckpointFile":
    """Return the file that an asset promises.

    Args:
        asset: Asset of a card.
        folder: Its folder in the cache; a file beside the card stays where it is.
        source: UID, path or URL of the card, for the advice in errors.

    Raises:
        FetchError: The link does not end in a file name.
        IntegrityError: The card gives no SHA-256.
    """
    sha256 = asset.expected_hash
    path = asset.local_file or folder / _file_name(asset.link)
    return CheckpointFile(source, None if asset.local_file else asset.link, path, sha256)


def _file_name(link: str) -> str:
    name = urlsplit(link).path.rpartition("/")[2]
    if not RELATIVE_LINK.fullmatch(name):
        raise FetchError(f"{link} does not end in a file name but in {name!r}")
    return name


@dataclass(frozen=True)
class CheckpointFile:
    """A checkpoint whose SHA-256 a card promises.

    Attributes:
        source: UID, path or URL of the card.
        link: URL of the file, or None for a file beside the card.
        path: The file, which need not exist yet.
        sha256: SHA-256 that its content must have, or the first digits if they are allowed.
    """

    source: str
    link: str | None
    path: Path
    sha256: str

    def parameters(self, *, force: bool = False, watch: Watch = unwatched) -> Parameters:
        """Read the network in the checkpoint; what a training run saved beside it is left out.

        Args:
            force: Download even if the right file is there.
            watch: Shows the progress of a download.

        Raises:
            FetchError, IntegrityError: As `fetch`.
            CheckpointError: The file is not a MindSpore checkpoint, or not of a GhostNet.
        """
        return released_parameters(self.read(force=force, watch=watch), str(self.path))

    def read(self, *, force: bool = False, watch: Watch = unwatched) -> bytes:
        """Return the content, exactly as it was hashed; arguments and errors as in `fetch`."""
        if not force:
            with suppress(FetchError, IntegrityError):  # a right file is read and hashed once
                return read_verified(self.path, self.sha256)
        return read_verified(self.fetch(force=force, watch=watch), self.sha256)

    def fetch(
        self,
        *,
        force: bool = False,
        limits: "DownloadLimits | None" = None,
        watch: Watch = unwatched,
    ) -> Path:
        """Verify the file, downloading it if necessary, and return its path.

        A file that is already there is hashed. A wrong one is set aside, logged and fetched again.

        Args:
            force: Download even if the right file is there.
            limits: Limits of time and size; by default those of a checkpoint.
            watch: Shows the progress of the download.

        Raises:
            FetchError: The file can be neither found nor downloaded.
            IntegrityError: The file is not the promised one.
        """
        if self.link is None:
            check_file(self.path, self.sha256)
            return self.path
        if not force and matches(found_hash(self.path), self.sha256):
            return self.path
        with locked(self.path.parent):
            found = "a copy to replace" if force else set_aside(self.path, self.sha256)
            if found:
                try:
                    self._download(self.link, limits, watch)
                except (FetchError, IntegrityError) as error:
                    raise type(error)(f"{error}\n{self._advice(found)}") from None
        return self.path

    def place(self, file: Path) -> Path:
        """Copy a file to the path of this one, if its SHA-256 is right.

        Raises:
            FetchError: ``file`` cannot be read, or the folder cannot be written.
            IntegrityError: The SHA-256 of ``file`` is another.
        """
        copy_verified(file, self.path, self.sha256)
        return self.path

    def _download(self, link: str, limits: "DownloadLimits | None", watch: Watch) -> None:
        from ghostnet import web  # requests takes 0.1 s to import

        def consume(length: int | None, chunks: Iterator[bytes]) -> None:
            store(watch(self.path.name, length, chunks), self.path, self.sha256, link)

        web.read(link, consume, limits or web.DownloadLimits(MAX_BYTES))

    def _advice(self, found: str) -> str:
        return (
            f"{self.path} needs the SHA-256 {self.sha256}; there is {found}. To place a copy by "
            f"hand: ghostnet hub fetch {self.source} --from FILE"
        )


def released_parameters(content: bytes, name: str) -> Parameters:
    """Parse the network in a checkpoint; names of other libraries become the released ones.

    Branches are kept.

    Args:
        content: Content of the file.
        name: What errors call the file.

    Raises:
        CheckpointError: The bytes are not a MindSpore checkpoint, or not of a GhostNet.
    """
    parameters = find_network(parse_checkpoint(content, name), name).parameters
    if is_foreign(parameters):
        return convert(parameters, name, keep_branches=True).parameters
    return parameters
