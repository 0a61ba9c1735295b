"""The verbs that train networks: `finetune` and `train`."""

import shlex
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ghostnet import runtime
from ghostnet.cli.evaluation import accuracy_rows
from ghostnet.cli.models import configure, open_model
from ghostnet.cli.options import (
    CacheOption,
    DeviceOption,
    JsonOption,
    ModelOption,
    ShortHashOption,
    VerboseOption,
)
from ghostnet.cli.output import (
    command_line,
    count_left_out,
    counting,
    print_json,
    print_table,
    progress_bar,
    sparkline,
)
from ghostnet.cli.settings import given_settings, table_of, with_settings
from ghostnet.models.registry import BACKBONE_MODEL
from ghostnet.training.config import (
    CONFIG,
    MOVABLE,
    SETTINGS,
    TABLE,
    Balance,
    TrainingConfig,
    check,
    full_config,
    held_out,
    read_config,
)
from ghostnet.training.run.folder import REPORT, check_folder

if TYPE_CHECKING:
    from ghostnet.training.head.finetune import Tuned
    from ghostnet.training.run.log import Row
    from ghostnet.training.run.loop import Progress


class Mode(str, Enum):
    """How much of a network fine-tuning changes."""

    HEAD = "head"
    FULL = "full"


HEAD_SETTINGS = [*TABLE, "multi_label", "balance"]
"""Settings that a new classifier has too."""

FINETUNE_SETTINGS = [
    *HEAD_SETTINGS,
    "best_by",
    "patience",
    "freeze",
    "layer_decay",
    *(name for name in SETTINGS if name.startswith(("teacher", "unlabeled"))),
]
"""Settings of `finetune`; the others have fixed values there."""


@with_settings(FINETUNE_SETTINGS)
def finetune(
    folder: Annotated[
        Path,
        typer.Argument(metavar="DIR", help="Folder or archive with a sub-folder for each class."),
    ],
    out: Annotated[Path, typer.Option(help="Folder for the checkpoint and its card.")],
    model: ModelOption = BACKBONE_MODEL,
    val: Annotated[
        str | None,
        typer.Option(
            help="Held-out images: a folder, or a fraction of DIR. Default: DIR's own val or test, "
            "or 0.2."
        ),
    ] = None,
    mode: Annotated[
        Mode, typer.Option(help="Fit a new classifier only, or train all weights as `train` does.")
    ] = Mode.HEAD,
    views: Annotated[
        int,
        typer.Option(min=1, help="Views of each image; above 1, random crops and flips too."),
    ] = 1,
    device: DeviceOption = runtime.Device.AUTO,
    cache_dir: CacheOption = None,
    short_hash: ShortHashOption = False,
    as_json: JsonOption = False,
    verbose: VerboseOption = False,
    **settings: Any,
) -> None:
    """Teach a model your own classes."""
    given = given_settings(settings)
    whole = [name for name in given if name not in HEAD_SETTINGS]
    if whole and mode is Mode.HEAD:
        hint = f"--{whole[0].replace('_', '-')}"
        raise typer.BadParameter("this option needs --mode full", param_hint=hint)
    try:
        measured_with = held_out(val) if val else None
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--val") from None
    check_folder(out, resume=False)
    configure(device, verbose=verbose)
    from ghostnet.data.left_out import LeftOut
    from ghostnet.data.split import read_split
    from ghostnet.inference.report import evaluation_page, write_report
    from ghostnet.training.head.finetune import finetune_head
    from ghostnet.training.model_card import Origin, make_folder, write_model

    if mode is Mode.HEAD:
        check({"data": folder, **given}, "command line")
    several = given.get("multi_label", False)
    train, measured = read_split(folder, measured_with, table_of(given), multi_label=several)
    opened = open_model(model, cache_dir, allow_short_hash=short_hash, new_classifier=True)
    if mode is Mode.FULL:
        side = opened.preprocess.image_size
        config = full_config(folder, val, model, side, len(train.files), given)
        _train(config, out, as_json, cache_dir, short_hash=short_hash)
        return
    make_folder(out)
    left_out = count_left_out(LeftOut.joined(train.left_out, measured.left_out))
    with counting("features", views * len(train.files) + len(measured.files)) as advance:
        tuned = finetune_head(
            opened,
            train,
            measured,
            views=views,
            balanced=given.get("balance", Balance.OFF) is not Balance.OFF,
            cache_dir=cache_dir,
            progress=advance,
        )
    origin = Origin(command_line(), model, tuned.train_images, runtime.current_device())
    card = write_model(tuned.model, tuned.evaluation, origin, out)
    page = evaluation_page(out.name, tuned.evaluation, tuned.held_out, tuned.results)
    write_report(out / REPORT, page)
    if as_json:
        print_json({"card": str(card), **tuned.as_dict(), "left_out": left_out})
    else:
        _print_tuned(tuned, card, out / REPORT)


