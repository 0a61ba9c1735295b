"""The figures in the documents are those of the committed results."""

import re

import pytest
from figures import documents, fill
from measured import ROOT

DOCUMENTS = documents()
FIGURE = (
    "It takes <!-- figure: {startup[commands][ghostnet predict][seconds]:.1f} -->%s<!-- / --> s."
)
TABLE = """<!-- table: backbones
| {0} | {1} | {correct} of {images} | -->
| model | task | right |
| --- | --- | ---: |
%s<!-- / -->
"""


@pytest.mark.parametrize("path", DOCUMENTS)
def test_a_document_has_the_figures_of_the_results(path: str) -> None:
    assert (ROOT / path).read_text() == DOCUMENTS[path], "run: python website/figures.py"


@pytest.mark.parametrize("path", [path for path in DOCUMENTS if path.endswith(".md")])
def test_marks_are_closed_and_do_not_begin_a_line_of_text(path: str) -> None:
    text = (ROOT / path).read_text()
    assert len(re.findall(r"<!-- (?:figure|table)", text)) == text.count("<!-- / -->")
    assert not re.search(r"^\s*<!-- figure", text, re.MULTILINE)  # it would end the paragraph


@pytest.mark.parametrize(
    ("template", "outdated", "current"),
    [
        (FIGURE, "99", "0.5"),
        (TABLE, "", "| flowers | pets | 200 of 999 |\n"),
        (TABLE, "| flowers | pets | 1 of 2 |\n", "| cifar10 | flowers | 231 of 370 |\n"),
    ],
)
def test_an_outdated_figure_is_replaced(template: str, outdated: str, current: str) -> None:
    text = fill(template % outdated)
    assert current in text
    assert outdated not in text or not outdated
    assert fill(text) == text


@pytest.mark.parametrize(
    "figure", ["{nothing}", "{startup[nothing]}", "{footprint[inference_mib]:x}"]
)
def test_a_figure_that_no_result_has_is_an_error(figure: str) -> None:
    with pytest.raises(ValueError, match="no figures fit"):
        fill(f"<!-- figure: {figure} -->1<!-- / -->")
