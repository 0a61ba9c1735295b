"""Keep the figures in the documents equal to the results of the benchmarks.

``python website/figures.py`` writes them. A document shows where a figure goes, where it is from
and how it is formatted, by a template of `str.format`::

    It takes <!-- figure: {startup[commands][ghostnet predict][seconds]:.1f} -->0.5<!-- / --> s.

    <!-- table: backbones
    | {0} | {1} | {correct} of {images} | -->
    | model | task | right |
    | --- | --- | ---: |
    | flowers | pets | 200 of 999 |
    <!-- / -->

The names are those of `measured.FIGURES`. The template of a table's rows is applied to each leaf of
the named tree: ``{0}`` and ``{1}`` are the keys that lead to it, other names its entries. The first
two lines of a table are kept.
"""

import re
from collections.abc import Iterator
from string import Formatter
from typing import Any

from latency import drawing
from measured import ENGINES, FIGURES, FIRST_SCREEN, ROOT, TIMES, Case

MARK = re.compile(r"(<!-- (figure|table): ([^>]*?) -->)(.*?)(<!-- / -->)", re.DOTALL)
NAMES = {**ENGINES, "fused": ENGINES["ghostnet"], "litserve": "LitServe"}
FORMATTER = Formatter()


def fill(text: str) -> str:
    """Write the figures and tables of a document.

    Raises:
        ValueError: A template does not fit the figures.
    """

    def filled(mark: re.Match[str]) -> str:
        begin, kind, template, shown, end = mark.groups()
        try:
            if kind == "figure":
                return begin + FORMATTER.vformat(template, (), FIGURES) + end
            tree, row = template.split("\n")
            head = shown.splitlines()[:3]
            return "\n".join([begin + head[0], *head[1:], *table_rows(tree, row), end])
        except (LookupError, AttributeError, ValueError) as error:
            raise ValueError(f"no figures fit {template!r}: {error!r}") from error

    return MARK.sub(filled, text)


def table_rows(tree: str, row: str) -> Iterator[str]:
    """Yield the rows of a table."""
    depth = len(set(re.findall(r"{\d", row)))
    for keys, leaf in leaves(FORMATTER.get_field(tree, (), FIGURES)[0], depth):
        names = leaf if isinstance(leaf, dict) else {}
        yield FORMATTER.vformat(row, keys, {"leaf": leaf, **names})


def leaves(tree: Any, depth: int) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield what is at a depth of dicts or in a list, and the keys that lead there."""
    if depth == 0:
        yield from (((), leaf) for leaf in (tree if isinstance(tree, list) else [tree]))
        return
    for key, branch in tree.items():
        name = ", ".join(NAMES.get(word, word) for word in str(key).split(", "))
        for keys, leaf in leaves(branch, depth - 1):
            yield (name, *keys), leaf


def documents() -> dict[str, str]:
    """Return every document with its figures, by path."""
    paths = [*ROOT.glob("README*.md"), *ROOT.glob("docs/*.md")]
    texts = {str(path.relative_to(ROOT)): fill(path.read_text()) for path in paths}
    return texts | {"docs/images/latency.svg": drawing(TIMES[FIRST_SCREEN][Case()])}


if __name__ == "__main__":
    for path, text in documents().items():
        if (ROOT / path).read_text() != text:
            (ROOT / path).write_text(text)
            print(f"updated {path}")
