"""The notebooks run in a clean kernel; their stored outputs are complete, small and quiet."""

import re
from pathlib import Path

import pytest

from ghostnet.hub.catalog import shipped_card
from ghostnet.models.registry import DEFAULT_MODEL

nbformat = pytest.importorskip("nbformat", reason="needs the extra dev")
pytest.importorskip("nbclient", reason="needs the extra dev")

from execute_notebooks import FOLDER, execute  # noqa: E402
from nbformat import NotebookNode  # noqa: E402

NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
MAX_BYTES = 1_500_000


def named(notebooks: list[Path]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("path", notebooks, ids=lambda path: path.stem)


def outputs(notebook: NotebookNode) -> list[NotebookNode]:
    return [output for cell in notebook.cells for output in cell.get("outputs", [])]


@pytest.mark.nightly
@pytest.mark.slow
@named(NOTEBOOKS)
def test_a_notebook_runs_in_a_clean_kernel(path: Path, request: pytest.FixtureRequest) -> None:
    if "shared/data" in path.read_text():
        request.getfixturevalue("shared")
    assert "stderr" not in {output.get("name") for output in outputs(execute(path))}


@named(NOTEBOOKS)
def test_a_notebook_is_kept_with_its_outputs(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    assert "error" not in {output.output_type for output in outputs(notebook)}
    assert any("image/png" in output.get("data", {}) for output in outputs(notebook))
    assert "stderr" not in {output.get("name") for output in outputs(notebook)}
    assert not re.search(r"/(home|root|tmp|work|Users)/", str(outputs(notebook)))
    assert path.stat().st_size < MAX_BYTES


def test_the_first_notebook_runs_the_card_s_own_usage_section() -> None:
    usage = shipped_card(DEFAULT_MODEL).read_text().split("## Usage")[1]
    snippet = usage.split("```python\n")[1].split("```")[0].strip()
    notebook = nbformat.read(FOLDER / "inference.ipynb", as_version=4)
    assert f"{snippet};" in [cell.source for cell in notebook.cells]
