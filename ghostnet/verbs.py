"""The verbs that take a model elsewhere and measure it, and `doctor` for where it runs."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ghostnet.engines import ENGINES
from ghostnet.export import Format
from ghostnet.terminal import (
    DEFAULT_MODEL,
    BatchOption,
    CacheOption,
    JsonOption,
    ModelOption,
    UidArgument,
    VerboseOption,
    bundled_model_named,
    import_mindspore,
    open_model,
    print_json,
    print_table,
    progress_bar,
)

if TYPE_CHECKING:
    from ghostnet.hub.loader import Model
    from ghostnet.verify import Check

DYNAMIC = "dynamic"


def _batch(text: str) -> int | None:
    """A number of pictures, or None for ``dynamic``."""
    if text == DYNAMIC:
        return None
    if not text.isdecimal() or int(text) == 0:
        raise typer.BadParameter(f"expected a number above 0 or {DYNAMIC}, found {text!r}")
    return int(text)


def export(
    out: Annotated[Path, typer.Argument(help="The file to write, .onnx or .mindir")],
    model: ModelOption = DEFAULT_MODEL,
    format: Annotated[Format | None, typer.Option(help="Default: the suffix of OUT.")] = None,
    batch: Annotated[str, typer.Option(help="Pictures in a batch, or dynamic.")] = DYNAMIC,
    image_size: Annotated[
        int | None, typer.Option(min=32, help="Pixels a side. Default: the model's own.")
    ] = None,
    with_preprocessing: Annotated[
        bool,
        typer.Option(help="Take cropped uint8 pictures, (batch, height, width, 3)."),
    ] = False,
    int8: Annotated[bool, typer.Option("--int8", help="Quantise; ONNX only.")] = False,
    calibrate: Annotated[
        Path | None,
        typer.Option(help="For --int8: pictures in a folder for each class, to set the ranges."),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(help="For --int8: pictures to count top-1 on. Default: those of --calibrate."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing file.")] = False,
    cache_dir: CacheOption = None,
    as_json: JsonOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Write a model as ONNX or MindIR for other runtimes."""
    from ghostnet import export as exporting
    from ghostnet.transforms import Preprocess

    length = _batch(batch)
    if int8 != (calibrate is not None):
        raise typer.BadParameter("--int8 and --calibrate DIR go together")
    exporting.check_target(out, force)
    opened = open_model(model, cache_dir, verbose=verbose)
    if image_size:
        opened = replace(opened, preprocess=Preprocess(image_size))
    choices = {"with_preprocessing": with_preprocessing, "force": force}
    answer: dict[str, Any] = {}
    if calibrate:
        answer = _export_int8(opened, out, calibrate, data or calibrate, length, choices)
    else:
        size = opened.preprocess.image_size
        exporting.export(
            opened.network, out, size, length, format=format, labels=opened.labels, **choices
        )
    answer = {"file": str(out), "bytes": out.stat().st_size, **answer}
    if as_json:
        print_json(answer)
    else:
        shown = {k: f"{v:.2%}" if isinstance(v, float) else v for k, v in answer.items()}
        print_table("exported", None, [(k.replace("_", " "), v) for k, v in shown.items()])


def _export_int8(
    model: "Model",
    out: Path,
    calibrate: Path,
    data: Path,
    batch: int | None,
    choices: dict[str, bool],
) -> dict[str, Any]:
    """Write the int8 model; returns the figures to print."""
    from ghostnet.export.int8 import export_int8
    from ghostnet.training.folders import read_folder

    pictures = read_folder(data)
    with progress_bar() as progress:
        task = progress.add_task("float32 and int8", total=2 * len(pictures.files))
        result = export_int8(
            model,
            out,
            read_folder(calibrate),
            pictures,
            batch,
            progress=lambda count: progress.advance(task, count),
            **choices,
        )
    return {
        "float32_bytes": result.float_bytes,
        "images": result.before.images,
        "float32_top1": result.before.correct / result.before.images,
        "int8_top1": result.after.correct / result.after.images,
    }


