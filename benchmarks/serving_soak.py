"""A long run of the server among hostile requests: its memory, its health, and its good clients.

``python benchmarks/serving_soak.py --minutes 30`` starts ``ghostnet serve``. Clients post a
photograph, each as soon as it has the answer; a tenth of what they send is hostile instead
(``hostile_requests.py``). A process of its own asks for the server's health twenty times a second.
It writes ``serving_soak.json`` beside this file in ``results``, and prints what it says.
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
from pathlib import Path
from typing import Any

import hostile_requests
from machine import machine

from ghostnet.serving.limits import MEBIBYTE, Limits

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results" / "serving_soak.json"
IMAGE = HERE.parent / "assets/images/dandelion.jpg"
INFER = "v2/models/ghostnet_v1.0_pets/infer"
ADDRESS = re.compile(r"on http://127\.0\.0\.1:(\d+)\n")
TIMEOUT_SECONDS = 120
HEALTH_SECONDS = 0.05
SAMPLE_SECONDS = 0.2


@contextmanager
def running(log: Path) -> Iterator[tuple[int, int]]:
    """A server; yields its process and its port."""
    command = [sys.executable, "-m", "ghostnet.cli", "serve", "--port", "0"]
    with log.open("w") as file, subprocess.Popen(command, stderr=file) as process:
        try:
            while not (found := ADDRESS.search(log.read_text())):
                if process.poll() is not None:
                    raise SystemExit(log.read_text())
                time.sleep(SAMPLE_SECONDS)
            yield process.pid, int(found[1])
        finally:
            process.terminate()


def good(port: int, image: bytes) -> str:
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


def load(
    port: int, seconds: float, clients: int, share: float
) -> tuple[Counter[str], Counter[tuple[str, str]]]:
    """Send requests; returns the outcomes of good ones, and of hostile ones by their name."""
    image = IMAGE.read_bytes()
    hostile = hostile_requests.requests(INFER)
    end = time.monotonic() + seconds

    def send_on(number: int) -> tuple[Counter[str], Counter[tuple[str, str]]]:
        choose = random.Random(number)
        answered: Counter[str] = Counter()
        met: Counter[tuple[str, str]] = Counter()
        while time.monotonic() < end:
            if choose.random() >= share:
                answered[good(port, image)] += 1
            else:
                name = choose.choice(list(hostile))
                met[name, hostile_requests.send(port, name, hostile[name])] += 1
        return answered, met

    with ThreadPoolExecutor(clients) as executor:
        outcomes = list(executor.map(send_on, range(clients)))
    answered, met = zip(*outcomes, strict=True)
    return sum(answered, Counter()), sum(met, Counter())


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
    with running(log) as (process, port), ProcessPoolExecutor(2, spawn) as executor:
        loading = executor.submit(load, port, seconds, clients, share)
        probing = executor.submit(probe_health, port, seconds)
        peaks = watch_memory(process, loading)
        answered, met = loading.result()
        health = probing.result()
        peak = peak_mib(process)
    outcomes: dict[str, dict[str, int]] = {}
    for (name, outcome), count in sorted(met.items()):
        outcomes.setdefault(name, {})[outcome] = count
    return {
        "budget_mib": Limits().memory // MEBIBYTE,
        "peak_mib": peak,
        "peak_mib_by_minute": peaks,
        "health_ms": {
            "p50": round(health[len(health) // 2], 1),
            "p99": round(health[int(0.99 * len(health))], 1),
            "most": round(health[-1], 1),
        },
        "good": dict(answered),
        "lost": answered.total() - answered["200"],
        "hostile": outcomes,
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
            "machine": machine(("uvicorn", "pillow")),
            "minutes": arguments.minutes,
            "clients": arguments.clients,
            "hostile_share": arguments.hostile,
            **measure(60 * arguments.minutes, arguments.clients, arguments.hostile, log),
        }
    arguments.out.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
