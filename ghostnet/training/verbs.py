"""The verbs of the command that learn: they parse, call the library and print."""

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ghostnet import runtime
from ghostnet.terminal import (
    DEFAULT_MODEL,
    CacheOption,
    DeviceOption,
    JsonOption,
    ModelOption,
    VerboseOption,
    open_model,
    print_json,
    print_table,
    progress_bar,
)

if TYPE_CHECKING:
    from ghostnet.training.finetune import Tuned


def held_out(text: str) -> Path | float:
    """A fraction between 0 and 1, or else a folder."""
    try:
        fraction = float(text)
    except ValueError:
        return Path(text)
    if not 0 < fraction < 1:
        raise typer.BadParameter(f"{text}: expected a folder or a fraction between 0 and 1")
    return fraction


def finetune(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="A sub-folder of pictures for each class.")
    ],
    out: Annotated[Path, typer.Option(help="Folder for the checkpoint and its card.")],
    model: ModelOption = DEFAULT_MODEL,
    val: Annotated[
        str, typer.Option(help="Pictures to measure with: a folder, or a fraction of DIR.")
    ] = "0.2",
    views: Annotated[
        int, typer.Option(min=1, help="Looks at each picture; above 1, random crops and flips.")
    ] = 1,
    device: DeviceOption = runtime.Device.AUTO,
    cache_dir: CacheOption = None,
    as_json: JsonOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Teach a model your own classes: a new classifier on the features that it has."""
    measured_with = held_out(val)
    from ghostnet.training.finetune import finetune_head, read_task
    from ghostnet.training.report import Origin, write_model

    train, measured = read_task(folder, measured_with)
    opened = open_model(model, cache_dir, device, verbose=verbose)
    with progress_bar() as progress:
        total = views * len(train.files) + len(measured.files)
        task = progress.add_task("features", total=total)
        tuned = finetune_head(
            opened,
            train,
            measured,
            views=views,
            cache_dir=cache_dir,
            progress=lambda count: progress.advance(task, count),
        )
    command = shlex.join(["ghostnet", *sys.argv[1:]])
    origin = Origin(command, model, tuned.train_images, runtime.current_device())
    side = opened.preprocess.image_size
    card = write_model(opened.network, side, tuned.evaluation, origin, out)
    if as_json:
        print_json({"card": str(card), **tuned.as_dict()})
    else:
        _print_tuned(tuned, card)


def _print_tuned(tuned: "Tuned", card: Path) -> None:
    evaluation = tuned.evaluation
    share = evaluation.correct / evaluation.images
    rows = [
        ("top-1", f"{share:.2%} ({evaluation.correct} of {evaluation.images} held-out pictures)"),
        ("learnt from", f"{tuned.train_images:,} pictures"),
        ("classes", ", ".join(evaluation.labels)),
        *(("skipped", reason) for _, reason in evaluation.skipped),
        ("try it", f"ghostnet predict --model {shlex.quote(str(card))} PHOTO"),
    ]
    print_table(str(card), None, rows)
