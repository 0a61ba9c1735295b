"""Systems that do not tell which processors a process may use, such as macOS."""

import os

import pytest

from ghostnet.system.machine import processors


def test_all_processors_count_where_no_system_tells(monkeypatch: pytest.MonkeyPatch) -> None:
    assert processors() == len(os.sched_getaffinity(0))
    monkeypatch.delattr(os, "sched_getaffinity")
    assert processors() == os.cpu_count()
