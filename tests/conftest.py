"""What every test shares: the data beside the repository, and a quiet MindSpore."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from command_line import Ghostnet
from model_server import ModelServer, serving

from ghostnet import kernels, runtime

os.environ.setdefault("GLOG_v", "4")

REPOSITORY = Path(__file__).resolve().parents[1]
SHARED = REPOSITORY.parent / "shared"
WITHOUT_DATA = f"needs the data folder {SHARED}, which is not part of the repository"
LEFT_OUT = "left out"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that take longest, so that two processes end at about the same time."""
    long = {item.path for item in items if item.get_closest_marker("nightly")}
    items.sort(key=lambda item: item.path not in long)


def pytest_report_teststatus(report: pytest.TestReport) -> tuple[str, str, str] | None:
    """Count the tests that need the data folder apart from those that need a package."""
    if report.skipped and WITHOUT_DATA in report.longreprtext:
        return LEFT_OUT, "-", LEFT_OUT.upper()
    return None


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say what would run the tests that did not run."""
    reasons = [report.longreprtext for report in terminalreporter.stats.get("skipped", [])]
    needs = [found[1] for reason in reasons if (found := re.search(r"the extra (\w+)", reason))]
    if needs:
        extras = ",".join(sorted(set(needs)))
        terminalreporter.write_line(
            f"{len(needs)} of {len(reasons)} skips are for packages: pip install -e '.[{extras}]'"
        )
    if left_out := terminalreporter.stats.get(LEFT_OUT):
        terminalreporter.write_line(f"{len(left_out)} tests were left out: each {WITHOUT_DATA}")


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder with real cards, photographs and weights that stands beside the checkout."""
    if not SHARED.is_dir():
        pytest.skip(WITHOUT_DATA)
    return SHARED


@pytest.fixture
def ghostnet(capfd: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch) -> Ghostnet:
    """The command, called as ``ghostnet("predict", path)`` or ``ghostnet.json(…)``."""
    return Ghostnet(capfd, monkeypatch)


@pytest.fixture(autouse=True)
def mindspore_as_commands_begin_it() -> None:
    """Begins each test with prepared operators, in the mode that compiles nothing for one call.

    Operators that run before their preparation leave oneDNN with other instructions, and training
    with other bits.
    """
    if mindspore := sys.modules.get("mindspore"):
        runtime.prepare_operators()
        mindspore.set_context(mode=mindspore.PYNATIVE_MODE)


@pytest.fixture
def kernel_settings() -> Iterator[None]:
    """Leaves the threads and the instruction set of the kernels as they were."""
    threads, instruction_set = kernels.threads(), kernels.instruction_set()
    yield
    kernels.set_threads(threads)
    kernels.set_instruction_set(instruction_set)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModelServer]:
    """A server with small limits, which most tests share."""
    log = tmp_path_factory.mktemp("server") / "log"
    words = ("--max-body-mib", 4, "--max-queue", 16, "--max-arrival-s", 2)
    with serving(*words, log=log) as running:
        yield running


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the documentation, built strictly."""
    pytest.importorskip("mkdocs", reason="needs the extra docs")
    if shutil.which("npm") is None:
        pytest.skip("needs npm, which fetches the runtime of the try-it page")
    website = REPOSITORY / "website"
    if not (website / "node_modules").is_dir():
        subprocess.run(["npm", "ci", "--prefix", website, "--ignore-scripts"], check=True)
    folder = tmp_path_factory.mktemp("site")
    mkdocs = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", folder]
    built = subprocess.run(mkdocs, cwd=REPOSITORY, capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    return folder
