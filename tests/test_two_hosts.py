"""Workers on two hosts, which are two network namespaces of this machine."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest
from toy_images import draw

from ghostnet.checkpoints import read_checkpoint
from ghostnet.training.run.log import read_log

TESTS = Path(__file__).parent
SETTINGS = {"--architecture": "tiny", "--image-size": 32, "--batch-size": 4, "--epochs": 2}
Run = subprocess.Popen[bytes]
ADDRESS, PORT = "10.77.{host}.{end}", 8118


def ip(*words: object) -> None:
    subprocess.run(["ip", *map(str, words)], check=True, capture_output=True, timeout=60)


@pytest.fixture
def hosts() -> Iterator[tuple[list[str], str]]:
    """Two network namespaces with a cable between them, and the address of the first."""
    if not shutil.which("ip"):
        pytest.skip("needs the command ip")
    names = [f"ghostnet-{os.getpid()}-{end}" for end in (1, 2)]
    host = os.getpid() % 250
    with ExitStack() as made:
        try:
            for name in names:
                ip("netns", "add", name)
                made.callback(ip, "netns", "delete", name)
            cable = ("eth0", "netns", names[0], "type", "veth", "peer", "name", "eth0")
            ip("link", "add", *cable, "netns", names[1])
            for end, name in enumerate(names, start=1):
                address = ADDRESS.format(host=host, end=end)
                ip("-n", name, "addr", "add", f"{address}/24", "dev", "eth0")
                for device in ("lo", "eth0"):
                    ip("-n", name, "link", "set", device, "up")
        except subprocess.CalledProcessError as error:
            reason = error.stderr.decode().strip()
            pytest.skip(f"network namespaces cannot be made here: {reason}")
        yield names, ADDRESS.format(host=host, end=1)


def start(images: Path, out: Path, logs: Path, *words: object, under: tuple[str, ...] = ()) -> Run:
    """Start the workers of one host by a command that finds `msrun` in front of these words."""
    programs = Path(sys.executable).parent
    settings = [word for pair in SETTINGS.items() for word in pair]
    command = (
        *under, programs / "msrun", "--worker_num=2", f"--master_port={PORT}",
        f"--log_dir={logs}", "--join=True", *words, TESTS / "tiny_network.py", "train",
        "--data", images, "--out", out, *settings,
    )  # fmt: skip
    paths = os.pathsep.join([str(TESTS.parent), *sys.path])
    environment = {"PYTHONPATH": paths, "PATH": f"{programs}:{os.environ['PATH']}"}
    with open(logs.with_suffix(".log"), "w") as log:
        return subprocess.Popen(
            [*map(str, command)], env=os.environ | environment, stdout=log, stderr=log
        )


def wait_for_all(*runs: Run) -> None:
    for run in runs:
        assert run.wait(timeout=300) == 0


@pytest.mark.nightly
def test_two_hosts_train_as_two_workers_of_one_do(
    hosts: tuple[list[str], str], tmp_path: Path
) -> None:
    names, address = hosts
    images = draw(tmp_path / "images")
    for each in ("one", "first", "second"):
        (tmp_path / each).mkdir()
    network = ("ip", "netns", "exec")
    together = [
        start(
            images,
            tmp_path / "two hosts",
            tmp_path / end,
            "--local_worker_num=1",
            f"--master_addr={address}",
            f"--node_rank={rank}",
            under=(*network, name),
        )
        for rank, (name, end) in enumerate(zip(names, ("first", "second"), strict=True))
    ]
    wait_for_all(*together)
    # In a network of its own, where its port is free.
    alone = start(
        images, tmp_path / "one host", tmp_path / "one", "--local_worker_num=2",
        under=(*network, names[0]),
    )  # fmt: skip
    wait_for_all(alone)
    runs = [read_log(tmp_path / out, 2) for out in ("two hosts", "one host")]
    first, second = ([(row.loss, row.measures) for row in rows] for rows in runs)
    assert first == second
    states = [read_checkpoint(tmp_path / out / "state.ckpt") for out in ("two hosts", "one host")]
    assert states[0]["position.workers"].tolist() == [2]
    for name, values in states[0].items():
        np.testing.assert_array_equal(values, states[1][name], err_msg=name)
