"""Keep the figures in the documents equal to the results of the benchmarks.

``python website/figures.py`` writes them. In front of a figure, a document has the template of
`str.format` that makes it, and in front of a table, the tree that it shows and the template of a
row, in which ``{0}`` and ``{1}`` are the keys that lead to a leaf::

    It takes <!-- figure: {footprint[inference_mib]:.0f} -->158<!-- / --> MiB.

    <!-- table: backbones
    | {0} | {1} | {correct} of {images} | -->
    | model | task | right |
    | --- | --- | ---: |
    | flowers | pets | 200 of 999 |
    <!-- / -->

`measured.FIGURES` has the names. The first two lines of a table are kept.
"""

import re
from collections.abc import Iterator
from string import Formatter
from typing import Any

from latency import drawing
from measured import ENGINES, FIGURES, FIRST_SCREEN, ROOT, TIMES, Case

MARK = re.compile(r"(<!-- (figure|table): ([^>]*?) -->)(.*?)(<!-- / -->)", re.DOTALL)
SERVERS = {"litserve": "LitServe", "bentoml": "BentoML"}
NAMES = {**ENGINES, "fused": ENGINES["ghostnet"], **SERVERS}


def fill(text: str) -> str:
    """Write the figures and tables of a document."""

    def filled(mark: re.Match[str]) -> str:
        begin, kind, template, shown, end = mark.groups()
        if kind == "figure":
            return begin + template.format_map(FIGURES) + end
        head = shown.splitlines()[:3]
        return "\n".join([begin + head[0], *head[1:], *rows(*template.split("\n")), end])

    return MARK.sub(filled, text)


def rows(tree: str, row: str) -> Iterator[str]:
    """Yield the rows of a table."""
    depth = len(set(re.findall(r"{\d", row)))
    for keys, leaf in leaves(Formatter().get_field(tree, (), FIGURES)[0], depth):
        yield row.format(*keys, leaf=leaf, **(leaf if isinstance(leaf, dict) else {}))


def leaves(tree: Any, depth: int, *keys: str) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield what is at a depth of dicts or in a list, and the keys that lead there."""
    if depth == 0:
        yield from ((keys, leaf) for leaf in (tree if isinstance(tree, list) else [tree]))
    else:
        for key, branch in tree.items():
            name = ", ".join(NAMES.get(word, word) for word in str(key).split(", "))
            yield from leaves(branch, depth - 1, *keys, name)


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
