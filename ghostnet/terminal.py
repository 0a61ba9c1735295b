"""What the verbs of the command share: option types, opening a model, printing."""

import json
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ghostnet import runtime
from ghostnet.errors import FetchError

if TYPE_CHECKING:
    from rich.progress import Progress

    from ghostnet.hub.loader import Model

DEFAULT_MODEL = "noah-cvlab/gpu/1.0/ghostnet_v1.0_oxford_pets"
BUNDLED_MODEL = "ghostnet/cpu/2.10/ghostnet_v1.0_flowers"

ModelOption = Annotated[
    str, typer.Option("--model", "-m", help="UID, card (file or URL) or checkpoint (.ckpt).")
]
UidArgument = Annotated[str, typer.Argument(help="UID, card file or card URL.")]
CacheOption = Annotated[
    Path | None, typer.Option("--cache-dir", help="Default: $GHOSTNET_CACHE or ~/.mscache.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")]
BatchOption = Annotated[int, typer.Option(min=1, help="Pictures in one pass of the network.")]
FuseOption = Annotated[bool, typer.Option("--fuse/--no-fuse", help="Use the fused kernels.")]
DeviceOption = Annotated[runtime.Device, typer.Option(case_sensitive=False)]
ModeOption = Annotated[runtime.Mode, typer.Option(case_sensitive=False)]
VerboseOption = Annotated[bool, typer.Option("--verbose", "-v", help="Show MindSpore's log.")]


def import_mindspore(verbose: bool) -> None:
    """Import MindSpore, and keep its log off the terminal unless it was asked for.

    Ctrl-C waits for the end of it: a MindSpore that is half imported aborts the process.
    """
    if not verbose:
        runtime.hush()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    try:
        import mindspore  # noqa: F401
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def open_model(
    name: str,
    cache_dir: Path | None = None,
    device: runtime.Device = runtime.Device.AUTO,
    mode: runtime.Mode = runtime.Mode.GRAPH,
    verbose: bool = False,
) -> "Model":
    """The model by name; errors as in `ghostnet.hub.open_model`, with advice."""
    import_mindspore(verbose)
    runtime.configure(device, mode)
    from ghostnet.hub import loader

    with bundled_model_named(name):
        return loader.open_model(name, cache_dir=cache_dir)


@contextmanager
def bundled_model_named(name: str) -> Iterator[None]:
    """Where the default model cannot be fetched inside the block, let the error name the bundled.

    Args:
        name: of the model that the block opens.
    """
    try:
        yield
    except FetchError as error:
        if name != DEFAULT_MODEL:
            raise
        raise FetchError(
            f"{error}\nA model that needs no download: --model {BUNDLED_MODEL}"
        ) from error


def progress_bar() -> "Progress":
    """A progress bar on stderr where that is a terminal, and nothing elsewhere."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

    return Progress(
        "{task.description}",
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
        disable=not sys.stderr.isatty(),
    )


def print_json(document: Any) -> None:
    """The one JSON document of a verb."""
    print(json.dumps(document, ensure_ascii=False, indent=1))


def print_table(title: str, header: tuple[str, ...] | None, rows: list[Any]) -> None:
    """A table on stdout; without a header it has two columns."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table(title=title, show_header=header is not None)
    for index, name in enumerate(header or ("", "")):
        table.add_column(name, no_wrap=index == 0, overflow="fold")
    for row in rows:
        table.add_row(*("" if cell is None else escape(str(cell)) for cell in row))
    Console().print(table)