def benchmark(
    model: ModelOption = DEFAULT_MODEL,
    batch: BatchOption = 1,
    threads: Annotated[
        int | None, typer.Option(min=1, help="Default: one for each processor.")
    ] = None,
    against: Annotated[
        str, typer.Option(help=f"Engines to compare with: {', '.join(ENGINES)}.")
    ] = "mindspore",
    rounds: Annotated[int, typer.Option(min=1, help="Turns that each engine gets.")] = 10,
    cache_dir: CacheOption = None,
    as_json: JsonOption = False,
) -> None:
    """Time a model on this machine's CPU, in this package and in other engines by turns."""
    from ghostnet.benchmark import benchmark as measure

    others = [engine.strip() for engine in against.split(",") if engine.strip()]
    engines = tuple(dict.fromkeys(["mindspore-fused", *others]))
    with bundled_model_named(model), progress_bar() as progress:
        task = progress.add_task("benchmark", total=rounds * len(engines))
        results = measure(
            model,
            engines,
            batch=batch,
            threads=threads,
            rounds=rounds,
            cache_dir=cache_dir,
            progress=lambda count: progress.advance(task, count),
        )
    if as_json:
        print_json([vars(result) for result in results])
    else:
        header = ("engine", "ms a call", "quartiles", "pictures/s", "peak MiB")
        rows = [
            (r.engine, r.error)
            if r.error
            else (
                r.engine,
                f"{r.milliseconds:.2f}",
                f"{r.low:.2f} – {r.high:.2f}",
                f"{r.pictures_per_second:.1f}",
                f"{r.peak_mib:.0f}",
            )
            for r in results
        ]
        title = f"{model}, batch {batch}, threads {results[0].threads}"
        print_table(title, header, rows)
    if any(result.error for result in results):
        raise typer.Exit(1)


def verify(
    uid: UidArgument,
    data: Annotated[
        Path | None, typer.Option(help="Pictures of the card's data set, to measure accuracy on.")
    ] = None,
    cache_dir: CacheOption = None,
    as_json: JsonOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Check every claim of a card: claim, measured, verdict; exit status 1 if one fails."""
    import_mindspore(verbose)
    from ghostnet import verify as verification

    with progress_bar() as progress:
        task = progress.add_task("pictures", total=None)
        checks = verification.verify(
            uid,
            data=data,
            cache_dir=cache_dir,
            progress=lambda count: progress.advance(task, count),
        )
    failed = any(check.verdict is verification.Verdict.FAILED for check in checks)
    if as_json:
        print_json({"uid": uid, "failed": failed, "checks": [vars(check) for check in checks]})
    else:
        for check in checks:
            print(_line(check))
    if failed:
        raise typer.Exit(1)


def _line(check: "Check") -> str:
    """One claim: verdict, what it is about, claim, measured, and the reason if there is one."""
    parts = {
        "claim": check.claim,
        "measured": check.measured,
        "because": " ".join(check.reason.split()),
    }
    details = ", ".join(f"{name} {text}" for name, text in parts.items() if text)
    return f"{check.verdict.value:<11}  {check.subject}: {details}"


def doctor(as_json: JsonOption = False, verbose: VerboseOption = False) -> None:
    """Say what works on this machine and what mends the rest; status 1 if the package cannot."""
    import_mindspore(verbose)
    from ghostnet import doctor as examination

    findings = examination.examine()
    failed = any(not f.fine and f.part == examination.PACKAGE for f in findings)
    if as_json:
        print_json({"failed": failed, "findings": [finding.as_dict() for finding in findings]})
    else:
        header = ("part", "subject", "", "found", "what mends it")
        rows = [(f.part, f.subject, "fine" if f.fine else "–", f.found, f.help) for f in findings]
        print_table("this machine", header, rows)
    if failed:
        raise typer.Exit(1)
