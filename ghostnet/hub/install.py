"""Install a model into the cache of the hub client, where `mindspore_hub.load` finds it.

In the folder of the model, the client expects the card, the checkpoint, and a folder that is named
after the last part of the card's repo-link and holds the entry file. It opens every asset-link of
the card first and gives up if one fails, so the installed card links to the installed checkpoint,
and lists no asset until that file is there.

Whoever reads the folder, at any moment, finds a card and the checkpoint that it links to: another
checkpoint gets another name, and the card is replaced last.
"""

import hashlib
import re
from pathlib import Path
from typing import TYPE_CHECKING

from ghostnet.checkpoints import convert, is_foreign, parse_checkpoint, write_checkpoint
from ghostnet.errors import CardError
from ghostnet.files import sha256_of, write_whole
from ghostnet.hub.cache import inside, model_folder
from ghostnet.hub.card import ModelCard
from ghostnet.hub.catalog import find_card, shipped_text
from ghostnet.hub.checkpoint_file import Watch, locate, unwatched
from ghostnet.hub.verified_file import read_verified, writing

if TYPE_CHECKING:
    from ghostnet.web import DownloadLimits

ENTRY_FILE = "mindspore_hub_conf.py"
ENTRY = '''"""The entry point that hub clients look for: `create_network`."""

from ghostnet.models.network import create_network

__all__ = ["create_network"]
'''
"""Content of the entry file, here and in the root of the repository."""

ASSETS = re.compile(r"^asset:[ \t]*\n(?:(?![A-Za-z]|---).*\n)*", re.MULTILINE)
LINKED_FILE = re.compile(r"asset-link: <file://\S*/([^/>]+)>")


def install(
    uid: str,
    cache_dir: str | Path | None = None,
    *,
    limits: "DownloadLimits | None" = None,
    watch: Watch = unwatched,
    allow_short_hash: bool = False,
) -> Path:
    """Install the entry file, the checkpoint and the card into the client's cache.

    Without the checkpoint, the client still works with ``pretrained=False``. The client does not
    know MindCV's names: a checkpoint with these is installed with the released names.

    Args:
        uid: UID of a card that ships with this package.
        cache_dir: Root of the cache; by default ``GHOSTNET_CACHE`` or ``~/.mscache``.
        limits: Limits of time and size; by default those of a checkpoint.
        watch: Shows the progress of the download.
        allow_short_hash: As in `ghostnet.hub.load`.

    Returns:
        The path of the installed checkpoint.

    Raises:
        CardError: No such card ships with this package, or it is not a GhostNet's.
        FetchError: The checkpoint cannot be downloaded, or the cache cannot be written.
        IntegrityError: The checkpoint does not have the card's SHA-256.
    """
    text, card = shipped_text(uid), find_card(uid, allow_short_hash=allow_short_hash)
    _ = card.architecture  # a model that no network can be is not installed
    folder = model_folder(uid, cache_dir)
    entry = inside(folder, folder / _entry_folder(card)) / ENTRY_FILE
    installed = folder / f"{Path(uid).name}.md"
    with writing(folder):
        write_whole(entry, ENTRY.encode())
        if not _is_whole(installed):
            write_whole(installed, _with_assets(text, "").encode())
    file = locate(card, cache_dir)
    checkpoint = _install_checkpoint(
        read_verified(file.fetch(limits=limits, watch=watch), file.sha256), installed
    )
    with writing(folder):
        write_whole(installed, _with_assets(text, _local_asset(checkpoint)).encode())
    return checkpoint


def _is_whole(card: Path) -> bool:
    """Whether a card is installed, and the checkpoint that it links to."""
    if not card.exists():
        return False
    link = LINKED_FILE.search(card.read_text("utf-8", errors="replace"))
    return link is not None and card.with_name(link[1]).exists()


def _install_checkpoint(content: bytes, card: Path) -> Path:
    """Write a checkpoint with the released names beside a card, under a name of its own."""
    path = card.with_name(f"{card.stem}-{hashlib.sha256(content).hexdigest()[:12]}.ckpt")
    parameters = parse_checkpoint(content, str(path))
    if is_foreign(parameters):
        write_checkpoint(convert(parameters, str(path)).parameters, path)
    else:
        with writing(path.parent):
            write_whole(path, content)
    return path


def _entry_folder(card: ModelCard) -> str:
    """Return the name that the client gives to its clone of the card's repo-link."""
    if card.repo_link is None:
        raise CardError(
            f"{card.source} has no repo-link, which the hub client needs; install another model"
        )
    return card.repo_link.rpartition("/")[2]


def _with_assets(text: str, assets: str) -> str:
    """Replace the list of assets in the text of a card."""
    return ASSETS.sub(lambda _: assets, text, count=1)


def _local_asset(path: Path) -> str:
    return (
        "asset:\n\n"
        "- file-format: ckpt\n"
        f"  asset-link: <{path.resolve().as_uri()}>\n"
        f"  asset-sha256: {sha256_of(path)}\n\n"
    )
