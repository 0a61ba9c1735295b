"""The commands that check and measure: `verify`, `benchmark` and `doctor`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ghostnet.cli.models import configure
from ghostnet.cli.options import (
    CacheOption,
    JsonOption,
    ModelOption,
    ShortHashOption,
    UidArgument,
    VerboseOption,
)
from ghostnet.cli.output import counting, print_json, print_table, visible
from ghostnet.models.registry import DEFAULT_MODEL

if TYPE_CHECKING:
    from ghostnet.verify import Check


def verify(
    uid: UidArgument,
    data: Annotated[
        Path | None, typer.Option(help="Images of the card's data set, to measure the accuracy.")
    ] = None,
    cache_dir: CacheOption = None,
    short_hash: ShortHashOption = False,
    as_json: JsonOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Check every claim of a card; the exit status is 1 if a claim is wrong."""
    configure(verbose=verbose)
    from ghostnet import verify as verification

    with counting("images", None) as advance:
        checks = verification.verify(
            uid, data=data, cache_dir=cache_dir, progress=advance, allow_short_hash=short_hash
        )
    failed = any(check.verdict is verification.Verdict.FAILED for check in checks)
    if as_json:
        print_json({"uid": uid, "failed": failed, "checks": [vars(check) for check in checks]})
    else:
        for check in checks:
            print(visible(_line(check)))
    if failed:
        raise typer.Exit(1)


def _line(check: "Check") -> str:
    """Describe a check in one line: verdict, subject, claim, measured figure, reason."""
    parts = {
        "claim": check.claim,
        "measured": check.measured,
        "because": " ".join(check.reason.split()),
    }
    details = ", ".join(f"{name} {text}" for name, text in parts.items() if text)
    return f"{check.verdict.value:<11}  {check.subject}: {details}"


def benchmark(
    model: ModelOption = DEFAULT_MODEL,
    batch_size: Annotated[
        int, typer.Option("--batch-size", "--batch", min=1, help="Images per call.")
    ] = 1,
    threads: Annotated[
        int | None, typer.Option(min=1, help="Threads of each engine. Default: one per processor.")
    ] = None,
    against: Annotated[
        str, typer.Option(help="Engines to compare with, separated by commas.")
    ] = "mindspore",
    rounds: Annotated[
        int, typer.Option(min=1, help="Rounds in which the engines take turns.")
    ] = 10,
    cache_dir: CacheOption = None,
    as_json: JsonOption = False,
) -> None:
    """Time a model on this machine's CPU, in this package and, in turn, in other engines.

    Engines: ghostnet (this package, always measured), mindspore-fused, mindspore-fused-graph,
    mindspore, mindcv, torch, torch-compile, onnxruntime, openvino, mnn, ncnn, litert.
    """
    from ghostnet.benchmark import benchmark as measure

    others = [engine.strip() for engine in against.split(",") if engine.strip()]
    engines = tuple(dict.fromkeys(["ghostnet", *others]))
    with counting("benchmark", rounds * len(engines)) as advance:
        results = measure(
            model,
            engines,
            batch=batch_size,
            threads=threads,
            rounds=rounds,
            cache_dir=cache_dir,
            progress=advance,
        )
    if as_json:
        print_json([vars(result) for result in results])
    else:
        header = ("engine", "ms per call", "quartiles", "images/s", "peak MiB")
        rows = [
            (r.engine, r.error)
            if r.error
            else (
                r.engine,
                f"{r.milliseconds:.2f}",
                f"{r.low:.2f} – {r.high:.2f}",
                f"{r.images_per_second:.1f}",
                "–" if r.peak_mib is None else f"{r.peak_mib:.0f}",
            )
            for r in results
        ]
        title = f"{model}, batch {batch_size}, threads {results[0].threads}"
        print_table(title, header, rows)
    if any(result.error for result in results):
        raise typer.Exit(1)


def doctor(as_json: JsonOption = False, verbose: VerboseOption = False) -> None:
    """Check this machine and explain how to fix what does not work.

    The exit status is 1 if a part that the package needs does not work.
    """
    configure(verbose=verbose)
    from ghostnet import doctor as examination

    findings = examination.examine()
    failed = any(not f.fine and f.part == examination.PACKAGE for f in findings)
    if as_json:
        print_json({"failed": failed, "findings": [finding.as_dict() for finding in findings]})
    else:
        header = ("part", "subject", "", "found", "how to fix it")
        rows = [(f.part, f.subject, "fine" if f.fine else "–", f.found, f.help) for f in findings]
        print_table("this machine", header, rows)
    if failed:
        raise typer.Exit(1)


def versions() -> dict[str, str]:
    """Return the versions of this package and what it runs on, by name."""
    import platform
    from importlib.metadata import PackageNotFoundError, version

    import ghostnet
    from ghostnet import kernels
    from ghostnet.errors import KernelError

    try:
        instruction_set = kernels.instruction_set()
    except KernelError:
        instruction_set = "not available"
    try:
        mindspore = version("mindspore")
    except PackageNotFoundError:
        mindspore = "not installed"
    return {
        "ghostnet": ghostnet.__version__,
        "mindspore": mindspore,
        "kernels": instruction_set,
        "python": platform.python_version(),
    }
