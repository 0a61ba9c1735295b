"""The command that labels images: `predict`."""

from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ghostnet.cli.models import configure, open_model
from ghostnet.cli.name_list import STDIN, NameList
from ghostnet.cli.options import (
    AddressOption,
    ByContentOption,
    CacheOption,
    DeviceOption,
    DtypeChoice,
    DtypeOption,
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
from ghostnet.cli.output import count_left_out, counting, print_json, print_table
from ghostnet.cli.report import check_explain, draw_with
from ghostnet.cli.row_file import OUT_BATCH, RowFile, check_cluster, source, write_rows
from ghostnet.export.formats import Backend
from ghostnet.models.registry import DEFAULT_MODEL
from ghostnet.runtime import Device, Execution

if TYPE_CHECKING:
    from ghostnet.model import Model, Result
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
    top_k: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Labels per image. Default: 3, or all that reach their thresholds if the images "
            "of the model may have several.",
        ),
    ] = None,
    batch_size: Annotated[
        int | None,
        typer.Option(min=1, help="Images per call of the network. Default: 1, or 32 with OUT."),
    ] = None,
    ray: RayOption = False,
    address: AddressOption = None,
    fuse: FuseOption = True,
    dtype: DtypeOption = DtypeChoice.FLOAT32,
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
    check_explain(explain, report)
    check_cluster(paths or [], address, ray=ray)
    if list_file == STDIN and STDIN in (paths or []):
        raise typer.BadParameter("stdin is either an image (-) or a list (--list -)")
    if update and STDIN in (paths or []):
        raise typer.BadParameter("--update compares files, so it takes no image on stdin (-)")
    if ray:
        _check_ray(file, fuse=fuse, backend=backend, device=device)
    if dtype is not DtypeChoice.FLOAT32 and (ray or not fuse or backend is not Backend.GHOSTNET):
        raise typer.BadParameter(
            "--dtype is for the fused kernels of this machine: leave out --ray, --no-fuse and "
            "--backend"
        )
    configure(device, execution, verbose=verbose)
    opened = open_model(model, cache_dir, labels, allow_short_hash=short_hash)
    size = batch_size or (OUT_BATCH if file else 1)
    from ghostnet.model.result import shown_count

    top_k = top_k or shown_count(opened.labels, opened.thresholds)
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
    forward = (
        open_forward(opened, fused=fuse, dtype=dtype.value) if is_own else deploy(opened, backend)
    )
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

        draw = draw_with(model, explain=explain)
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
    from ghostnet.model.result import NO_LABEL

    labels = (f"{best.probability:6.1%}  {best.label}" for best in result.given(top_k))
    return "\n".join(labels) or NO_LABEL, f"{result.milliseconds:.1f}"
