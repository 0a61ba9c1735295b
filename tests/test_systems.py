"""Other systems, simulated: Python without what macOS or Windows lack runs the inference path."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from model_server import serving
from schedule import at_night
from timm_names import write_flowers
from toy_images import draw
from waiting import WAIT_SECONDS, wait_for

from ghostnet import kernels

TESTS = Path(__file__).parent
IMAGE = TESTS.parent / "assets/images/cat.jpg"
SYSTEMS = ("windows", "macos")

pytestmark = pytest.mark.skipif(
    not kernels.available() or not Path("/proc/self/fd").exists(),
    reason="needs the kernels, and a Linux whose Python becomes another system's",
)


def environment(system: str) -> dict[str, str]:
    """The variables with which Python starts as on a system."""
    return {"PYTHONPATH": f"{TESTS / 'systems' / system}{os.pathsep}{TESTS / 'systems'}"}


def run_on(system: str, *words: object) -> subprocess.CompletedProcess[str]:
    """Python with arguments, as on a system, which succeeds."""
    done = subprocess.run(
        [sys.executable, *map(str, words)],
        capture_output=True,
        text=True,
        env=os.environ | environment(system) | {"COLUMNS": "200"},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done


def ghostnet_on(system: str, *words: object) -> str:
    """What the command prints, as on a system."""
    return run_on(system, "-m", "ghostnet.cli", *words).stdout


def label(system: str, folder: Path) -> None:
    out = folder / "rows.jsonl"
    images = draw(folder / "images", 3, ("one",))
    ghostnet_on(system, "predict", images, "--out", out)
    (images / "one" / "0.png").unlink()
    ghostnet_on(system, "predict", images, "--update", out)
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert [row.get("error") is None for row in rows] == [False, True, True]


def fit_a_head(system: str, folder: Path) -> None:
    draw(folder / "own")
    words = ("--out", folder / "out", "--cache-dir", folder / "cache")
    ghostnet_on(system, "finetune", folder / "own", *words)
    (card,) = (folder / "out").glob("*.md")
    assert "Abyssinian" not in ghostnet_on(system, "predict", IMAGE, "--model", card)


def convert(system: str, folder: Path) -> None:
    write_flowers(folder / "timm.safetensors")
    ghostnet_on(system, "convert", folder / "timm.safetensors", folder / "converted.ckpt")
    assert (folder / "converted.ckpt").stat().st_size > 10_000_000


def examine(system: str, folder: Path) -> None:
    answer = json.loads(ghostnet_on(system, "doctor", "--json"))
    assert not answer["failed"]
    assert "system" in {finding["subject"] for finding in answer["findings"]}


def list_cards(system: str, folder: Path) -> None:
    words = ("hub", "fetch", "ghostnet/cpu/2.10/ghostnet_v1.0_flowers", "--cache-dir", folder)
    ghostnet_on(system, *words)
    assert "ghostnet_v1.0_flowers" in ghostnet_on(system, "hub", "list")


def serve(system: str, folder: Path) -> None:
    with serving(log=folder / "log", **environment(system)) as server:
        assert "Abyssinian" in server.post("predict", IMAGE.read_bytes()).text


def serve_from_workers(system: str, folder: Path) -> None:
    with serving("--workers", 2, log=folder / "log", **environment(system)) as server:
        assert "Abyssinian" in server.post("predict", IMAGE.read_bytes()).text


JOBS: dict[str, Callable[[str, Path], None]] = {
    job.__name__: job
    for job in (label, fit_a_head, convert, examine, list_cards, serve, serve_from_workers)
}
BY_DAY = {("label", "windows"), ("serve", "windows"), ("label", "macos")}
CASES = [(job, system) for job in JOBS for system in SYSTEMS]


@pytest.mark.parametrize(
    ("job", "system"), [*sorted(BY_DAY), *at_night(*(case for case in CASES if case not in BY_DAY))]
)
def test_a_job_is_done_on_another_system(job: str, system: str, tmp_path: Path) -> None:
    JOBS[job](system, tmp_path)


WRITER = """
import sys
from pathlib import Path
from ghostnet.files import write_whole
for number in range({times}):
    write_whole(Path(sys.argv[1]), (sys.argv[2] * 100_000).encode())
"""

READER = """
import sys
from pathlib import Path
from ghostnet.files import read_whole
for number in range(200):
    content = read_whole(Path(sys.argv[1]), 1_000_000)
    assert len(content) == 100_000 and len(set(content)) == 1, len(content)
"""


@pytest.mark.parametrize("system", ["windows", *at_night("macos")])
def test_a_file_is_replaced_whole_while_others_write_and_read_it(
    system: str, tmp_path: Path
) -> None:
    target = tmp_path / "file"
    write = WRITER.format(times=3)
    run_on(system, "-c", WRITER.format(times=1), target, "a")
    command = [sys.executable, "-c"]
    variables = os.environ | environment(system)
    others = [
        subprocess.Popen([*command, code, target, *words], env=variables)
        for code, words in ((write, "b"), (write, "c"), (READER, ""))
    ]
    assert [other.wait(WAIT_SECONDS) for other in others] == [0, 0, 0]
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


KILLED = """
import sys, time
from pathlib import Path
from ghostnet.files import replacing
with replacing(Path(sys.argv[1])) as file:
    file.write(b"half")
    file.flush()
    print("written", flush=True)
    time.sleep(1000)
"""


@pytest.mark.parametrize("system", ["windows", *at_night("macos")])
def test_a_killed_writer_changes_nothing_and_its_leftover_goes(system: str, tmp_path: Path) -> None:
    target = tmp_path / "file"
    target.write_bytes(b"old")
    command = [sys.executable, "-c", KILLED, target]
    variables = os.environ | environment(system)
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=variables) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"written\n"
        write = WRITER.format(times=1)
        run_on(system, "-c", write, target, "a")  # leaves the other's file alone
        assert len([*tmp_path.iterdir()]) == 2
        writer.kill()
    assert target.read_bytes() == b"a" * 100_000
    (leftover,) = tmp_path.glob(".file.*")
    os.utime(leftover, (0, 0))
    run_on(system, "-c", write, target, "b")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


HOLDER = """
import sys
from pathlib import Path
from ghostnet.files import locked
from ghostnet.hub import verified_file
with {lock}(Path(sys.argv[1])):
    print("locked", flush=True)
    sys.stdin.read()
"""

LOCKS = {"files": "locked", "hub": "verified_file.locked"}


@pytest.mark.parametrize("system", ["windows", *at_night("macos")])
@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_is_held_by_one_process_until_it_ends(
    lock: str, system: str, tmp_path: Path
) -> None:
    command = [sys.executable, "-c", HOLDER.format(lock=LOCKS[lock]), tmp_path / "lock"]
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    variables = os.environ | environment(system)
    first = subprocess.Popen(command, env=variables, text=True, **pipes)
    assert first.stdout is not None
    assert first.stdout.readline() == "locked\n"
    second = subprocess.Popen(command, env=variables, text=True, **pipes)
    if lock == "files":  # does not wait
        assert "BlockingIOError" in second.communicate(timeout=WAIT_SECONDS)[1]
    first.kill()
    first.communicate()
    if lock == "files":
        second = subprocess.Popen(command, env=variables, text=True, **pipes)
    assert second.communicate("", timeout=WAIT_SECONDS)[0] == "locked\n"
    assert second.returncode == 0
    assert wait_for(lambda: lock == "hub" or not (tmp_path / "lock").exists())
