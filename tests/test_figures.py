"""The figures in the documents are those of the committed results."""

import re

import pytest
from figures import documents, fill
from measured import ROOT

DOCUMENTS = documents()
FIGURE = "It takes <!-- figure: {footprint[inference_mib]:.0f} -->%s<!-- / --> MiB."
TABLE = """<!-- table: backbones
| {0} | {1} | {correct} of {images} | -->
| model | task | right |
| --- | --- | ---: |
%s<!-- / -->"""
ROW = "| flowers | pets | 200 of 999 |"


@pytest.mark.parametrize("path", DOCUMENTS)
def test_a_document_has_the_figures_of_the_results(path: str) -> None:
    text = (ROOT / path).read_text()
    assert text == DOCUMENTS[path], "run: python website/figures.py"
    assert len(re.findall("<!-- (?:figure|table)", text)) == text.count("<!-- / -->")
    assert not re.search(r"^\s*<!-- figure", text, re.MULTILINE)  # it would end the paragraph


@pytest.mark.parametrize(
    ("template", "shown", "current"),
    [(FIGURE, "99", ">158<"), (TABLE, "", ROW), (TABLE, "| old | row | 1 of 2 |\n", ROW)],
)
def test_an_outdated_figure_is_replaced(template: str, shown: str, current: str) -> None:
    text = fill(template % shown)
    assert current in text
    assert text == fill(text)
    assert "99" not in text.replace("999", "")
    assert "old" not in text
