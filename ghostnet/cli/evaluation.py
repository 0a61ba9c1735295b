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
    from ghostnet.model import Evaluation, Result


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
    """Measure the accuracy of a model on labeled images: top-1, top-5 and per class."""
    check_explain(explain, report)
    configure(device, execution, verbose=verbose)
    opened = open_model(model, cache_dir, labels, allow_short_hash=short_hash)
    from ghostnet.data.split import read_measured
    from ghostnet.model.evaluation import evaluate
    from ghostnet.model.forward import open_forward

    images = read_measured(folder, table_of(given_settings(settings)))
    left_out = count_left_out(images.left_out)
    forward = open_forward(opened, fused=fuse)
    files = [file for file, _ in images.files]
    kept: list[Result] = []
    results = opened.results(files, batch_size=batch_size, forward=forward)
    if report:
        results = _keeping(results, kept)
    with counting("eval", len(files)) as advance:
        result = evaluate(opened.name, opened.labels, images, results, advance)
    document = result.as_dict() | {"left_out": left_out}
    if report:
        from ghostnet.inference.report import evaluation_page, write_report

        draw = draw_with(opened, explain=explain)
        write_report(report, evaluation_page(opened.name, result, images, kept, draw))
    if out:
        _write_confusion(result, document, out)
    if as_json:
        print_json(document)
    else:
        _print_evaluation(opened.name, result)
    if images.left_out.is_partial:
        raise typer.Exit(1)


def _keeping(results: Iterable["Result"], kept: list["Result"]) -> Iterator["Result"]:
    """Yield results and append them to a list."""
    for result in results:
        kept.append(result)
        yield result


def _print_evaluation(model: str, result: "Evaluation") -> None:
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
