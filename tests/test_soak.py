"""Short versions of the long runs that soak.py and serving_soak.py of the benchmarks measure."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from ghostnet import kernels

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"
PROCESS_MIB = 256
"""What a server takes beside its requests."""


@pytest.mark.skipif(not kernels.available(), reason="needs the fused kernels")
@pytest.mark.nightly
def test_a_long_run_neither_grows_nor_drifts(tmp_path: Path) -> None:
    words = ["--predictions", "640", "--samples", "10", "--out", tmp_path]
    subprocess.run(
        [sys.executable, BENCHMARKS / "soak.py", *words], check=True, capture_output=True
    )
    result = json.loads((tmp_path / "soak.json").read_text())
    assert (result["predictions"], result["threads"]) == (640, 8)
    assert result["drift"] == 0
    assert result["shared_drift"] == 0
    assert result["end_mib"] - result["start_mib"] < 32
    assert (tmp_path / "soak.png").stat().st_size > 0
    assert "640 predictions" in (tmp_path / "soak.md").read_text()


@pytest.mark.skipif(not kernels.available(), reason="needs the fused kernels")
@pytest.mark.nightly
def test_a_server_among_hostile_requests_keeps_its_memory_and_its_clients(tmp_path: Path) -> None:
    file = tmp_path / "soak.json"
    words = ["--minutes", "0.1", "--clients", "8", "--hostile", "0.5", "--out", file]
    subprocess.run(
        [sys.executable, BENCHMARKS / "serving_soak.py", *words], check=True, capture_output=True
    )
    result = json.loads(file.read_text())
    assert result["hostile"]
    assert result["lost"] == 0
    assert 0 < result["peak_mib"] < result["budget_mib"] + PROCESS_MIB
    assert result["health_ms"]["p99"] > 0
