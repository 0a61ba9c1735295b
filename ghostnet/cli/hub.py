"""The commands for hub cards and checkpoints: `hub list`, `show`, `fetch` and `install`."""

from pathlib import Path
from typing import Annotated

import typer

from ghostnet.cli.options import CacheOption, JsonOption, ShortHashOption, UidArgument
from ghostnet.cli.output import print_json, print_table, visible, watch_download
from ghostnet.errors import listed

OTHER = "other data sets"

MAX_LABELS = 60
"""The most labels that `show` prints in full."""

app = typer.Typer(
    help="List, show and fetch hub cards and their checkpoints.", no_args_is_help=True
)


@app.command("list")
def list_cards(as_json: JsonOption = False) -> None:
    """List the cards that ship with the package, and what each model needs."""
    from ghostnet.hub.catalog import find_card, prerequisites, shipped_uids

    cards = {uid: find_card(uid) for uid in shipped_uids()}
    wanted = {uid: prerequisites(card) for uid, card in cards.items()}
    if as_json:
        fields = {uid: card.model_dump(mode="json") for uid, card in cards.items()}
        print_json([{"uid": uid, "needs": wanted[uid], **fields[uid]} for uid in cards])
        return
    datasets = sorted({card.dataset or OTHER for card in cards.values()})
    for dataset in datasets:
        rows = [
            (uid, card.accuracy, wanted[uid])
            for uid, card in cards.items()
            if (card.dataset or OTHER) == dataset
        ]
        print_table(f"hub cards: {dataset}", ("UID", "accuracy", "needs"), rows)


@app.command()
def show(uid: UidArgument, as_json: JsonOption = False) -> None:
    """Show a card."""
    from ghostnet.hub.catalog import find_card

    card = find_card(uid)
    if as_json:
        print_json(card.model_dump(mode="json"))
        return
    fields = card.model_dump(mode="json", exclude={"assets", "claims", "labels"})
    rows = [(field.replace("_", " "), value) for field, value in fields.items() if value]
    rows += [(f"asset ({a.format})", f"{a.link}\n{a.sha256 or 'no hash'}") for a in card.assets]
    if card.labels:
        many = len(card.labels) > MAX_LABELS
        rows.append(("labels", listed(card.labels) if many else ", ".join(card.labels)))
    print_table(uid, None, rows)


@app.command()
def fetch(
    uid: UidArgument,
    source: Annotated[
        Path | None, typer.Option("--from", help="Use this file instead of downloading one.")
    ] = None,
    force: Annotated[bool, typer.Option(help="Download even if the file is in the cache.")] = False,
    cache_dir: CacheOption = None,
    short_hash: ShortHashOption = False,
    as_json: JsonOption = False,
) -> None:
    """Download and verify the checkpoint of a card; print where it is in the cache."""
    from ghostnet.hub.catalog import find_card
    from ghostnet.hub.checkpoint_file import locate

    checkpoint = locate(find_card(uid, allow_short_hash=short_hash), cache_dir)
    if source:
        path = checkpoint.place(source)
    else:
        path = checkpoint.fetch(force=force, watch=watch_download)
    if as_json:
        print_json({"uid": uid, "file": str(path)})
    else:
        print(visible(str(path)))


@app.command()
def install(
    uid: UidArgument,
    cache_dir: CacheOption = None,
    short_hash: ShortHashOption = False,
    as_json: JsonOption = False,
) -> None:
    """Put a card, its entry file and checkpoint where the mindspore_hub client looks for them."""
    from ghostnet.hub.install import install as install_model

    installed = install_model(uid, cache_dir, watch=watch_download, allow_short_hash=short_hash)
    if as_json:
        print_json({"uid": uid, "folder": str(installed.parent), "file": str(installed)})
    else:
        print(visible(f"mindspore_hub will find {uid} in {installed.parent}"))
