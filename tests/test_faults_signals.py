"""Processes that are interrupted or killed while they fetch, save or export."""

import hashlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from bundled_models import FLOWERS
from command_line import FROM_A_TERMINAL
from http_server import MisbehavingServer, serving, stalling
from safetensors.numpy import save_file
from schedule import at_night
from timm_names import timm_names
from toy_images import draw
from waiting import wait_for

from ghostnet.checkpoints import parameters_of, write_checkpoint
from ghostnet.model.pipeline import Pipeline
from ghostnet.models import create_network

BODY = bytes(range(256)) * 1024
SHA256 = hashlib.sha256(BODY).hexdigest()
CARDS = Path(__file__).resolve().parents[1] / "assets"

ON_A_SLOW_DISK = f"""
import os, threading
os.fsync = lambda file: threading.Event().wait()
{FROM_A_TERMINAL}
"""

ON_AN_IMAGE_WITHOUT_END = f"""
import sys, threading
from PIL import Image

def open_for_ever(*words, **options):
    open(sys.argv[2] + ".begun", "w").close()
    threading.Event().wait()

Image.open = open_for_ever
{FROM_A_TERMINAL}
"""

KILL_AT_ANY_CALL = """
import os, signal, sys
from itertools import count
from pathlib import Path
from ghostnet.files import replacing

target = Path(sys.argv[1])
contents = [bytes([letter]) * 500_000 for letter in b"ab"]

def write(content):
    with replacing(target) as file:
        file.write(content)

def write_until(call):
    calls = count()
    sys.setprofile(lambda *_: next(calls) == call and os.kill(os.getpid(), signal.SIGKILL))
    write(contents[1])
    os._exit(0)

write(contents[0])
for call in count():
    child = os.fork() or write_until(call)
    _, status = os.waitpid(child, 0)
    assert target.read_bytes() in contents, call
    if status == 0:
        break
assert call > 50
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
    wait_for(lambda: any(part.stat().st_size for part in folder.glob(".*.part")))
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
    url = server.url("/a.ckpt", stalling(BODY))
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
@pytest.mark.parametrize("verb", ["convert", *at_night("export")])
def test_stopped_while_writing(verb: str, number: signal.Signals, tmp_path: Path) -> None:
    if verb == "export":
        pytest.importorskip("onnx", reason="needs the extra export")
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


@pytest.mark.parametrize(
    "number", [signal.SIGINT, *at_night(signal.SIGTERM)], ids=lambda number: number.name
)
@pytest.mark.parametrize("verb", ["predict", *at_night("finetune")])
def test_stopped_while_mindspore_is_imported(
    verb: str, number: signal.Signals, tmp_path: Path
) -> None:
    words = {
        "predict": [CARDS / "images" / "cat.jpg", "--no-fuse"],
        "finetune": [draw(tmp_path / "images"), "--mode", "full", "--out", tmp_path / "out"],
    }
    process = start(f"import numpy\n{FROM_A_TERMINAL}", verb, *words[verb])
    wait_for(lambda: "/mindspore/" in Path(f"/proc/{process.pid}/maps").read_text())
    process.send_signal(number)
    assert process.communicate() == ("", "ghostnet: interrupted\n")
    assert process.returncode == 130


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda x: x.name)
def test_a_second_signal_ends_at_once(number: signal.Signals, tmp_path: Path) -> None:
    image = tmp_path / "cat.jpg"
    image.symlink_to(CARDS / "images" / "cat.jpg")
    process = start(ON_AN_IMAGE_WITHOUT_END, "predict", image)
    wait_for((tmp_path / "cat.jpg.begun").exists)
    process.send_signal(number)
    assert process.stderr.readline() == "ghostnet: interrupted\n"
    process.send_signal(number)
    assert process.communicate() == ("", "")
    assert process.returncode == -number


def test_an_interrupted_pipeline_begins_nothing_more() -> None:
    """The images of a round are all handed to threads before the first is answered."""
    images, begun = 50_000, []

    def put(image: int, place: object) -> None:
        begun.append(image)
        if image == 0:
            signal.raise_signal(signal.SIGINT)
        else:
            hashlib.sha256(BODY).digest()

    pipeline = Pipeline(np.copy, put, lambda count: np.zeros((count, 1)), 1, images)
    with pytest.raises(KeyboardInterrupt):
        next(pipeline.run(range(images)))
    assert len(begun) < images / 10


def test_killed_at_any_call_a_file_is_whole(tmp_path: Path) -> None:
    process = start(KILL_AT_ANY_CALL, tmp_path / "file")
    assert process.communicate() == ("file\n", "")
