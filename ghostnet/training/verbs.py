"""The verbs of the command that learn: they parse, call the library and print."""

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
from ghostnet.terminal import (
    DEFAULT_MODEL,
    CacheOption,
    DeviceOption,
    JsonOption,
    ModelOption,
    VerboseOption,
    import_mindspore,
    open_model,
    print_json,
    print_table,
    progress_bar,
)
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
        Path, typer.Argument(metavar="DIR", help="A sub-folder of pictures for each class.")
    ],
    out: Annotated[Path, typer.Option(help="Folder for the checkpoint and its card.")],
    model: ModelOption = DEFAULT_MODEL,
    val: Annotated[
        str, typer.Option(help="Pictures to measure with: a folder, or a fraction of DIR.")
    ] = "0.2",
    mode: Annotated[
        Mode, typer.Option(help="Learn a new classifier only, or all weights as `train` does.")
    ] = Mode.HEAD,
    views: Annotated[
        int,
        typer.Option(min=1, help="Of each picture, for the head; above 1, random crops and flips."),
    ] = 1,
    device: DeviceOption = runtime.Device.AUTO,
    cache_dir: CacheOption = None,
    as_json: JsonOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Teach a model your own classes."""
    try:
        measured_with = held_out(val)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--val") from None
    from ghostnet.training.finetune import finetune_head, full_config, read_task
    from ghostnet.training.report import Origin, make_folder, write_model

    train, measured = read_task(folder, measured_with)
    opened = open_model(model, cache_dir, device, verbose=verbose)
    side = opened.preprocess.image_size
    if mode is Mode.FULL:
        _train(full_config(folder, val, model, side, len(train.files)), out, as_json, cache_dir)
        return
    make_folder(out)
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
    origin = Origin(_command(), model, tuned.train_images, runtime.current_device())
    card = write_model(opened.network, side, tuned.evaluation, origin, out)
    if as_json:
        print_json({"card": str(card), **tuned.as_dict()})
    else:
        _print_tuned(tuned, card)


def _with_settings(verb: Callable[..., None]) -> Callable[..., None]:
    """The verb with an option for each setting of a training run instead of ``**settings``."""
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
        Path | None, typer.Option(help="Settings in YAML; those on the command line go first.")
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the run in OUT, bit for bit.")
    ] = False,
    device: DeviceOption = runtime.Device.AUTO,
    as_json: JsonOption = False,
    verbose: VerboseOption = False,
    **settings: Any,
) -> None:
    """Train a network; `msrun … ghostnet train …` trains it with several workers."""
    given = {name: value for name, value in settings.items() if value is not None}
    if resume and (given or config):
        raise typer.BadParameter("a run goes on with the settings in OUT/config.yaml, no others")
    import_mindspore(verbose)
    runtime.configure(device)
    if resume:
        chosen = read_config(out / CONFIG, {})
    else:
        chosen = read_config(config, given) if config else check(given, "command line")
    _train(chosen, out, as_json, resume=resume)


def _train(
    config: TrainingConfig,
    out: Path,
    as_json: bool,
    cache_dir: Path | None = None,
    *,
    resume: bool = False,
) -> None:
    """Train, and print what came of it."""
    from ghostnet.hub.card import read_card
    from ghostnet.training import loop

    with _training_bar() as show:
        card = loop.train(
            config, out, command=_command(), resume=resume, cache_dir=cache_dir, progress=show
        )
    if card is None:  # another worker has it
        return
    top1 = read_card(card).accuracy
    if as_json:
        print_json({"card": str(card), "top1": top1})
    else:
        print_table(str(card), None, [("top-1", f"{top1:.2%}"), ("log", out / "log.csv")])


@contextmanager
def _training_bar() -> "Iterator[Callable[[Progress], None]]":
    """Shows steps, loss and pictures a second on stderr where that is a terminal."""
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
    share = evaluation.correct / evaluation.images
    rows = [
        ("top-1", f"{share:.2%} ({evaluation.correct} of {evaluation.images} held-out pictures)"),
        ("learnt from", f"{tuned.train_images:,} pictures"),
        ("classes", ", ".join(evaluation.labels)),
        *(("skipped", reason) for _, reason in evaluation.skipped),
        ("try it", f"ghostnet predict --model {shlex.quote(str(card))} PHOTO"),
    ]
    print_table(str(card), None, rows)
