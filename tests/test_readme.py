"""What the README shows works as it is shown."""

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


def test_python_snippets(capsys: pytest.CaptureFixture) -> None:
    namespace: dict[str, object] = {}
    for snippet in blocks("python"):
        exec(compile(snippet, "README.md", "exec"), namespace)
    assert (
        "(1, 37) Complexity(parameters=3948905, multiply_adds=139917872)" in capsys.readouterr().out
    )


@pytest.mark.parametrize("command", COMMANDS)
def test_commands(command: str) -> None:
    binaries = Path(sys.executable).parent
    subprocess.run(
        command,
        shell=True,
        check=True,
        cwd=REPOSITORY,
        env=os.environ | {"PATH": f"{binaries}{os.pathsep}{os.environ['PATH']}"},
        capture_output=True,
    )


def test_the_chinese_readme_shows_the_same_code() -> None:
    commands = [re.findall(r"^\$ [^#\n]*", "".join(blocks("console", t)), re.M) for t in READMES]
    assert commands[0] == commands[1]
    assert blocks("python", CHINESE) == blocks("python")


@pytest.mark.parametrize("text", READMES, ids=["English", "Chinese"])
def test_local_links_lead_somewhere(text: str) -> None:
    for link in re.findall(r"\]\(([^)#]+)[^)]*\)", text):
        assert link.startswith("http") or (REPOSITORY / link).exists(), link
