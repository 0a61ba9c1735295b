"""What commands print: tables, JSON documents, and progress bars on stderr."""

import json
import os
import shlex
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.progress import Progress

    from ghostnet.data.image_files import LeftOut


MIN_WIDTH = 20
"""Least width of a table in a terminal, even if the terminal is narrower."""

PIPE_WIDTH = 10_000
"""Largest width of a table that is not printed to a terminal."""


def print_json(document: Any) -> None:
    """Print the one JSON document of a command, in UTF-8 whatever the locale.

    In an ASCII locale, Python keeps other bytes of file names as lone surrogates; those that are
    UTF-8 are written as such, the rest as escapes.
    """
    text = json.dumps(document, ensure_ascii=False, indent=1, allow_nan=False)
    with suppress(UnicodeEncodeError):
        text = text.encode(errors="surrogateescape").decode(errors="surrogateescape")
    sys.stdout.flush()
    sys.stdout.buffer.write(text.encode(errors="backslashreplace") + b"\n")
    sys.stdout.buffer.flush()


def print_table(title: str, header: tuple[str, ...] | None, rows: list[Any]) -> None:
    """Print a table, with two columns if there is no header; cells wrap if it is too wide."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table(title=title, show_header=header is not None)
    for name in header or ("", ""):
        table.add_column(name, overflow="fold")
    for row in rows:
        table.add_row(*("" if cell is None else escape(str(cell)) for cell in row))
    console = Console()
    is_limited = console.is_terminal or "COLUMNS" in os.environ
    console.width = max(MIN_WIDTH, console.width) if is_limited else PIPE_WIDTH
    console.print(table)


def command_line() -> str:
    """Return the command line as a shell would read it."""
    return shlex.join(["ghostnet", *sys.argv[1:]])


def count_left_out(left_out: "LeftOut") -> dict[str, int]:
    """Print on stderr which files were left out, and return their counts by reason."""
    from ghostnet.data.image_files import count_reasons, describe

    if left_out:
        print(f"ghostnet: left out: {describe(left_out)}", file=sys.stderr)
    return count_reasons(left_out)


def progress_bar(*columns: Any) -> "Progress":
    """Make a progress bar on stderr, which is hidden unless stderr is a terminal.

    Args:
        *columns: Columns after the description and the bar; by default counts and time left.
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

    return Progress(
        "{task.description}",
        BarColumn(),
        *(columns or (MofNCompleteColumn(), TimeRemainingColumn())),
        console=Console(stderr=True),
        transient=True,
        disable=not sys.stderr.isatty(),
    )


@contextmanager
def counting(
    description: str, total: int | None, *, speed: bool = False
) -> Iterator[Callable[[int], None]]:
    """Show a progress bar; the block gets a function that advances it.

    Args:
        description: What is counted.
        total: The final count; None if it is not known.
        speed: Show images per second too.
    """
    with progress_bar(*(_speed_columns() if speed else ())) as progress:
        task = progress.add_task(description, total=total)
        yield lambda count: progress.advance(task, count)


def _speed_columns() -> list[Any]:
    """Return columns for counts, images per second and the time left."""
    from rich.progress import MofNCompleteColumn, ProgressColumn, Task, TimeRemainingColumn
    from rich.text import Text

    class Speed(ProgressColumn):
        """Images per second."""

        def render(self, task: Task) -> Text:
            return Text(f"{task.speed or 0:,.0f} images/s")

    return [MofNCompleteColumn(), Speed(), TimeRemainingColumn()]


def watch_download(name: str, length: int | None, chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Pass on the chunks of a download and show its progress."""
    from rich.progress import DownloadColumn, TransferSpeedColumn

    with progress_bar(DownloadColumn(), TransferSpeedColumn()) as progress:
        task = progress.add_task(name, total=length)
        for chunk in chunks:
            yield chunk
            progress.advance(task, len(chunk))
