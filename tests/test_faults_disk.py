"""Disks that are full or read-only: one of our errors, nothing half-written, the old file whole."""

import hashlib
import os
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from bundled_models import FLOWERS
from command_line import Ghostnet
from http_server import MisbehavingServer, serving, whole

from ghostnet.checkpoints import write_checkpoint
from ghostnet.errors import (
    CheckpointError,
    ExportError,
    FetchError,
    GhostNetError,
)
from ghostnet.export import write
from ghostnet.files import write_whole
from ghostnet.hub.card import Asset
from ghostnet.hub.checkpoint_file import promised
from ghostnet.training.head.feature_cache import FeatureCache

BODY = bytes(range(256)) * 1024
ROOM = 64 * 1024

Fill = Callable[[], None]


def mount(*words: object) -> None:
    """Mount, or skip the test where this user may not."""
    done = subprocess.run(["mount", *map(str, words)], capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"needs the right to mount: {done.stderr.strip()}")


@contextmanager
def small_disk(folder: Path) -> Iterator[Fill]:
    """A file system of a megabyte, and what fills it but for `ROOM` bytes."""
    mount("-t", "tmpfs", "-o", "size=1m", "tmpfs", folder)

    def fill() -> None:
        space = os.statvfs(folder)
        (folder / "filler").write_bytes(bytes(space.f_bavail * space.f_bsize - ROOM))

    try:
        yield fill
    finally:
        subprocess.run(["umount", folder], check=True)


@contextmanager
def quota(folder: Path) -> Iterator[Fill]:
    """What keeps this process from writing files of more than `ROOM` bytes."""
    before, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        yield lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (ROOM, most))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (before, most))


@pytest.fixture(params=[small_disk, quota], ids=["disk", "quota"])
def fill(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Fill]:
    """Call it, and less than a result fits into ``tmp_path``."""
    with request.param(tmp_path) as call:
        yield call


@pytest.fixture
def server() -> Iterator[MisbehavingServer]:
    with serving() as running:
        yield running


def asset(server: MisbehavingServer) -> Asset:
    link = server.url("/result", whole(BODY))
    return Asset(format="ckpt", link=link, sha256=hashlib.sha256(BODY).hexdigest())


WRITERS: dict[str, tuple[Callable[[Path], object], type[GhostNetError]]] = {
    "save": (
        lambda path: write_checkpoint({"w": np.ones(len(BODY) // 4, np.float32)}, path),
        CheckpointError,
    ),
    "export": (lambda path: write(BODY, path), ExportError),
    "log": (lambda path: write_whole(path, BODY), OSError),
}


@pytest.mark.parametrize("writer", WRITERS)
def test_a_full_disk_keeps_the_old_file(fill: Fill, writer: str, tmp_path: Path) -> None:
    save, error = WRITERS[writer]
    (tmp_path / "result").write_bytes(b"old")
    fill()
    with pytest.raises(error, match=r"No space left|File too large"):
        save(tmp_path / "result")
    assert (tmp_path / "result").read_bytes() == b"old"
    assert {path.name for path in tmp_path.iterdir()} <= {"result", "filler"}


def test_a_full_disk_while_fetching(fill: Fill, server: MisbehavingServer, tmp_path: Path) -> None:
    wanted = asset(server)
    promised(wanted, tmp_path).fetch()
    fill()
    with pytest.raises(FetchError, match=r"(No space left|File too large).*GHOSTNET_CACHE"):
        promised(wanted, tmp_path).fetch(force=True)
    assert (tmp_path / "result").read_bytes() == BODY
    assert {path.name for path in tmp_path.iterdir()} <= {"result", "filler", ".lock"}


def test_a_full_disk_while_keeping_features(fill: Fill, tmp_path: Path) -> None:
    cache = FeatureCache(tmp_path, "network", len(BODY) // 4)
    cache.write({"before": np.ones(len(BODY) // 4, np.float32)})
    fill()
    cache.write({"key": np.frombuffer(BODY, np.float32)})  # which is reported, no more
    assert set(cache.read()) == {"before"}


@pytest.mark.nightly
def test_a_full_disk_under_the_command(fill: Fill, ghostnet: Ghostnet, tmp_path: Path) -> None:
    pytest.importorskip("onnx", reason="needs the extra export")
    fill()
    ghostnet("export", tmp_path / "x.onnx", "--model", FLOWERS, status=1)
    assert ghostnet.err.startswith(f"ghostnet: {tmp_path / 'x.onnx'}: cannot be written")
    assert ghostnet.err.count("\n") == 1
    assert not list(tmp_path.glob("*x.onnx*"))


def test_full_output_is_one_line() -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "ghostnet.cli", "hub", "list"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
        )
    assert (done.returncode, done.stderr) == (1, "ghostnet: output: No space left on device\n")


@pytest.fixture
def read_only(tmp_path: Path) -> Iterator[Callable[[], None]]:
    """Call it, and nothing in ``tmp_path`` can be changed, not even by root."""
    mount("--bind", tmp_path, tmp_path)
    try:
        yield lambda: mount("-o", "remount,bind,ro", tmp_path)
    finally:
        subprocess.run(["umount", tmp_path], check=True)


def test_a_read_only_cache_serves_what_it_has(
    read_only: Callable[[], None], server: MisbehavingServer, tmp_path: Path
) -> None:
    wanted = asset(server)
    promised(wanted, tmp_path / "warm").fetch()
    (tmp_path / "wrong").mkdir()
    (tmp_path / "wrong/result").write_bytes(b"wrong")
    read_only()
    assert promised(wanted, tmp_path / "warm").fetch().read_bytes() == BODY
    for folder in ("cold", "wrong"):
        with pytest.raises(FetchError, match=r"Read-only file system.*GHOSTNET_CACHE"):
            promised(wanted, tmp_path / folder).fetch()
    assert (tmp_path / "wrong/result").read_bytes() == b"wrong"


def test_a_cache_folder_that_is_a_file(ghostnet: Ghostnet, tmp_path: Path) -> None:
    (tmp_path / "cache").write_bytes(b"precious")
    ghostnet("hub", "install", FLOWERS, "--cache-dir", tmp_path / "cache", status=1)
    assert "cannot be written (Not a directory)" in ghostnet.err
    assert "GHOSTNET_CACHE" in ghostnet.err
    assert (tmp_path / "cache").read_bytes() == b"precious"


def test_a_link_planted_in_the_cache(ghostnet: Ghostnet, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "mindspore_hub_conf.py").write_text("precious")
    for planted in ("ghostnet", "ghostnet/cpu/2.10/ghostnet"):
        link = tmp_path / planted.replace("/", "-") / planted
        link.parent.mkdir(parents=True)
        link.symlink_to(outside)
        cache = tmp_path / planted.replace("/", "-")
        ghostnet("hub", "install", FLOWERS, "--cache-dir", cache, status=1)
        assert f"a symbolic link leads out of the cache, to {outside}" in ghostnet.err
    assert [path.name for path in outside.iterdir()] == ["mindspore_hub_conf.py"]
    assert (outside / "mindspore_hub_conf.py").read_text() == "precious"
