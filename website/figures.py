"""Keep the figures in the documents equal to the results of the benchmarks.

``python website/figures.py`` writes the figures of `benchmarks/results` into the documents. A test
fails where that would change anything.

`sentences.SENTENCES` lists every sentence with figures, and `tables.TABLES` every table. A table
stands between the lines ``<!-- figures: NAME -->`` and ``<!-- /figures -->`` of its document.
"""

from drawing import latency_svg
from measured import ROOT
from sentences import SENTENCES
from tables import TABLES, write_table

DRAWING = "docs/images/latency.svg"


def documents() -> dict[str, str]:
    """Return every document with its figures, by path."""
    texts = {DRAWING: latency_svg()}
    for sentence in SENTENCES:
        path = sentence.document
        texts[path] = sentence.write(texts.get(path) or (ROOT / path).read_text())
    for name, (path, content) in TABLES.items():
        texts[path] = write_table(texts.get(path) or (ROOT / path).read_text(), name, content())
    return texts


if __name__ == "__main__":
    for path, text in documents().items():
        file = ROOT / path
        if not file.exists() or file.read_text() != text:
            file.write_text(text)
            print(f"updated {path}")
