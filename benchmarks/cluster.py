"""Images per second of `predict --out`: one core, one machine, and Ray on it or on a cluster.

``python benchmarks/cluster.py DIR`` labels the images below a folder over and over, from files to
rows of Parquet. It writes results/cluster.json. ``--address`` adds a Ray cluster, whose machines
must see the folder under the same name.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from functools import partial
from itertools import cycle, islice
from pathlib import Path
from typing import Any

from machine import machine

from ghostnet.data.image_folder import find_images

RESULTS = Path(__file__).with_name("results") / "cluster.json"


def runs(address: str | None) -> Iterator[tuple[str, set[int], list[str]]]:
    """What is measured: its name, its processors here, and its words of the command."""
    processors = os.sched_getaffinity(0)
    yield "one core", {min(processors)}, []
    yield "one machine", processors, []
    yield "one machine, through Ray", processors, ["--ray"]
    if address:
        yield "cluster", processors, ["--ray", "--address", address]


def label(names: Path, processors: set[int], words: list[str]) -> float:
    """Label the images that a list names; returns images per second."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "ghostnet.cli", "predict", "--list", str(names), "--json"]
        done = subprocess.run(
            [*command, "--out", f"{folder}/rows.parquet", *words],
            stdout=subprocess.PIPE,
            preexec_fn=partial(os.sched_setaffinity, 0, processors),
        )
    summary = json.loads(done.stdout)
    if "error" in summary:
        raise SystemExit(summary["error"])
    return float(summary["images_per_second"])


def processors_of(address: str) -> int:
    """Processors of a cluster."""
    program = f"import ray; ray.init({address!r}); print(int(ray.cluster_resources()['CPU']))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    return int(done.stdout.split()[-1])


def measure(folder: Path, count: int, address: str | None) -> dict[str, Any]:
    """Everything that is measured."""
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as names:
        images = [str(file.resolve()) for file in find_images([folder])]
        names.write("\n".join(islice(cycle(images), count)))
        names.flush()
        rows = []
        for name, here, words in runs(address):
            used = processors_of(address) if address and name == "cluster" else len(here)
            speed = label(Path(names.name), here, words)
            rows.append({"name": name, "processors": used, "images_per_second": speed})
            print(f"{name}: {speed:.0f} images per second on {used} processors")
    return {"machine": machine(("ray", "pyarrow", "pillow")), "images": count, "rows": rows}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="images, in folders of any depth")
    parser.add_argument("--images", type=int, default=20_000, help="images to label in each run")
    parser.add_argument("--address", help="a Ray cluster to measure too")
    words = parser.parse_args()
    result = measure(words.folder, words.images, words.address)
    RESULTS.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
