"""The documentation as a site: complete, and loading nothing from elsewhere."""

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
import typer

import ghostnet
from ghostnet.cli.main import command

pytest.importorskip("mkdocs", reason="needs the extra docs")

REPOSITORY = Path(__file__).resolve().parents[1]


class Elements(HTMLParser):
    """The ids of a page, and the addresses of what a browser loads with it."""

    LOADED = frozenset({"script", "img", "link", "source", "iframe", "video", "input"})

    def __init__(self, html: str) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.loaded: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.ids.add(values.get("id") or "")
        address = values.get("src") or values.get("href")
        if tag in self.LOADED and address and values.get("rel") != "canonical":
            self.loaded.append(address)


def read(page: Path) -> Elements:
    return Elements(page.read_text())


@pytest.mark.slow
def test_pages_load_nothing_from_elsewhere(site: Path) -> None:
    for page in site.rglob("*.html"):
        for address in read(page).loaded:
            assert not re.match(r"(\w+:)?//", address), f"{page.relative_to(site)}: {address}"
    for sheet in site.rglob("*.css"):
        assert not re.search(r"(url\(|@import)\s*[\"']?(\w+:)?//", sheet.read_text()), sheet


@pytest.mark.slow
def test_every_public_name_is_on_an_api_page(site: Path) -> None:
    ids = {name for page in (site / "api").rglob("*.html") for name in read(page).ids}
    shown = {name.rpartition(".")[2] for name in ids if name.startswith("ghostnet.")}
    assert set(ghostnet.__all__) <= shown


@pytest.mark.slow
def test_every_verb_is_on_the_page_of_the_command_line(site: Path) -> None:
    verbs = typer.main.get_command(command()).commands
    plain = {verb for verb, command in verbs.items() if not hasattr(command, "commands")}
    assert (
        plain | {f"hub-{verb}" for verb in verbs["hub"].commands}
        <= read(site / "cli/index.html").ids
    )


@pytest.mark.slow
def test_measured_tables_are_those_of_the_benchmarks(site: Path) -> None:
    table = (REPOSITORY / "docs/cpu_inference.md").read_text()
    page = (site / "cpu_inference/index.html").read_text()
    rows = re.findall(r"^.*\| mindspore-fused\S* \|.*$", table, re.MULTILINE)
    assert rows
    for row in rows:
        cells = [cell.strip("` ") for cell in row.strip("|").split("|")][3:]
        assert re.search(r"\s*".join(f"<td[^>]*>{re.escape(cell)}</td>" for cell in cells), page)


@pytest.mark.slow
def test_notebooks_are_pages_with_their_plots(site: Path) -> None:
    for notebook in (REPOSITORY / "docs/notebooks").glob("*.ipynb"):
        page = site / "notebooks" / notebook.stem / "index.html"
        plots = [address for address in read(page).loaded if notebook.stem in address]
        assert plots
        for plot in plots:
            assert (page.parent / plot).read_bytes().startswith(b"\x89PNG")
