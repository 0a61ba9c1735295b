"""Systems that do not tell which processors a process may use, such as macOS."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ghostnet.system.machine import processors

IMAGE = Path(__file__).parents[1] / "assets/images/cat.jpg"

WITHOUT = """
import os
del os.sched_getaffinity
from ghostnet.cli.main import main
main()
"""


def test_all_processors_count_where_no_system_tells(monkeypatch: pytest.MonkeyPatch) -> None:
    assert processors() == len(os.sched_getaffinity(0))
    monkeypatch.delattr(os, "sched_getaffinity")
    assert processors() == os.cpu_count()


def test_images_are_labeled_there() -> None:
    command = [sys.executable, "-c", WITHOUT, "predict", IMAGE]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "Abyssinian" in done.stdout
