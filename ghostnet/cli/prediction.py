"""The commands that label images: `predict` and `eval`."""

import json
from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ghostnet.cli.models import configure, open_model
from ghostnet.cli.name_list import STDIN, NameList
from ghostnet.cli.options import (
    AddressOption,
    BatchOption,
    ByContentOption,
    CacheOption,
    DeviceOption,
    ExecutionOption,
    ExplainOption,
    FuseOption,
    JsonOption,
    LabelsOption,
    ListOption,
    ModelOption,
    NullOption,
    RayOption,
    ResumeOption,
    ShortHashOption,
    UpdateOption,
    VerboseOption,
)
from ghostnet.cli.output import count_left_out, counting, print_json, print_table, say
from ghostnet.cli.row_file import OUT_BATCH, RowFile, check_cluster, source, write_rows
from ghostnet.cli.settings import given_settings, table_of, with_settings
from ghostnet.export.formats import Backend
from ghostnet.models.registry import DEFAULT_MODEL
from ghostnet.runtime import Device, Execution
from ghostnet.training.config import TABLE

if TYPE_CHECKING:
    from ghostnet.inference.report import Draw
    from ghostnet.model import Evaluation, Model, Result
    from ghostnet.model.forward import Forward


def predict(
    paths: Annotated[
        list[str] | None,
        typer.Argument(help="Images or their URLs, folders, archives, or - for an image on stdin."),
    ] = None,
    model: ModelOption = DEFAULT_MODEL,
    labels: LabelsOption = None,
    list_file: ListOption = None,
    null: NullOption = False,
    out: Annotated[
        Path | None,
        typer.Option(help="File for the results: .csv, .jsonl or .parquet, written row by row."),
    ] = None,
    resume: ResumeOption = False,
    update: UpdateOption = None,
    by_content: ByContentOption = False,
    report: Annotated[
        Path | None, typer.Option(help="Page of HTML with the images and their labels.")
    ] = None,
    explain: ExplainOption = False,
    top_k: Annotated[int, typer.Option(min=1, help="Labels per image.")] = 3,
    batch_size: Annotated[
        int | None,
        typer.Option(min=1, help="Images per call of the network. Default: 1, or 32 with OUT."),
    ] = None,
    ray: RayOption = False,
    address: AddressOption = None,
    fuse: FuseOption = True,
    backend: Annotated[Backend, typer.Option(help="What runs the network.")] = Backend.GHOSTNET,
    device: DeviceOption = Device.AUTO,
    execution: ExecutionOption = Execution.GRAPH,
    cache_dir: CacheOption = None,
    short_hash: ShortHashOption = False,
    as_json: JsonOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Label images: print the likeliest classes of each, and the time the network took."""
    if not paths and list_file is None:
        raise typer.BadParameter("give images, folders or archives, or a list of them with --list")
    file = RowFile.of(out, update, resume=resume, by_content=by_content)
    if report and file:
        raise typer.BadParameter("a page for --report does not go with --out or --update")
    _check_explain(explain, report)
    check_cluster(paths or [], address, ray=ray)
    if list_file == STDIN and STDIN in (paths or []):
        raise typer.BadParameter("stdin is either an image (-) or a list (--list -)")
    if update and STDIN in (paths or []):
        raise typer.BadParameter("--update compares files, so it takes no image on stdin (-)")
    if ray:
        _check_ray(file, fuse=fuse, backend=backend, device=device)
    configure(device, execution, verbose=verbose)
    opened = open_model(model, cache_dir, labels, allow_short_hash=short_hash)
    size = batch_size or (OUT_BATCH if file else 1)
    names = NameList(paths or [], list_file, null=null)
    from ghostnet.inference.provenance import Provenance

    if ray:
        from ghostnet.inference.ray_classifier import RayClassifier
        from ghostnet.inference.ray_cluster import connect

        assert file is not None  # as _check_ray found
        settings = {"model": opened, "top_k": top_k, "batch_size": size}
        cluster = connect(RayClassifier, settings, address=address, verbose=verbose)
        provenance = Provenance.of(opened, top_k)
        write_rows(cluster, provenance, names, file, as_json=as_json)
        return
    from ghostnet.export.runtimes import deploy
    from ghostnet.inference.labeling import label_with
    from ghostnet.model.forward import open_forward

    is_own = backend is Backend.GHOSTNET
    forward = open_forward(opened, fused=fuse) if is_own else deploy(opened, backend)
    if file:
        labeler = label_with(opened, top_k, batch_size=size, forward=forward)
        provenance = Provenance.of(opened, top_k)
        write_rows(nullcontext(labeler), provenance, names, file, as_json=as_json)
    else:
        _show(
            opened,
            names,
            top_k,
            batch_size=size,
            forward=forward,
            report=report,
            explain=explain,
            as_json=as_json,
        )


def _check_explain(explain: bool, report: Path | None) -> None:
    if explain and not report:
        raise typer.BadParameter("--explain needs --report; for one image, use ghostnet explain")


def _draw(model: "Model", *, explain: bool) -> "Draw":
    """Choose what draws an image in a report."""
    from ghostnet.inference.report import explained_by, thumbnail

    return explained_by(model) if explain else thumbnail


def _check_ray(file: RowFile | None, *, fuse: bool, backend: Backend, device: Device) -> None:
    """Check that the other arguments are possible on a cluster."""
    if file is None:
        raise typer.BadParameter("--ray needs --out or --update")
    if not fuse or backend is not Backend.GHOSTNET or device not in (Device.AUTO, Device.CPU):
        raise typer.BadParameter(
            "--ray runs the fused kernels on CPUs: leave out --no-fuse, --backend, --device"
        )


def _show(
    model: "Model",
    names: NameList,
    top_k: int,
    *,
    batch_size: int,
    forward: "Forward",
    report: Path | None,
    explain: bool,
    as_json: bool,
) -> None:
    """Print the labels of each image, and the time the network took."""
    from ghostnet.data.image_folder import walk_images
    from ghostnet.data.left_out import LeftOut
    from ghostnet.errors import ImageError

    left_out = LeftOut()
    images = [source(name) for name in walk_images(names, left_out)]
    counts = count_left_out(left_out)
    if not images:
        raise ImageError(f"no images in {names}")
    forward(model.preprocess.blank(batch_size))  # the first image does not wait for compilation
    with counting("predict", len(images)) as advance:
        results = []
        for result in model.results(images, batch_size=batch_size, forward=forward):
            advance(1)
            results.append(result)
    if report:
        from ghostnet.inference.report import prediction_page, write_report

        draw = _draw(model, explain=explain)
        write_report(report, prediction_page(model.name, results, top_k, draw))
    if as_json:
        last = [{"left_out": counts}] if counts else []
        print_json([result.to_dict(top_k) for result in results] + last)
    else:
        rows = [(result.name, *_cells(result, top_k)) for result in results]
        print_table(model.name, ("file", "labels", "ms"), rows)
    if left_out.is_partial or any(result.error for result in results):
        raise typer.Exit(1)


def _cells(result: "Result", top_k: int) -> tuple[str, str]:
    """Return the table cells of one image: its labels or error, and the time."""
    if result.error:
        return str(result.error), ""
    labels = (f"{best.probability:6.1%}  {best.label}" for best in result.top(top_k))
    return "\n".join(labels), f"{result.milliseconds:.1f}"


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
    _check_explain(explain, report)
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

        draw = _draw(opened, explain=explain)
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
