"""Hooks of MkDocs: generated pages, files from outside `docs`, and links.

MkDocs calls the functions by their names.
"""

import posixpath
import re
from pathlib import Path
from typing import Any

import command_page
import notebook_page
import try_it
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[1]

PLACES = {
    "docs/": "",
    "benchmarks/results/": "benchmarks/",
    "assets/images/": "photographs/",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "README.md": "index.md",
}
"""Place on the site of each folder and file of the repository."""

COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
"""A comment; those of figures hold what MkDocs would take for links."""

LINK = re.compile(r"(?<=\]\()([^)#:\s]+)(?=[)#\s])")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages and files from outside `docs`."""
    for notebook in [file for file in files if file.src_path.endswith(".ipynb")]:
        for path, content in notebook_page.files(Path(str(notebook.abs_src_path))):
            folder = posixpath.dirname(notebook.src_path)
            files.append(File.generated(config, posixpath.join(folder, path), content=content))
        files.remove(notebook)
    for name in ("CHANGELOG.md", "CONTRIBUTING.md"):
        files.append(File.generated(config, PLACES[name], abs_src_path=str(ROOT / name)))
    for folder in ("benchmarks/results/", "assets/images/"):
        for path in sorted((ROOT / folder).iterdir()):
            target = PLACES[folder] + path.name
            files.append(File.generated(config, target, abs_src_path=str(path)))
    files.append(File.generated(config, "cli.md", content=command_page.page()))
    for target, content in try_it.files():
        files.append(File.generated(config, f"try-it/{target}", content=content))
    return files


def on_page_markdown(markdown: str, page: Page, **_: Any) -> str:
    """Rewrite links between files of the repository as links of the site; drop comments."""
    here = posixpath.dirname(page.file.src_path)
    source = _in_repository(page.file.src_path)

    def on_site(match: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(posixpath.dirname(source), match[1]))
        place = next((place for place in PLACES if target.startswith(place)), None)
        if place is None:
            return match[1]
        target = PLACES[place] + target.removeprefix(place)
        if target.endswith(".ipynb"):
            target = target.removesuffix(".ipynb") + ".md"
        return posixpath.relpath(target, here or ".")

    return LINK.sub(on_site, COMMENT.sub("", markdown))


def _in_repository(page: str) -> str:
    """Return the path in the repository of a page of the site."""
    for source, target in PLACES.items():
        if target and page.startswith(target) and not (ROOT / "docs" / page).exists():
            return source + page.removeprefix(target)
    return f"docs/{page}"
