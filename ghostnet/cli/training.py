"""The verbs that train networks: `finetune` and `train`."""

import shlex
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import Enum
from inspect import Parameter, Signature, signature
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_args, get_type_hints

import typer

from ghostnet import runtime
from ghostnet.cli.models import configure, open_model
from ghostnet.cli.options import (
    DEFAULT_MODEL,
    CacheOption,
    DeviceOption,
    JsonOption,
    ModelOption,
    ShortHashOption,
    VerboseOption,
)
from ghostnet.cli.output import counting, print_json, print_table, progress_bar
from ghostnet.training.config import CONFIG, TrainingConfig, check, held_out, read_config

if TYPE_CHECKING:
    from ghostnet.training.finetune import Tuned
    from ghostnet.training.loop import Progress


class Mode(str, Enum):
    """How much of a network fine-tuning changes."""

    HEAD = "head"
    FULL = "full"


def finetune(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="Folder with a sub-folder of images a class.")
    ],
    out: Annotated[Path, typer.Option(help="Folder for the checkpoint and its card.")],
    model: ModelOption = DEFAULT_MODEL,
    val: Annotated[
        str, typer.Option(help="Held-out images: a folder, or a fraction of DIR.")
    ] = "0.2",
    mode: Annotated[
        Mode, typer.Option(help="Fit a new classifier only, or train all weights as `train` does.")
    ] = Mode.HEAD,
    views: Annotated[
        int,
        typer.Option(min=1, help="Views of each image for the head; above 1, crops and flips too."),
    ] = 1,
    device: DeviceOption = runtime.Device.AUTO,
    cache_dir: CacheOption = None,
    short_hash: ShortHashOption = False,
    as_json: JsonOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Teach a model your own classes."""
    try:
        measured_with = held_out(val)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--val") from None
    configure(device, verbose=verbose)
    from ghostnet.training.finetune import finetune_head, full_config, read_task
    from ghostnet.training.model_card import Origin, make_folder, write_model

    train, measured = read_task(folder, measured_with)
    opened = open_model(model, cache_dir, allow_short_hash=short_hash)
    if mode is Mode.FULL:
        side = opened.preprocess.image_size
        config = full_config(folder, val, model, side, len(train.files))
        _train(config, out, as_json, cache_dir, short_hash=short_hash)
        return
    make_folder(out)
    with counting("features", views * len(train.files) + len(measured.files)) as advance:
        tuned = finetune_head(
            opened, train, measured, views=views, cache_dir=cache_dir, progress=advance
        )
    origin = Origin(_command(), model, tuned.train_images, runtime.current_device())
    card = write_model(tuned.model, tuned.evaluation, origin, out)
    if as_json:
        print_json({"card": str(card), **tuned.as_dict()})
    else:
        _print_tuned(tuned, card)


def _with_settings(verb: Callable[..., None]) -> Callable[..., None]:
    """Replace ``**settings`` of a verb by an option for each setting of a training run."""
    own = [p for p in signature(verb).parameters.values() if p.kind is not Parameter.VAR_KEYWORD]
    settings = []
    for name, hint in get_type_hints(TrainingConfig, include_extras=True).items():
        kind, *_, text = get_args(hint)
        choice = typer.Option(help=text, rich_help_panel="Settings")
        option = Annotated[kind | None, choice]  # type: ignore[valid-type]
        settings.append(Parameter(name, Parameter.KEYWORD_ONLY, default=None, annotation=option))
    parameters = [*own, *settings]
    verb.__signature__ = Signature(parameters)  # type: ignore[attr-defined]
    verb.__annotations__ = {p.name: p.annotation for p in parameters}
    return verb


@_with_settings
def train(
    out: Annotated[
        Path, typer.Option(help="Folder for model, card, log, curve, config and state.")
    ],
    config: Annotated[
        Path | None,
        typer.Option(help="Settings in YAML; options on the command line override them."),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Continue the run in OUT, bit for bit.")
    ] = False,
    device: DeviceOption = runtime.Device.AUTO,
    short_hash: ShortHashOption = False,
    as_json: JsonOption = False,
    verbose: VerboseOption = False,
    **settings: Any,
) -> None:
    """Train a network; with several workers under `msrun … ghostnet train …`."""
    given = {name: value for name, value in settings.items() if value is not None}
    if resume and (given or config):
        raise typer.BadParameter(
            "a run continues with the settings in OUT/config.yaml; give no others"
        )
    configure(device, verbose=verbose)
    if resume:
        chosen = read_config(out / CONFIG, {})
    else:
        chosen = read_config(config, given) if config else check(given, "command line")
    _train(chosen, out, as_json, resume=resume, short_hash=short_hash)


def _train(
    config: TrainingConfig,
    out: Path,
    as_json: bool,
    cache_dir: Path | None = None,
    *,
    resume: bool = False,
    short_hash: bool = False,
) -> None:
    """Train, and print the result."""
    runtime.start_mindspore()
    from ghostnet.hub.card import read_card
    from ghostnet.training import loop

    with _training_bar() as show:
        card = loop.train(
            config,
            out,
            command=_command(),
            resume=resume,
            cache_dir=cache_dir,
            allow_short_hash=short_hash,
            progress=show,
        )
    if card is None:  # another worker prints the result
        return
    top1 = read_card(card).accuracy
    if as_json:
        print_json({"card": str(card), "top1": top1})
    else:
        print_table(str(card), None, [("top-1", f"{top1:.2%}"), ("log", out / "log.csv")])


@contextmanager
def _training_bar() -> "Iterator[Callable[[Progress], None]]":
    """Show steps, loss and images per second on stderr, if that is a terminal."""
    with progress_bar() as bar:
        task = bar.add_task("train")

        def show(progress: "Progress") -> None:
            text = f"loss {progress.loss:.3f}, {progress.images_per_second:.1f} images/s"
            bar.update(task, completed=progress.step, total=progress.steps, description=text)

        yield show


def _command() -> str:
    return shlex.join(["ghostnet", *sys.argv[1:]])


def _print_tuned(tuned: "Tuned", card: Path) -> None:
    evaluation = tuned.evaluation
    counts = f"{evaluation.correct} of {evaluation.images} held-out images"
    rows = [
        ("top-1", f"{evaluation.top1:.2%} ({counts})"),
        ("trained on", f"{tuned.train_images:,} images"),
        ("classes", ", ".join(evaluation.labels)),
        *(("skipped", reason) for _, reason in evaluation.skipped),
        ("try it", f"ghostnet predict --model {shlex.quote(str(card))} PHOTO"),
    ]
    print_table(str(card), None, rows)
