"""The search for settings that docs/training.md shows, on a Ray cluster of this machine."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from toy_images import draw

pytest.importorskip("ray.tune", reason="needs the extra ray")

ROOT = Path(__file__).resolve().parents[1]

SMALL_NETWORK = '"architecture": "ghostnet_050"'

SMALL = {
    '"flowers"': '"images"',
    '"val": "0.2", "epochs": 10': '"val": "0.34", "epochs": 2, "image_size": 32, "batch_size": 4',
    '"model": "ghostnet/cpu/2.10/ghostnet_v1.0_imagenet_distilled"': SMALL_NETWORK,
    "num_samples=16": "num_samples=2",
    "max_t=10, grace_period=2": "max_t=2, grace_period=1",
    # The first trial is lost after its first epoch, and goes on.
    "evaluated=lambda row: ": "evaluated=lambda row: lose_once(out, row) or ",
}

LOSING = """
def lose_once(out, row):
    try:
        (RUNS / "lost").touch(exist_ok=False)
    except FileExistsError:
        return
    (out / "lost after").write_text(str(row.epoch))
    os._exit(1)
"""


@pytest.mark.nightly
def test_a_search_resumes_a_lost_trial(tmp_path: Path) -> None:
    document = (ROOT / "docs/training.md").read_text()
    (program,) = re.findall(r"```py\n(import ray\n.*?)```", document, re.DOTALL)
    for shown, small in SMALL.items():
        assert shown in program
        program = program.replace(shown, small)
    program = program.replace(
        "\n\n\ndef trial", f"\n\nimport os\nRUNS.mkdir()\n{LOSING}\n\ndef trial"
    )
    draw(tmp_path / "images")
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    best = done.stdout.splitlines()[-1]
    assert re.match(r"[01]\.\d* {", best), best
    logs = [*(tmp_path / "runs").glob("*/log.csv")]
    assert len(logs) == 2
    (lost,) = (tmp_path / "runs").glob("*/lost after")
    assert lost.read_text() == "1"
    assert len((lost.parent / "log.csv").read_text().splitlines()) > 1
