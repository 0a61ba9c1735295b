"""The command that measures the accuracy of a model: `eval`."""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ghostnet.cli.models import configure, open_model
from ghostnet.cli.options import (
    BatchOption,
    CacheOption,
    DeviceOption,
    ExecutionOption,
    ExplainOption,
    FuseOption,
    JsonOption,
    LabelsOption,
    ModelOption,
    ShortHashOption,
    VerboseOption,
)
from ghostnet.cli.output import count_left_out, counting, print_json, print_table, say
from ghostnet.cli.report import check_explain, draw_with
from ghostnet.cli.settings import given_settings, table_of, with_settings
from ghostnet.models.registry import DEFAULT_MODEL
from ghostnet.runtime import Device, Execution
from ghostnet.training.config import TABLE

if TYPE_CHECKING:
    from ghostnet.model import Evaluation, LabelEvaluation, Result


@with_settings(TABLE)
def eval(
    folder: Annotated[
        Path, typer.Argument(help="Folder or archive with a sub-folder of images per class.")
    ],
    model: ModelOption = DEFAULT_MODEL,
    labels: LabelsOption = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder for confusion.json and confusion.png.")
    ] = None,
    report: Annotated[
        Path | None,
        typer.Option(help="Page of HTML: the worst mistakes, accuracy by class, confusion."),
    ] = None,
    explain: ExplainOption = False,
    batch_size: BatchOption = 1,
    fuse: FuseOption = True,
    device: DeviceOption = Device.AUTO,
    execution: ExecutionOption = Execution.GRAPH,
    cache_dir: CacheOption = None,
    short_hash: ShortHashOption = False,
    as_json: JsonOption = False,
    verbose: VerboseOption = False,
    **settings: Any,
) -> None:
    """Measure the accuracy of a model on labeled images: top-1, top-5 and per class.

    If its images may have several labels: average precision, and F1 at its thresholds.
    """
    check_explain(explain, report)
    configure(device, execution, verbose=verbose)
    opened = open_model(model, cache_dir, labels, allow_short_hash=short_hash)
    thresholds = opened.thresholds
    if out and thresholds is not None:
        raise typer.BadParameter(
            "several labels of an image are not confused with each other; use --json or --report",
            param_hint="--out",
        )
    from ghostnet.data.split import read_measured
    from ghostnet.model.evaluation import Evaluation, evaluate
    from ghostnet.model.forward import open_forward

    table = table_of(given_settings(settings))
    images = read_measured(folder, table, multi_label=thresholds is not None)
    left_out = count_left_out(images.left_out)
    forward = open_forward(opened, fused=fuse)
    files = [file for file, _ in images.files]
    kept: list[Result] = []
    results = opened.results(files, batch_size=batch_size, forward=forward)
    if report:
        results = _keeping(results, kept)
    with counting("eval", len(files)) as advance:
        result = evaluate(
            opened.name, opened.labels, images, results, advance, thresholds=thresholds
        )
    document = result.as_dict() | {"left_out": left_out}
    if report:
        from ghostnet.inference.report import evaluation_page, write_report

        draw = draw_with(opened, explain=explain)
        write_report(report, evaluation_page(opened.name, result, images, kept, draw))
    if out and isinstance(result, Evaluation):
        _write_confusion(result, document, out)
    if as_json:
        print_json(document)
    elif isinstance(result, Evaluation):
        _print_classes(opened.name, result)
    else:
        _print_labels(opened.name, result)
    if images.left_out.is_partial:
        raise typer.Exit(1)


def _keeping(results: Iterable["Result"], kept: list["Result"]) -> Iterator["Result"]:
    """Yield results and append them to a list."""
    for result in results:
        kept.append(result)
        yield result


def _print_classes(model: str, result: "Evaluation") -> None:
    """Print the accuracy by class and in all, and what was skipped."""
    from ghostnet.model.evaluation import MAX_LABELED

    counts = result.class_images
    rows = [
        (label, f"{share:.1%}", f"{counts[label]:,}") for label, share in result.per_class.items()
    ]
    if len(result.labels) > MAX_LABELED:
        rows += [
            (f"{true} mistaken for {taken}", "", str(n))
            for true, taken, n in result.most_confused()
        ]
    summary = [
        ("top-1", f"{result.top1:.2%}", f"{result.images:,}"),
        ("top-5", f"{result.top5:.2%}", f"{result.images:,}"),
        ("balanced", f"{result.balanced:.2%}", f"{result.images:,}"),
        *(("skipped", f"{file}: {reason}", "") for file, reason in result.skipped),
    ]
    print_table(model, ("class", "correct", "images"), [*rows, *summary])


def _print_labels(model: str, result: "LabelEvaluation") -> None:
    """Print the figures of each label and their means, and what was skipped."""
    counts = result.label_images
    rows: list[tuple[str, ...]] = [
        (
            label,
            f"{precision:.1%}",
            f"{threshold:.4g}",
            f"{result.precision[label]:.1%}",
            f"{result.recall[label]:.1%}",
            f"{result.f1[label]:.1%}",
            f"{counts[label]:,}",
        )
        for label, threshold in zip(result.labels, result.thresholds, strict=True)
        if (precision := result.average_precision.get(label)) is not None
    ]
    means = {name: f"{value:.2%}" for name, value in result.measures.items()}
    mean = ("mean", means["mean_average_precision"], "", "", "", means["f1"], f"{result.images:,}")
    skipped = [("skipped", f"{file}: {reason}") for file, reason in result.skipped]
    header = ("label", "average precision", "given from", "precision", "recall", "F1", "images")
    print_table(model, header, [*rows, mean, *skipped])


def accuracy_rows(evaluation: "Evaluation | LabelEvaluation") -> list[tuple[str, str]]:
    """Return the figures of held-out images, each with its name."""
    from ghostnet.model.evaluation import Evaluation

    if not isinstance(evaluation, Evaluation):
        measures = evaluation.measures
        mean = f"{measures['mean_average_precision']:.2%} ({evaluation.images} held-out images)"
        return [("mean average precision", mean), ("mean F1", f"{measures['f1']:.2%}")]
    counts = f"{evaluation.correct} of {evaluation.images} held-out images"
    return [
        ("top-1", f"{evaluation.top1:.2%} ({counts})"),
        ("balanced", f"{evaluation.balanced:.2%} (mean of the classes)"),
    ]


def _write_confusion(result: "Evaluation", document: dict[str, Any], out: Path) -> None:
    """Write an evaluation as JSON and, if matplotlib is installed, as a plot."""
    import io

    from ghostnet.errors import DatasetError, PackageError
    from ghostnet.files import raising, write_whole
    from ghostnet.model.evaluation import plot_confusion

    content = json.dumps(document, indent=1, allow_nan=False).encode()
    with raising(DatasetError, f"{out}: cannot be written", "name another folder with --out"):
        write_whole(out / "confusion.json", content)
        plot = io.BytesIO()
        try:
            plot_confusion(result, plot)
        except PackageError as error:
            say(f"no confusion.png: {error}")
        else:
            write_whole(out / "confusion.png", plot.getvalue())