@with_settings(SETTINGS)
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
    tensorboard: Annotated[
        bool, typer.Option("--tensorboard", help="Write the log for TensorBoard, too, into OUT.")
    ] = False,
    device: DeviceOption = runtime.Device.AUTO,
    short_hash: ShortHashOption = False,
    as_json: JsonOption = False,
    verbose: VerboseOption = False,
    **settings: Any,
) -> None:
    """Train a network; start several workers with `msrun … ghostnet train …`."""
    given = given_settings(settings)
    if resume and (config or given.keys() - set(MOVABLE)):
        raise typer.BadParameter(
            "a run continues with the settings in OUT/config.yaml; only these can be changed: "
            + ", ".join(MOVABLE)
        )
    check_folder(out, resume=resume)
    configure(device, verbose=verbose)
    from ghostnet.training.run.events import event_file

    if resume:
        chosen = read_config(out / CONFIG, given)
    else:
        chosen = read_config(config, given) if config else check(given, "command line")
    with event_file(out) if tensorboard else nullcontext(lambda row: None) as write_events:
        _train(
            chosen,
            out,
            as_json,
            resume=resume,
            short_hash=short_hash,
            evaluated=write_events,
        )


def _train(
    config: TrainingConfig,
    out: Path,
    as_json: bool,
    cache_dir: Path | None = None,
    *,
    resume: bool = False,
    short_hash: bool = False,
    evaluated: "Callable[[Row], None]" = lambda row: None,
) -> None:
    """Train, and print the result."""
    runtime.start_mindspore()
    from ghostnet.training.run import loop

    def show_epoch(row: "Row") -> None:
        show_curve(row)
        evaluated(row)

    left_out: dict[str, int] = {}
    with _training_bar() as (show, show_teacher, show_curve):
        history = loop.train(
            config,
            out,
            command=command_line(),
            resume=resume,
            cache_dir=cache_dir,
            allow_short_hash=short_hash,
            opened=lambda task: left_out.update(count_left_out(task.left_out)),
            progress=show,
            teacher_progress=show_teacher,
            evaluated=show_epoch,
        )
    if history is None:  # another worker prints the result
        return
    best = history.best
    if as_json:
        print_json({"card": str(history.card), **best.measures, "left_out": left_out})
    else:
        figure = (best.title, f"{best.score:.2%}")
        rows = [figure, ("log", out / "log.csv"), ("page", out / REPORT)]
        print_table(str(history.card), None, rows)


Watchers = tuple[
    "Callable[[Progress], None]", "Callable[[int, int], None]", "Callable[[Row], None]"
]
"""What shows steps, a teacher's answers, and epochs."""


@contextmanager
def _training_bar() -> Iterator[Watchers]:
    """Show the run on stderr, if it is a terminal: steps, score by epoch, a teacher's work."""
    with progress_bar() as bar:
        task = bar.add_task("train")
        teacher = bar.add_task("teacher", visible=False)
        rows: list[Row] = []

        def show(progress: "Progress") -> None:
            text = f"loss {progress.loss:.3f}, {progress.images_per_second:.1f} images/s"
            if rows:
                scores = [row.score for row in rows]
                text += f", {rows[-1].title} {sparkline(scores)} {scores[-1]:.1%}"
            bar.update(task, completed=progress.step, total=progress.steps, description=text)

        def show_teacher(done: int, wanted: int) -> None:
            bar.update(teacher, completed=done, total=wanted, visible=done < wanted)

        yield show, show_teacher, rows.append


def _print_tuned(tuned: "Tuned", card: Path, page: Path) -> None:
    evaluation = tuned.evaluation
    rows = [
        *accuracy_rows(evaluation),
        ("trained on", f"{tuned.train_images:,} images"),
        ("classes" if tuned.model.thresholds is None else "labels", ", ".join(evaluation.labels)),
        ("page", page),
        *(("skipped", reason) for _, reason in evaluation.skipped),
        ("try it", f"ghostnet predict --model {shlex.quote(str(card))} PHOTO"),
    ]
    print_table(str(card), None, rows)
