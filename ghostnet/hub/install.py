"""Install a model into the cache of the hub client, where `mindspore_hub.load` finds it.

The client expects, in the folder of the model, the card, the checkpoint, and a folder with the
entry file that is named after the last part of the card's repo-link. It opens every asset-link of
the card first and gives up where one fails, so the installed card links to the installed
checkpoint, and lists no asset until that file is there.
"""

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
from ghostnet.hub.verified_file import copy_verified, read_verified, writing

if TYPE_CHECKING:
    from ghostnet.hub.http import DownloadLimits

ENTRY_FILE = "mindspore_hub_conf.py"
ENTRY = '''"""The entry file that MindSpore Hub's client looks for."""

from ghostnet.models.network import create_network

__all__ = ["create_network"]
'''

ASSETS = re.compile(r"^asset:[ \t]*\n(?:(?![A-Za-z]|---).*\n)*", re.MULTILINE)


def install(
    uid: str,
    cache_dir: str | Path | None = None,
    *,
    limits: "DownloadLimits | None" = None,
    watch: Watch = unwatched,
    allow_short_hash: bool = False,
) -> Path:
    """Install card, entry folder and checkpoint into the client's cache, in this order.

    Without the checkpoint the client still works with ``pretrained=False``. Of a checkpoint with
    MindCV's names, which the client does not know, a renamed copy is installed.

    Args:
        uid: UID of a card that ships with this package.
        cache_dir: Root of the cache; by default ``GHOSTNET_CACHE`` or ``~/.mscache``.
        limits: Limits of time and size; by default `ghostnet.hub.http.DEFAULT_LIMITS`.
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
        write_whole(installed, _with_assets(text, "").encode())
        write_whole(entry, ENTRY.encode())
    promised = locate(card, cache_dir)
    checkpoint = folder / promised.path.name
    if promised.link is None:
        copy_verified(promised.path, checkpoint, promised.sha256)
    else:
        promised.fetch(limits=limits, watch=watch)
    checkpoint = _with_released_names(checkpoint, promised.sha256, installed)
    with writing(folder):
        write_whole(installed, _with_assets(text, _local_asset(checkpoint)).encode())
    return checkpoint


def _with_released_names(checkpoint: Path, sha256: str, card: Path) -> Path:
    """Return a checkpoint that the client can load: the file, or a renamed copy beside the card."""
    parameters = parse_checkpoint(read_verified(checkpoint, sha256), str(checkpoint))
    if not is_foreign(parameters):
        return checkpoint
    renamed = card.with_suffix(".ckpt")
    write_checkpoint(convert(parameters, str(checkpoint)).parameters, renamed)
    return renamed


def _entry_folder(card: ModelCard) -> str:
    """Return the name that the client gives to its clone of the card's repo-link."""
    if card.repo_link is None:
        raise CardError(
            f"{card.source}: repo-link: expected one, which the hub client needs, found none"
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
