"""The examples of the README work as they are shown."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
README = (REPOSITORY / "README.md").read_text()
CHINESE = (REPOSITORY / "README_CN.md").read_text()
READMES = (README, CHINESE)


def blocks(language: str, text: str = README) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


COMMANDS = [
    line.removeprefix("$ ")
    for block in blocks("console")
    for line in block.splitlines()
    if line.startswith("$ ghostnet")
]


def run(command: str) -> str:
    binaries = Path(sys.executable).parent
    return subprocess.run(
        command,
        shell=True,
        check=True,
        cwd=REPOSITORY,
        env=os.environ | {"PATH": f"{binaries}{os.pathsep}{os.environ['PATH']}"},
        stdout=subprocess.PIPE,
        text=True,
    ).stdout


def labels(table: str) -> list[list[str]]:
    """The files and labels of a table that `ghostnet predict` printed, without the times."""
    lines = [line for line in table.splitlines() if line.startswith("│")]
    return [[cell.strip() for cell in line.split("│")[1:3]] for line in lines]


def test_python_snippets(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    monkeypatch.chdir(REPOSITORY)
    namespace: dict[str, object] = {}
    promised = []
    for snippet in blocks("python"):
        exec(compile(snippet, "README.md", "exec"), namespace)
        promised += re.findall(r"print\(.*\)  # (.*)", snippet)
    assert promised == ["Abyssinian 72.1%", "(1, 37)"]
    assert capsys.readouterr().out.splitlines() == promised


@pytest.mark.parametrize("command", COMMANDS)
def test_commands(command: str) -> None:
    run(command)


@pytest.mark.parametrize("text", READMES, ids=["English", "Chinese"])
def test_the_first_screen_shows_what_the_command_prints(text: str) -> None:
    (shown,) = blocks("text", text)
    assert len(labels(shown)) == 12
    photographs = ("cat.jpg", "kitten.jpg", "longhair_cat.jpg", "pug.jpg")
    files = " ".join(f"assets/images/{name}" for name in photographs)
    assert labels(shown) == labels(run(f"ghostnet predict {files}"))


def test_a_german_shepherd_is_called_what_the_first_screen_says() -> None:
    table = run("ghostnet predict --top-k 1 assets/images/german_shepherd.jpg")
    ((_, label),) = labels(table)
    assert label.split()[-1] == "Abyssinian"


def test_the_chinese_readme_shows_the_same_code() -> None:
    commands = [re.findall(r"^\$ [^#\n]*", "".join(blocks("console", t)), re.M) for t in READMES]
    assert commands[0] == commands[1]
    assert blocks("python", CHINESE) == blocks("python")


def test_the_chinese_readme_has_the_same_links_and_sections() -> None:
    for pattern in (r"\]\(([^)#]+)\)", r"^(#+) "):
        english, chinese = (sorted(re.findall(pattern, text, re.M)) for text in READMES)
        others = {"README.md", "README_CN.md", "https://www.mindspore.cn"}
        assert [x for x in english if not x.startswith(tuple(others))] == [
            x for x in chinese if not x.startswith(tuple(others))
        ]


@pytest.mark.parametrize("text", READMES, ids=["English", "Chinese"])
def test_local_links_lead_somewhere(text: str) -> None:
    for link in re.findall(r"\]\(([^)#]+)[^)]*\)", text):
        assert link.startswith("http") or (REPOSITORY / link).exists(), link
