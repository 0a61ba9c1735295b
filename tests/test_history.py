"""The history of a training run, which a notebook shows while it grows."""

from pathlib import Path
from xml.etree import ElementTree

import pytest

from ghostnet.training.run.curve import curve_svg
from ghostnet.training.run.history import History
from ghostnet.training.run.log import Row


def rows(count: int) -> list[Row]:
    return [
        Row(epoch, 0.1, 3.0 / epoch, {"top1": epoch / 10, "balanced": epoch / 20}, 25.0)
        for epoch in range(1, count + 1)
    ]


@pytest.mark.parametrize("count", [1, 2, 7])
def test_a_history_is_a_curve_and_its_best_epoch(tmp_path: Path, count: int) -> None:
    history = History(tmp_path / "<run>", rows(count), best_epoch=count)
    assert history.best.score == count / 10
    assert history.card == tmp_path / "<run>" / "card.md"
    assert f"{count} epochs, the best one {count}, top-1 {count}0.0%" in repr(history)
    (drawing,) = ElementTree.fromstring(f"<p>{curve_svg(history.rows)}</p>")
    assert drawing.attrib["aria-label"] == "Loss and top-1 by epoch"
    assert len(drawing.findall("circle")) == 2 * count
    html = history._repr_html_()
    assert "<svg" in html
    assert f"<td>{count / 10:.4g}</td>" in html


def test_a_history_without_epochs_says_so() -> None:
    assert "no epoch yet" in repr(History(Path("run")))
    assert "&lt;run&gt;: no epoch yet" in History(Path("<run>"))._repr_html_()


PROGRAM = """
from pathlib import Path
from ghostnet.training.run.history import History, notebook_display
from ghostnet.training.run.log import Row

show = notebook_display()
history = History(Path("run"))
for epoch in (1, 2, 3):
    history.rows.append(Row(epoch, 0.1, 1.0, {"top1": 0.5}, 1.0))
    history.best_epoch = epoch
    show(history)
"""


@pytest.mark.nightly
def test_a_notebook_shows_one_curve_that_grows() -> None:
    nbformat = pytest.importorskip("nbformat.v4", reason="needs the extra dev")
    nbclient = pytest.importorskip("nbclient", reason="needs the extra dev")
    notebook = nbformat.new_notebook(cells=[nbformat.new_code_cell(PROGRAM)])
    nbclient.NotebookClient(notebook, timeout=120).execute()
    (output,) = notebook.cells[0].outputs
    assert output.data["text/html"].count("<circle") == 6


def test_elsewhere_nothing_is_shown(capsys: pytest.CaptureFixture) -> None:
    namespace: dict[str, object] = {}
    exec(PROGRAM, namespace)
    assert capsys.readouterr() == ("", "")
