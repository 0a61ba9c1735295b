"""The server as a process of its own, on a free port of loopback."""

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import requests
from waiting import WAIT_SECONDS, wait_for

ADDRESS = re.compile(r"on https?://(\S+):(\d+)\n")


class ModelServer:
    """A running ``ghostnet serve``.

    Attributes:
        host, port: Where it listens.
        session: A client of it.
    """

    def __init__(
        self, *words: object, log: Path, under: tuple[object, ...] = (), **environment: str
    ) -> None:
        self.log = log
        command = [
            *map(str, under),
            sys.executable,
            "-m",
            "ghostnet.cli",
            "serve",
            "--port",
            "0",
            *map(str, words),
        ]
        with log.open("w") as file:
            self.process = subprocess.Popen(command, stderr=file, env=os.environ | environment)
        found = wait_for(lambda: ADDRESS.search(log.read_text()) or self.process.poll() is not None)
        assert isinstance(found, re.Match), log.read_text()
        self.host, self.port = found[1], int(found[2])
        self.session = requests.Session()
        assert self.get("readyz").json() == {"ready": True}

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}/{path}"

    def get(self, path: str, **arguments: object) -> requests.Response:
        return self.session.get(self.url(path), timeout=WAIT_SECONDS, **arguments)

    def post(self, path: str, data: object = None, **arguments: object) -> requests.Response:
        """A POST on a connection of its own, so that any thread may call it."""
        return requests.post(self.url(path), data, timeout=WAIT_SECONDS, **arguments)

    def connect(self, content: bytes = b"") -> socket.socket:
        """A connection on which this much was sent."""
        connection = socket.create_connection(("127.0.0.1", self.port), timeout=WAIT_SECONDS)
        connection.sendall(content)
        return connection

    def metric(self, name: str) -> float:
        """The sum of a metric over its labels; 0 before it is counted."""
        lines = self.get("metrics").text.splitlines()
        values = [line.split() for line in lines if re.match(rf"{name}(\{{.*\}})? ", line)]
        return sum(float(value[-1]) for value in values)

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Sends a signal and waits for the end; returns the exit status."""
        self.process.send_signal(number)
        return self.process.wait(WAIT_SECONDS)


@contextmanager
def serving(
    *words: object, log: Path, under: tuple[object, ...] = (), **environment: str
) -> Iterator[ModelServer]:
    """A running server, which ends with status 0 and has logged no failure.

    Args:
        words: Arguments of the command.
        log: File for what it writes to stderr.
        under: Command that is to start it.
        environment: Variables.
    """
    server = ModelServer(*words, log=log, under=under, **environment)
    try:
        yield server
        if server.process.poll() is None:
            assert server.stop() == 0
        assert "Traceback" not in log.read_text()
    finally:
        server.process.kill()
        server.process.wait()


def peak_memory(server: ModelServer) -> float:
    """The most memory that a server has had since `forget_peak`, in MiB."""
    text = Path(f"/proc/{server.process.pid}/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+)", text)[1]) / 1024


def forget_peak(server: ModelServer) -> float:
    """Forgets the most memory that a server has had; returns what it has now, in MiB."""
    Path(f"/proc/{server.process.pid}/clear_refs").write_text("5")
    return peak_memory(server)


def children(process: int) -> list[int]:
    """The processes that a process has started."""
    return [
        int(number)
        for thread in Path(f"/proc/{process}/task").iterdir()
        for number in (thread / "children").read_text().split()
    ]


def serving_children(server: ModelServer) -> list[int]:
    """The workers: children that have loaded the kernels."""

    def is_worker(process: int) -> bool:
        try:
            return "libghostnet_cpu" in Path(f"/proc/{process}/maps").read_text()
        except OSError:
            return False

    return [child for child in children(server.process.pid) if is_worker(child)]
