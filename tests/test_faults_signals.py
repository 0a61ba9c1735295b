"""Processes that are interrupted or killed while they fetch, save or export."""

import hashlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from bundled_models import FLOWERS
from command_line import FROM_A_TERMINAL
from http_server import MisbehavingServer, serving, slowly
from safetensors.numpy import save_file
from test_checkpoint import timm_names
from toy_images import draw

from ghostnet.checkpoints import parameters_of, write_checkpoint
from ghostnet.models import create_network

BODY = bytes(range(256)) * 1024
SHA256 = hashlib.sha256(BODY).hexdigest()
CARDS = Path(__file__).resolve().parents[1] / "assets"

ON_A_SLOW_DISK = f"""
import os, time
sync = os.fsync
os.fsync = lambda file: (time.sleep(600), sync(file))
{FROM_A_TERMINAL}
"""

KILL_AT_ANY_MOMENT = """
import os, signal, sys, time
from pathlib import Path
from ghostnet.files import replacing

target = Path(sys.argv[1])
contents = [bytes([letter]) * 500_000 for letter in b"ab"]

def write(content):
    with replacing(target) as file:
        file.write(content)

write(contents[0])
for number in range(50):
    child = os.fork()
    while not child:
        write(contents[0])
        write(contents[1])
    time.sleep(0.0007 * number)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    assert target.read_bytes() in contents, number
write(contents[1])
print(*sorted(path.name for path in target.parent.iterdir()))
"""


def start(code: str, *words: object) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def stop(process: "subprocess.Popen[str]", number: signal.Signals, folder: Path) -> None:
    """Send a signal once the process is in the middle of a file, and check how it ends."""
    while not any(part.stat().st_size for part in folder.glob(".*.part")):
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    process.send_signal(number)
    out, err = process.communicate()
    if number is signal.SIGINT:
        assert (process.returncode, out, err) == (130, "", "ghostnet: interrupted\n")
        assert not list(folder.glob(".*.part"))
    else:
        assert process.returncode == -signal.SIGKILL


@pytest.fixture
def server() -> Iterator[MisbehavingServer]:
    with serving() as running:
        yield running


def test_interrupted_fetch(server: MisbehavingServer, tmp_path: Path) -> None:
    url = server.url("/a.ckpt", slowly(BODY, pieces=100, pause=0.1))
    text = (CARDS / f"{FLOWERS}.md").read_text()
    text = text.replace("ghostnet_v1.0_flowers.ckpt", url)
    (digest,) = [line for line in text.splitlines() if "asset-sha256" in line]
    (tmp_path / "card.md").write_text(text.replace(digest, f"    asset-sha256: {SHA256}"))
    folder = tmp_path / "by-sha256" / SHA256
    folder.mkdir(parents=True)
    (folder / "a.ckpt").write_bytes(BODY)
    words = ("hub", "fetch", tmp_path / "card.md", "--cache-dir", tmp_path, "--force")
    stop(start(FROM_A_TERMINAL, *words), signal.SIGINT, folder)
    assert (folder / "a.ckpt").read_bytes() == BODY


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL], ids=lambda x: x.name)
@pytest.mark.parametrize("verb", ["export", "convert"])
def test_stopped_while_writing(verb: str, number: signal.Signals, tmp_path: Path) -> None:
    parameters = parameters_of(create_network("ghostnet_050", 3))
    target = tmp_path / "out" / {"export": "x.onnx", "convert": "x.ckpt"}[verb]
    write_checkpoint(parameters, target)
    old = target.read_bytes()
    if verb == "export":
        write_checkpoint(parameters, tmp_path / "model.ckpt")
        words = ["export", target, "--model", tmp_path / "model.ckpt", "--force"]
    else:
        save_file(timm_names(parameters), tmp_path / "model.safetensors")
        words = ["convert", tmp_path / "model.safetensors", target, "--force"]
    stop(start(ON_A_SLOW_DISK, *words), number, target.parent)
    assert target.read_bytes() == old
    write_checkpoint(parameters, target)
    assert os.listdir(target.parent) == [target.name]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda x: x.name)
@pytest.mark.parametrize("verb", ["predict", "finetune"])
def test_stopped_while_mindspore_is_imported(
    verb: str, number: signal.Signals, tmp_path: Path
) -> None:
    words = {
        "predict": [CARDS / "images" / "cat.jpg", "--no-fuse"],
        "finetune": [draw(tmp_path / "images"), "--mode", "full", "--out", tmp_path / "out"],
    }
    process = start(f"import numpy\n{FROM_A_TERMINAL}", verb, *words[verb])
    while "/mindspore/" not in Path(f"/proc/{process.pid}/maps").read_text():
        assert process.poll() is None, process.communicate()
        time.sleep(0.005)
    process.send_signal(number)
    assert process.communicate() == ("", "ghostnet: interrupted\n")
    assert process.returncode == 130


def test_killed_at_any_moment_a_file_is_whole(tmp_path: Path) -> None:
    process = start(KILL_AT_ANY_MOMENT, tmp_path / "file")
    assert process.communicate() == ("file\n", "")
