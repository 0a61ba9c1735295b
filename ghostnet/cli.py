"""The ``ghostnet`` command: parses, calls the library, prints.

MindSpore takes a second to import, so each verb imports what it needs when it runs.
"""

import json
import os
import signal
import sys
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn, cast

import typer

from ghostnet import runtime, verbs
from ghostnet.backends import Backend, deploy
from ghostnet.errors import GhostNetError
from ghostnet.files import replacing
from ghostnet.terminal import (
    DEFAULT_MODEL,
    BatchOption,
    CacheOption,
    DeviceOption,
    FuseOption,
    JsonOption,
    ModelOption,
    ModeOption,
    UidArgument,
    VerboseOption,
    import_mindspore,
    open_model,
    print_json,
    print_table,
    progress_bar,
)
from ghostnet.training.verbs import finetune, train

if TYPE_CHECKING:
    from ghostnet.predict import Prediction

INTERRUPTED = 130
"""Exit status after Ctrl-C: 128 and the number of the signal, as in a shell."""

app = typer.Typer(
    help="GhostNet for MindSpore: classify pictures, check and convert models.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
app.command()(verbs.export)
app.command()(verbs.verify)
app.command()(verbs.benchmark)
app.command()(verbs.doctor)
app.command()(finetune)
app.command()(train)
hub = typer.Typer(help="Hub cards and their checkpoints.", no_args_is_help=True)
app.add_typer(hub, name="hub")


def main() -> NoReturn:
    """Run the command; our errors and the disk's become one sentence and exit status 1."""
    # MindSpore answers Ctrl-C by ending its own process with this signal.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    cast(TextIOWrapper, sys.stdout).reconfigure(errors="backslashreplace")  # for odd file names
    try:
        try:
            app()
        except SystemExit as stopped:
            if stopped.code == INTERRUPTED:
                print("ghostnet: interrupted", file=sys.stderr)
            raise
        finally:
            sys.stdout.flush()
    except GhostNetError as error:
        _fail(str(error))
    except OSError as error:  # the disk of a result is full, or may not be written
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        _fail(f"{error.filename or 'output'}: {error.strerror}")
    sys.exit(0)


def _fail(reason: str) -> NoReturn:
    if "--json" in sys.argv:
        print(json.dumps({"error": reason}, ensure_ascii=False))
    print(f"ghostnet: {reason}", file=sys.stderr)
    sys.exit(1)


@app.command()
def predict(
    paths: Annotated[list[str], typer.Argument(help="Pictures, folders, or - for stdin.")],
    model: ModelOption = DEFAULT_MODEL,
    top_k: Annotated[int, typer.Option(min=1, help="Labels to show for a picture.")] = 3,
    batch_size: BatchOption = 1,
    fuse: FuseOption = True,
    backend: Annotated[Backend, typer.Option(help="What runs the network.")] = Backend.MINDSPORE,
    device: DeviceOption = runtime.Device.AUTO,
    mode: ModeOption = runtime.Mode.GRAPH,
    cache_dir: CacheOption = None,
    as_json: JsonOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Label pictures: the likeliest classes of each, and how long the network took."""
    opened = open_model(model, cache_dir, device, mode, verbose)
    from ghostnet.errors import ImageError
    from ghostnet.predict import Classifier, Picture
    from ghostnet.transforms import find_images

    pictures = []
    for path in paths:
        if path == "-":
            pictures.append(Picture("-", sys.stdin.buffer.read()))
        else:
            pictures += [Picture(str(file), file) for file in find_images([Path(path)])]
    if not pictures:
        raise ImageError(f"no pictures in {', '.join(paths)}")
    deployed = None if backend is Backend.MINDSPORE else deploy(opened, backend)
    classifier = Classifier(opened, fused=fuse, batch_size=batch_size, network=deployed)
    classifier.warm_up()
    answers: list[dict[str, Any]] = []
    rows: list[tuple[str, list[Prediction] | str, float]] = []
    with progress_bar() as progress:
        task = progress.add_task("predict", total=len(pictures))
        for picture, result in classifier.logits(pictures):
            progress.advance(task)
            if isinstance(result, ImageError):
                answers.append({"file": picture.name, "error": str(result)})
                rows.append((picture.name, str(result), 0.0))
                continue
            best = classifier.top(result, top_k)
            answers.append({"file": picture.name, "predictions": [vars(p) for p in best]})
            rows.append((picture.name, best, result.milliseconds))
    if as_json:
        print_json(answers)
    else:
        _print_predictions(rows, opened.name)
    if any("error" in answer for answer in answers):
        raise typer.Exit(1)


@app.command("eval")
def evaluate_folder(
    folder: Annotated[Path, typer.Argument(help="A sub-folder of pictures for each class.")],
    model: ModelOption = DEFAULT_MODEL,
    out: Annotated[
        Path | None, typer.Option(help="Folder for confusion.json and confusion.png.")
    ] = None,
    batch_size: BatchOption = 1,
    fuse: FuseOption = True,
    device: DeviceOption = runtime.Device.AUTO,
    mode: ModeOption = runtime.Mode.GRAPH,
    cache_dir: CacheOption = None,
    as_json: JsonOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Measure a model on a folder of labelled pictures: top-1, top-5, each class."""
    opened = open_model(model, cache_dir, device, mode, verbose)
    from ghostnet.predict import Classifier
    from ghostnet.training.evaluation import evaluate, plot_confusion
    from ghostnet.training.folders import read_folder

    pictures = read_folder(folder)
    classifier = Classifier(opened, fused=fuse, batch_size=batch_size)
    with progress_bar() as progress:
        task = progress.add_task("eval", total=len(pictures.files))
        result = evaluate(classifier, pictures, lambda count: progress.advance(task, count))
    if out:
        with replacing(out / "confusion.json") as file:
            file.write(json.dumps(result.as_dict(), indent=1).encode())
        with replacing(out / "confusion.png") as file:
            plot_confusion(result, file)
    if as_json:
        print_json(result.as_dict())
    else:
        rows = [(label, f"{share:.1%}") for label, share in result.per_class.items()]
        summary = [
            ("top-1", f"{result.correct / result.images:.2%}"),
            ("top-5", f"{result.in_top5 / result.images:.2%}"),
            ("images", f"{result.images:,}"),
            *(("skipped", f"{file}: {reason}") for file, reason in result.skipped),
        ]
        print_table(opened.name, ("class", "correct"), [*rows, *summary])


@app.command()
def convert(
    source: Annotated[Path, typer.Argument(help=".safetensors, .pth or mindcv's .ckpt")],
    target: Annotated[Path, typer.Argument(help="The checkpoint to write, .ckpt")],
    as_json: JsonOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Turn a GhostNet of timm, huawei-noah or mindcv into a checkpoint of this package."""
    if target.suffix != ".ckpt":
        raise typer.BadParameter(f"{target} should end in .ckpt", param_hint="TARGET")
    import_mindspore(verbose)
    from ghostnet import checkpoint
    from ghostnet.hub.store import file_hash

    conversion = checkpoint.convert(checkpoint.read_foreign(source), str(source))
    checkpoint.write_checkpoint(conversion.parameters, target)
    answer = {
        "file": str(target),
        "sha256": file_hash(target),
        "parameters": len(conversion.parameters),
        "num_classes": len(conversion.parameters["classifier.bias"]),
        "refused": list(conversion.refused),
    }
    if as_json:
        print_json(answer)
    else:
        refused = conversion.refused
        shown = f"{len(refused)} (such as {refused[0]})" if refused else "none"
        print_table("converted", None, [*answer.items()][:-1] + [("refused", shown)])


@hub.command("list")
def list_cards(as_json: JsonOption = False) -> None:
    """The cards that come with the package."""
    from ghostnet.hub.cache import list_cards as shipped
    from ghostnet.hub.find import find

    cards = {uid: find(uid) for uid in shipped()}
    if as_json:
        print_json([{"uid": uid, **card.model_dump(mode="json")} for uid, card in cards.items()])
        return
    rows = [(uid, card.name, card.dataset, card.accuracy) for uid, card in cards.items()]
    print_table("hub cards", ("UID", "model", "data set", "accuracy"), rows)


@hub.command()
def show(uid: UidArgument, as_json: JsonOption = False) -> None:
    """What a card says."""
    from ghostnet.hub.find import find

    card = find(uid)
    if as_json:
        print_json(card.model_dump(mode="json"))
        return
    fields = card.model_dump(mode="json", exclude={"assets", "claims", "labels"})
    rows = [(field.replace("_", " "), value) for field, value in fields.items() if value]
    rows += [(f"asset ({a.format})", f"{a.link}\n{a.sha256 or 'no hash'}") for a in card.assets]
    if card.labels:
        rows.append(("labels", ", ".join(card.labels)))
    print_table(uid, None, rows)


@hub.command()
def fetch(
    uid: UidArgument,
    source: Annotated[
        Path | None, typer.Option("--from", help="Place this file instead of downloading.")
    ] = None,
    force: Annotated[bool, typer.Option(help="Download even if the cache has it.")] = False,
    cache_dir: CacheOption = None,
    as_json: JsonOption = False,
) -> None:
    """Bring a card's checkpoint into the cache, verified."""
    from ghostnet.hub.find import fetch_checkpoint, find

    path = fetch_checkpoint(uid, find(uid), source=source, force=force, cache_dir=cache_dir)
    if as_json:
        print_json({"uid": uid, "file": str(path)})
    else:
        print(path)


@hub.command()
def install(uid: UidArgument, cache_dir: CacheOption = None, as_json: JsonOption = False) -> None:
    """Lay card, entry file and checkpoint where the mindspore_hub client looks for them."""
    from ghostnet.hub.install import install as lay_out

    installed = lay_out(uid, cache_dir)
    if as_json:
        print_json({"uid": uid, "folder": str(installed)})
    else:
        print(f"mindspore_hub finds {uid} in {installed}")


def _print_predictions(rows: "list[tuple[str, list[Prediction] | str, float]]", name: str) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table("file", "labels", "ms", title=name)
    for file, best, milliseconds in rows:
        if isinstance(best, str):
            table.add_row(escape(file), f"[red]{escape(best)}[/red]", "")
            continue
        labels = "\n".join(f"{p.probability:6.1%}  {p.label}" for p in best)
        table.add_row(escape(file), escape(labels), f"{milliseconds:.1f}")
    Console().print(table)


if __name__ == "__main__":
    main()
