"""What commands print: tables, JSON documents, and progress bars on stderr."""

import json
import logging
import os
import re
import shlex
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.progress import Progress

    from ghostnet.data.left_out import LeftOut


MIN_WIDTH = 20
"""Least width of a table in a terminal, even if the terminal is narrower."""

PIPE_WIDTH = 10_000
"""Largest width of a table that is not printed to a terminal."""

COMMANDS = re.compile(r"[\0-\t\v-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")
"""Characters that command a terminal: they move the cursor, change colors, turn the direction."""


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
    from rich.table import Table
    from rich.text import Text

    table = Table(title=Text(visible(title)), show_header=header is not None)
    for name in header or ("", ""):
        table.add_column(name, overflow="fold")
    for row in rows:
        table.add_row(*(Text("" if cell is None else visible(str(cell))) for cell in row))
    console = Console()
    is_limited = console.is_terminal or "COLUMNS" in os.environ
    console.width = max(MIN_WIDTH, console.width) if is_limited else PIPE_WIDTH
    console.print(table)


def say(message: str) -> None:
    """Print a message of the command on stderr."""
    print(f"ghostnet: {visible(message)}", file=sys.stderr, flush=True)


def visible(text: str) -> str:
    """Escape the characters by which a name would command a terminal; newlines stay."""
    return COMMANDS.sub(lambda found: repr(found[0])[1:-1], text)


class VisibleFormatter(logging.Formatter):
    """Makes the log's lines `visible`."""

    def format(self, record: logging.LogRecord) -> str:
        """Return a line of the log."""
        return visible(super().format(record))


def command_line() -> str:
    """Return the command line as a shell would read it."""
    return shlex.join(["ghostnet", *sys.argv[1:]])


def count_left_out(left_out: "LeftOut") -> dict[str, int]:
    """Print on stderr which files were left out, and return their counts by reason."""
    if left_out:
        say(f"left out: {left_out}")
    return left_out.counts


def progress_bar(*columns: Any) -> "Progress":
    """Make a progress bar on stderr, which is hidden unless stderr is a terminal.

    Args:
        *columns: Columns after the description and the bar; by default counts and time left.
    """
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        *(columns or (MofNCompleteColumn(), TimeRemainingColumn())),
        console=Console(stderr=True),
        transient=True,
        disable=not sys.stderr.isatty(),
    )


LEVELS = "▁▂▃▄▅▆▇█"


def sparkline(values: Sequence[float], width: int = 20) -> str:
    """Draw the last values as a line of blocks, from the least of them to the largest."""
    shown = values[-width:]
    low, high = min(shown), max(shown)
    step = (high - low) / (len(LEVELS) - 1) or 1.0
    return "".join(LEVELS[round((value - low) / step)] for value in shown)


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
        task = progress.add_task(visible(name), total=length)
        for chunk in chunks:
            yield chunk
            progress.advance(task, len(chunk))
