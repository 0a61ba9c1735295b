"""What every test shares: the data beside the repository, and a quiet MindSpore."""

import os
from pathlib import Path

import pytest
from command_line import Ghostnet

os.environ.setdefault("GLOG_v", "4")

REPOSITORY = Path(__file__).resolve().parents[1]
SHARED = REPOSITORY.parent / "shared"


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder with real cards, photographs and weights that stands beside the checkout."""
    if not SHARED.is_dir():
        pytest.skip(f"needs the data folder {SHARED}, which is not part of the repository")
    return SHARED


@pytest.fixture
def ghostnet(capfd: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch) -> Ghostnet:
    """The command, called as ``ghostnet("predict", path)`` or ``ghostnet.json(…)``."""
    return Ghostnet(capfd, monkeypatch)
