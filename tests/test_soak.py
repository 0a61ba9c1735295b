"""A short version of the long run that benchmarks/soak.py measures."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from ghostnet import kernels

SCRIPT = Path(__file__).resolve().parents[1] / "benchmarks" / "soak.py"


@pytest.mark.skipif(not kernels.available(), reason="needs the fused kernels")
@pytest.mark.nightly
def test_a_long_run_neither_grows_nor_drifts(tmp_path: Path) -> None:
    words = ["--predictions", "640", "--samples", "10", "--out", tmp_path]
    subprocess.run([sys.executable, SCRIPT, *words], check=True, capture_output=True)
    result = json.loads((tmp_path / "soak.json").read_text())
    assert (result["predictions"], result["threads"]) == (640, 8)
    assert result["drift"] == 0
    assert result["shared_drift"] == 0
    assert result["end_mib"] - result["start_mib"] < 32
    assert (tmp_path / "soak.png").stat().st_size > 0
    assert "640 predictions" in (tmp_path / "soak.md").read_text()
