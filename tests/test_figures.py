"""The figures in the documents are those of the committed results."""

import pytest
from figures import documents
from measured import ROOT
from sentences import SENTENCES, Sentence
from tables import TABLES, write_table

DOCUMENTS = documents()


@pytest.mark.parametrize("path", DOCUMENTS)
def test_a_document_has_the_figures_of_the_results(path: str) -> None:
    assert (ROOT / path).read_text() == DOCUMENTS[path], "run: python website/figures.py"


@pytest.mark.parametrize("sentence", SENTENCES, ids=lambda sentence: sentence.template[:40])
def test_an_outdated_figure_is_replaced(sentence: Sentence) -> None:
    text = sentence.write((ROOT / sentence.document).read_text())
    values = iter(sentence.figures())
    outdated = sentence._replace(figures=lambda: [type(value)(0) for value in values])
    changed = outdated.write(text)
    assert changed != text
    assert sentence.write(changed) == text


def test_a_sentence_that_is_missing_or_repeated_is_an_error() -> None:
    sentence = Sentence("README.md", "takes {:.1f} ms", lambda: [2.0])
    assert sentence.write("It takes\n1.4 ms.") == "It takes\n2.0 ms."
    for text in ("It is fast.", "It takes 1.0 ms or takes 2.0 ms."):
        with pytest.raises(ValueError, match=r"README\.md: expected once"):
            sentence.write(text)


@pytest.mark.parametrize("name", TABLES)
def test_an_outdated_table_is_replaced(name: str) -> None:
    text = (ROOT / TABLES[name][0]).read_text()
    changed = write_table(text, name, "| outdated |")
    assert changed != text
    assert write_table(changed, name, TABLES[name][1]()) == text


def test_a_table_that_is_missing_is_an_error() -> None:
    with pytest.raises(ValueError, match="expected the table speed once"):
        write_table("no table", "speed", "")
