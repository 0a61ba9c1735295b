"""Where there is no MindSpore, each name and command that needs it says what is possible."""

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from packaging.requirements import Requirement
from test_lock import PROJECT

from ghostnet.system import machine

PRELUDE = """
import sys
sys.modules["mindspore"] = None
import pytest
from types import SimpleNamespace
import ghostnet, ghostnet.checkpoints, ghostnet.kernels, ghostnet.models
from ghostnet.errors import PackageError
from ghostnet.system import machine
machine.sys = SimpleNamespace(version_info={version}, implementation=sys.implementation)
"""

IN_PYTHON = """
for module in ghostnet, ghostnet.checkpoints, ghostnet.kernels, ghostnet.models:
    names = {}
    exec(f"from {module.__name__} import *", names)
    assert module.__all__ and set(module.__all__) <= set(names)

assert not hasattr(ghostnet, "GhostNet") and not hasattr(ghostnet, "fuse")
assert hasattr(ghostnet, "list_models") and "GhostNet" not in dir(ghostnet)
for use in (
    "from ghostnet import GhostNet",
    "from ghostnet.models import GhostModule",
    "ghostnet.fuse",
    "ghostnet.create_model('ghostnet_1x')",
    "ghostnet.load('ghostnet/cpu/2.10/ghostnet_v1.0_pets')",
    "ghostnet.open_model().network",
):
    with pytest.raises(PackageError) as raised:
        exec(use)
    print(raised.value)
with pytest.raises(ImportError, match="cannot import name 'Nonsense'"):
    from ghostnet import Nonsense
"""

COMMAND = """
from ghostnet.cli.main import main
main()
"""

ADVICE = {
    (3, 12): "pip install mindspore",
    (3, 14): "it has no release for Python 3.14; predict, eval, finetune --mode head",
}
"""What is advised, by the version of Python."""


def run(code: str, version: tuple[int, int], *words: object) -> subprocess.CompletedProcess[str]:
    """Code for a Python of a version, as far as this package can tell."""
    command = [sys.executable, "-c", PRELUDE.format(version=version) + code, *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, env=os.environ)


@pytest.mark.parametrize("version", ADVICE)
def test_names_explain_their_absence(version: tuple[int, int]) -> None:
    done = run(IN_PYTHON, version)
    assert done.returncode == 0, done.stderr
    messages = done.stdout.splitlines()
    assert len(messages) == 6
    assert all(ADVICE[version] in message for message in messages), messages


COMMANDS = [
    ("train", "--data", "folder", "--out", "out"),
    ("export", "model.mindir"),
    ("predict", "--no-fuse", "image.png"),
]


@pytest.mark.parametrize("words", COMMANDS, ids=lambda words: words[0])
def test_commands_explain_what_they_cannot_do(words: tuple[str, ...], tmp_path: Path) -> None:
    version = (3, 14)
    done = run(f"import os; os.chdir({str(tmp_path)!r})" + COMMAND, version, *words)
    assert done.returncode == 1, done.stderr
    assert ADVICE[version] in done.stderr
    assert len(done.stderr.splitlines()) == 1


SYSTEMS: dict[str, dict[str, Any]] = {
    "Linux": {"sys_platform": "linux", "platform_machine": ("x86_64", "aarch64", "riscv64")},
    "Darwin": {"sys_platform": "darwin", "platform_machine": ("x86_64", "arm64")},
    "Windows": {"sys_platform": "win32", "platform_machine": ("AMD64", "ARM64")},
    "FreeBSD": {"sys_platform": "freebsd14", "platform_machine": ("x86_64",)},
}


@pytest.mark.parametrize("system", SYSTEMS)
@pytest.mark.parametrize("python", [(3, 10), (3, 12), (3, 13), (3, 14)])
def test_mindspore_is_required_where_it_has_releases(
    system: str, python: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    (mindspore,) = (
        requirement
        for requirement in map(Requirement, PROJECT["project"]["dependencies"])
        if requirement.name == "mindspore"
    )
    assert mindspore.marker is not None
    monkeypatch.setattr("platform.system", lambda: system)
    monkeypatch.setattr("platform.libc_ver", lambda: ("glibc", "2.36"))
    running = SimpleNamespace(version_info=python, implementation=sys.implementation)
    monkeypatch.setattr(machine, "sys", running)
    for processor in SYSTEMS[system]["platform_machine"]:
        monkeypatch.setattr("platform.machine", lambda processor=processor: processor)
        environment = {
            "python_version": ".".join(map(str, python)),
            "implementation_name": "cpython",
            "sys_platform": SYSTEMS[system]["sys_platform"],
            "platform_machine": processor,
        }
        assert mindspore.marker.evaluate(environment) == machine.has_mindspore_releases()
