"""Measure servers under load: images a second, latency and memory at several numbers of clients.

``python benchmarks/serving.py`` starts ``ghostnet serve``, and two servers around ONNX Runtime
(``litserve_server.py``, ``bentoml_server.py``), with the bundled model and the same photograph, and
drives them in turn with wrk on loopback; ``ghostnet serve`` also over gRPC, with ``grpc_load.py``,
which takes more of the processors than wrk. It writes ``serving.json`` beside this file in
``results``, and prints a table.
It needs the extra ``bench`` and wrk (``apt-get install wrk``).
"""

import argparse
import json
import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Thread
from typing import Any

import requests
from machine import machine

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results" / "serving.json"
IMAGE = HERE.parent / "assets/images/dandelion.jpg"
OURS = "ghostnet"
CONNECTIONS = [1, 8, 64, 256]
START_SECONDS = 120
BOUNDARY = "a-boundary-that-no-image-contains"


@dataclass(frozen=True)
class Server:
    """A running server, and what puts load on it.

    Attributes:
        process: Its first process.
        generator: The command that sends images on this many connections for this many seconds,
            and prints one line of JSON.
    """

    process: int
    generator: Callable[[int, float], list[str | Path]]

    def load(self, connections: int, seconds: float) -> dict[str, float]:
        """Post the image on this many connections at once; returns rates, latencies and memory."""
        with peak_memory(self.process) as peak:
            command = self.generator(connections, seconds)
            done = subprocess.run(command, capture_output=True, text=True, check=True)
        figures = json.loads(done.stdout.splitlines()[-1])
        answered = figures["requests"] - figures["failed"]
        return {
            "images_per_second": answered / figures["seconds"],
            "p50_ms": figures["p50_ms"],
            "p99_ms": figures["p99_ms"],
            "failed": figures["failed"],
            "peak_mib": peak[0],
        }


def http(port: int, body: Path, content_type: str) -> Callable[[int, float], list[str | Path]]:
    """Load with wrk."""

    def command(connections: int, seconds: float) -> list[str | Path]:
        words = ["wrk", "-t1", f"-c{connections}", f"-d{seconds:g}s", "--timeout", "60s"]
        url = f"http://127.0.0.1:{port}/predict"
        return [*words, "-s", HERE / "post.lua", url, "--", body, content_type]

    return command


def over_grpc(port: int) -> Callable[[int, float], list[str | Path]]:
    """Load over gRPC."""

    def command(connections: int, seconds: float) -> list[str | Path]:
        words = [f"127.0.0.1:{port}", IMAGE, str(connections), str(seconds)]
        return [sys.executable, HERE / "grpc_load.py", *words]

    return command


@contextmanager
def peak_memory(process: int) -> Iterator[list[float]]:
    """Watch the memory of a process and its children; the list holds the most, in MiB."""
    peak, ended = [0.0], Event()

    def watch() -> None:
        while not ended.wait(0.2):
            peak[0] = max(peak[0], resident_mib(process))

    thread = Thread(target=watch)
    thread.start()
    try:
        yield peak
    finally:
        ended.set()
        thread.join()


