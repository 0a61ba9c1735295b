"""Run the notebooks and keep their outputs: ``python website/execute_notebooks.py [NOTEBOOK…]``."""

import sys
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbformat import NotebookNode

FOLDER = Path(__file__).resolve().parents[1] / "docs/notebooks"
TIMEOUT_SECONDS = 600


def execute(path: Path) -> NotebookNode:
    """Run a notebook in a clean kernel, in its own folder.

    Returns:
        The notebook with the outputs.

    Raises:
        nbclient.exceptions.CellExecutionError: A cell failed.
    """
    notebook = nbformat.read(path, as_version=4)
    resources = {"metadata": {"path": str(path.parent)}}
    client = NotebookClient(
        notebook, timeout=TIMEOUT_SECONDS, record_timing=False, resources=resources
    )
    return client.execute()


if __name__ == "__main__":
    for path in map(Path, sys.argv[1:]) if sys.argv[1:] else sorted(FOLDER.glob("*.ipynb")):
        nbformat.write(execute(path), path)
