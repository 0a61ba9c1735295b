"""A notebook as a page: cells and their stored outputs as Markdown, plots as files."""

import base64
from collections.abc import Iterator
from pathlib import Path

import nbformat
from nbformat import NotebookNode


def files(path: Path) -> Iterator[tuple[str, str | bytes]]:
    """Yield name and content of the page ``<stem>.md`` and of each plot ``<stem>-<number>.png``."""
    notebook = nbformat.read(path, as_version=4)
    plots: list[bytes] = []
    parts = [part for cell in notebook.cells for part in _cell(cell, path.stem, plots)]
    yield f"{path.stem}.md", "\n\n".join(parts) + "\n"
    for number, plot in enumerate(plots, 1):
        yield _plot_name(path.stem, number), plot


def _cell(cell: NotebookNode, stem: str, plots: list[bytes]) -> Iterator[str]:
    if cell.cell_type == "markdown":
        yield cell.source
        return
    yield _fenced(cell.source, "python")
    for output in cell.outputs:
        data = output.get("data", {"text/plain": output.get("text")})
        if "image/png" in data:
            plots.append(base64.b64decode(data["image/png"]))
            yield f"![Plot]({_plot_name(stem, len(plots))})"
        elif "text/html" in data:
            yield data["text/html"]
        else:
            yield _fenced(data["text/plain"].rstrip(), "text")


def _plot_name(stem: str, number: int) -> str:
    return f"{stem}-{number}.png"


def _fenced(text: str, language: str) -> str:
    return f"```{language}\n{text}\n```"