def resident_mib(process: int) -> float:
    """What a process and its children hold in memory now, shared pages counted in parts."""
    try:
        lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
        tasks = list(Path(f"/proc/{process}/task").iterdir())
        children = [int(n) for task in tasks for n in (task / "children").read_text().split()]
    except OSError:  # it has just ended
        return 0.0
    own = next(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024
    return own + sum(map(resident_mib, children))


def commands(model: Path, ports: list[int]) -> dict[str, list[str | Path]]:
    """How each server is started; the first is ours, and takes gRPC on the last port."""
    ours = [sys.executable, "-m", "ghostnet.cli", "serve", "--port", str(ports[0])]
    litserve = [sys.executable, HERE / "litserve_server.py", model]
    bentoml = [sys.executable, "-m", "bentoml", "serve", "bentoml_server:Classifier"]
    bentoml += ["--working-dir", HERE, "--host", "127.0.0.1", "--port"]
    return {
        OURS: [*ours, "--grpc-port", str(ports[-1])],
        "litserve, 1 worker": [*litserve, str(ports[1]), "1"],
        "litserve, 2 workers": [*litserve, str(ports[2]), "2"],
        "bentoml, 1 worker": [*bentoml, str(ports[3])],
        "bentoml, 2 workers": [*bentoml, str(ports[4])],
    }


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on now."""
    with ExitStack() as stack:
        sockets = [
            stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)
        ]
        return [opened.getsockname()[1] for opened in sockets]


@contextmanager
def running(command: list[str | Path], environment: dict[str, str]) -> Iterator[int]:
    """A server until the block ends; yields its process."""
    process = subprocess.Popen(command, start_new_session=True, env=os.environ | environment)
    try:
        yield process.pid
    finally:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(30)
        with suppress(ProcessLookupError):  # it may leave processes of its own
            os.killpg(process.pid, signal.SIGKILL)


def await_answer(port: int, body: Path, content_type: str) -> None:
    url = f"http://127.0.0.1:{port}/predict"
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        try:
            headers = {"Content-Type": content_type}
            answer = requests.post(url, body.read_bytes(), headers=headers, timeout=60)
        except requests.ConnectionError:
            time.sleep(0.2)
        else:
            answer.raise_for_status()
            return
    raise SystemExit(f"{url} does not answer")


def measure(
    servers: dict[str, Server], steps: list[int], seconds: float, rounds: int
) -> dict[str, Any]:
    """Load every server in turn, round by round; returns the medians for each number of clients."""
    result: dict[str, Any] = {name: {} for name in servers}
    for connections in steps:
        samples: dict[str, list[dict[str, float]]] = {name: [] for name in servers}
        for _ in range(rounds):
            for name, server in servers.items():
                samples[name].append(server.load(connections, seconds))
        for name, runs in samples.items():
            result[name][connections] = {
                key: round(statistics.median(run[key] for run in runs), 2) for key in runs[0]
            }
    return result


def write_form(file: Path) -> str:
    """Write a form with the image; returns its content type."""
    head = (
        f"--{BOUNDARY}\r\n"
        'Content-Disposition: form-data; name="image"; filename="image.jpg"\r\n'
        "Content-Type: image/jpeg\r\n\r\n"
    )
    file.write_bytes(head.encode() + IMAGE.read_bytes() + f"\r\n--{BOUNDARY}--\r\n".encode())
    return f"multipart/form-data; boundary={BOUNDARY}"


def start_all(stack: ExitStack, folder: Path) -> dict[str, Server]:
    """Start the servers, and wait until each has answered."""
    model = folder / "model.onnx"
    export = [sys.executable, "-m", "ghostnet.cli", "export", model]
    subprocess.run(export, stdout=subprocess.DEVNULL, check=True)
    form = (folder / "form", write_form(folder / "form"))
    ports = free_ports(6)
    servers = {}
    for (name, command), port in zip(commands(model, ports).items(), ports, strict=False):
        environment = {"MODEL": str(model), "WORKERS": "2" if name.endswith("workers") else "1"}
        environment["BENTOML_DO_NOT_TRACK"] = "True"
        process = stack.enter_context(running(command, environment))
        body = (IMAGE, "image/jpeg") if name == OURS else form
        await_answer(port, *body)
        servers[name] = Server(process, http(port, *body))
    servers[f"{OURS}, gRPC"] = Server(servers[OURS].process, over_grpc(ports[-1]))
    return servers


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--connections", type=int, nargs="+", default=CONNECTIONS)
    parser.add_argument("--seconds", type=float, default=15)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    if shutil.which("wrk") is None:
        raise SystemExit("expected the load generator wrk: apt-get install wrk")
    result: dict[str, Any] = {
        "machine": machine(("bentoml", "grpcio", "litserve", "onnxruntime", "uvicorn")),
        "image": {"file": IMAGE.name, "bytes": IMAGE.stat().st_size},
        "seconds": arguments.seconds,
        "rounds": arguments.rounds,
    }
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        servers = start_all(stack, Path(folder))
        steps = arguments.connections
        result["servers"] = measure(servers, steps, arguments.seconds, arguments.rounds)
    arguments.out.write_text(json.dumps(result, indent=1) + "\n")
    print_table(result["servers"])


def print_table(servers: dict[str, Any]) -> None:
    print("| server | connections | images/s | p50 ms | p99 ms | failed | MiB |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    for name, steps in servers.items():
        for connections, figures in steps.items():
            cells = " | ".join(f"{value:.1f}" for value in figures.values())
            print(f"| {name} | {connections} | {cells} |")


if __name__ == "__main__":
    main()
