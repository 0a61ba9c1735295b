"""A long run of the server among hostile requests: its memory, its health, and its good clients.

``python benchmarks/serving_soak.py --minutes 30`` starts ``ghostnet serve``. Clients send a
photograph over HTTP or gRPC, each as soon as it has the answer; a tenth of what they send is
hostile instead (``hostile_requests.py``, ``hostile_calls.py``). A process of its own asks for the
server's health twenty times a second. It writes ``serving_soak.json`` beside this file in
``results``, and prints what it says. It needs the extra ``grpc``.
"""

import argparse
import http.client
import json
import multiprocessing
import random
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import hostile_calls
import hostile_requests
from hostile_calls import Call
from machine import machine

from ghostnet.serving.limits import MEBIBYTE, Limits

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results" / "serving_soak.json"
IMAGE = HERE.parent / "assets/images/dandelion.jpg"
MODEL = "ghostnet_v1.0_pets"
GOOD_OUTCOMES = ("200", "OK")
CALLS_PER_CONNECTION = 50
ADDRESSES = re.compile(r"gRPC on (?P<rpc>\S+)\n(?:.*\n)*?.*on http://127\.0\.0\.1:(?P<port>\d+)\n")
TIMEOUT_SECONDS = 120
HEALTH_SECONDS = 0.05
SAMPLE_SECONDS = 0.2


@dataclass(frozen=True)
class Server:
    """A running server: its process, its port of HTTP, and its address of gRPC."""

    process: int
    port: int
    rpc: str


@contextmanager
def running(log: Path) -> Iterator[Server]:
    """A server until the block ends."""
    command = [sys.executable, "-m", "ghostnet.cli", "serve", "--port", "0", "--grpc-port", "0"]
    with log.open("w") as file, subprocess.Popen(command, stderr=file) as process:
        try:
            while not (found := ADDRESSES.search(log.read_text())):
                if process.poll() is not None:
                    raise SystemExit(log.read_text())
                time.sleep(SAMPLE_SECONDS)
            yield Server(process.pid, int(found["port"]), found["rpc"])
        finally:
            process.terminate()


def post(port: int, image: bytes) -> str:
    """Post the photograph, and return the status of the answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT_SECONDS)
    try:
        connection.request("POST", "/predict", image)
        response = connection.getresponse()
        response.read()
        return str(response.status)
    except (OSError, http.client.HTTPException) as error:
        return type(error).__name__
    finally:
        connection.close()


def good_calls(server: Server) -> dict[str, Call]:
    """How the photograph is sent, by protocol."""
    image = IMAGE.read_bytes()
    message = hostile_calls.of_files(MODEL, image)
    return {
        "HTTP": lambda _: post(server.port, image),
        "gRPC": partial(hostile_calls.send, message),
    }


def bad_calls(server: Server) -> dict[str, Call]:
    """Hostile requests of both protocols by name."""

    def sender(name: str, request: bytes) -> Call:
        return lambda _: hostile_requests.send(server.port, name, request)

    requests = hostile_requests.requests(f"v2/models/{MODEL}/infer")
    return {
        **{f"HTTP: {name}": sender(name, request) for name, request in requests.items()},
        **{f"gRPC: {name}": call for name, call in hostile_calls.calls(MODEL).items()},
    }


def load(
    server: Server, seconds: float, clients: int, share: float
) -> tuple[Counter[tuple[str, str]], Counter[tuple[str, str]]]:
    """Send requests; returns the outcomes of good and of hostile ones by their names."""
    good, hostile = good_calls(server), bad_calls(server)
    end = time.monotonic() + seconds

    def send_on(number: int) -> tuple[Counter[tuple[str, str]], Counter[tuple[str, str]]]:
        choose = random.Random(number)
        counts = (Counter[tuple[str, str]](), Counter[tuple[str, str]]())
        while time.monotonic() < end:
            with hostile_calls.connect(server.rpc) as channel:
                for _ in range(CALLS_PER_CONNECTION):
                    is_hostile = choose.random() < share
                    calls = hostile if is_hostile else good
                    name = choose.choice(list(calls))
                    counts[is_hostile][name, calls[name](channel)] += 1
        return counts

    with ThreadPoolExecutor(clients) as executor:
        answered, met = zip(*executor.map(send_on, range(clients)), strict=True)
    return sum(answered, Counter()), sum(met, Counter())


def by_name(counts: Counter[tuple[str, str]]) -> dict[str, dict[str, int]]:
    """Nest outcomes in a table."""
    nested: dict[str, dict[str, int]] = {}
    for (name, outcome), count in sorted(counts.items()):
        nested.setdefault(name, {})[outcome] = count
    return nested


def probe_health(port: int, seconds: float) -> list[float]:
    """Ask for the server's health; returns the milliseconds of each answer."""
    latencies = []
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT_SECONDS)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        start = time.perf_counter()
        connection.request("GET", "/healthz")
        assert connection.getresponse().read() == b'{"live":true}'
        latencies.append(1000 * (time.perf_counter() - start))
        time.sleep(HEALTH_SECONDS)
    return sorted(latencies)


def watch_memory(process: int, load: Future[Any]) -> list[float]:
    """Return the most memory that a process has in each minute of a load, in MiB."""
    peaks: list[float] = []
    start = time.monotonic()
    while not load.done():
        status = Path(f"/proc/{process}/status").read_text()
        resident = int(re.search(r"VmRSS:\s+(\d+)", status)[1]) / 1024
        minute = int((time.monotonic() - start) / 60)
        peaks += [0.0] * (minute + 1 - len(peaks))
        peaks[minute] = round(max(peaks[minute], resident), 1)
        time.sleep(SAMPLE_SECONDS)
    return peaks


def peak_mib(process: int) -> float:
    """The most memory that a process has had, in MiB."""
    status = Path(f"/proc/{process}/status").read_text()
    return round(int(re.search(r"VmHWM:\s+(\d+)", status)[1]) / 1024, 1)


def measure(seconds: float, clients: int, share: float, log: Path) -> dict[str, Any]:
    """Run the server and its clients."""
    spawn = multiprocessing.get_context("spawn")
    with running(log) as server, ProcessPoolExecutor(2, spawn) as executor:
        loading = executor.submit(load, server, seconds, clients, share)
        probing = executor.submit(probe_health, server.port, seconds)
        peaks = watch_memory(server.process, loading)
        answered, met = loading.result()
        health = probing.result()
        peak = peak_mib(server.process)
    return {
        "budget_mib": Limits().memory // MEBIBYTE,
        "peak_mib": peak,
        "peak_mib_by_minute": peaks,
        "health_ms": {
            "p50": round(health[len(health) // 2], 1),
            "p99": round(health[int(0.99 * len(health))], 1),
            "most": round(health[-1], 1),
        },
        "good": by_name(answered),
        "lost": sum(n for (_, outcome), n in answered.items() if outcome not in GOOD_OUTCOMES),
        "hostile": by_name(met),
        "log_lines": len(log.read_text().splitlines()),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--hostile", type=float, default=0.1, help="share of hostile requests")
    parser.add_argument("--out", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        result = {
            "machine": machine(("grpcio", "pillow", "uvicorn")),
            "minutes": arguments.minutes,
            "clients": arguments.clients,
            "hostile_share": arguments.hostile,
            **measure(60 * arguments.minutes, arguments.clients, arguments.hostile, log),
        }
    arguments.out.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
