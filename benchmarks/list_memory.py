"""A million names: does the memory of `ghostnet predict --list … --out FILE` grow?

``python benchmarks/list_memory.py`` labels a list in a process of its own for each format, and then
resumes the file, which tries all that failed again. Of the names, 32 in 16,000 are images, and the
others are missing, so that the network does not take hours; a folder that is listed 100 times has
1,000 files that are left out. It writes results/list_memory.json.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np
from machine import machine
from soak import WARM_UP, resident_mib

from ghostnet.cli.name_list import NameList
from ghostnet.data.image_folder import walk_images
from ghostnet.data.left_out import LeftOut
from ghostnet.hub import open_model
from ghostnet.hub.catalog import assets_folder
from ghostnet.inference.labeling import label, label_with
from ghostnet.inference.provenance import Provenance
from ghostnet.inference.results import open_results
from ghostnet.model.forward import open_forward
from ghostnet.models.registry import DEFAULT_MODEL

RESULTS = Path(__file__).with_name("results") / "list_memory.json"
FORMATS = ("csv", "jsonl", "parquet")
BATCH, APART = 32, 16_000
"""Images that follow each other, and names from the first of these to the next first."""

FOLDERS, FILES_LEFT_OUT = 100, 1_000
SAMPLES = 200


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--names", type=int, default=1_000_000)
    parser.add_argument("--run", nargs=2, type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.run:
        print(json.dumps(run(*arguments.run, arguments.names)))
        return
    with tempfile.TemporaryDirectory() as folder:
        names = write_list(Path(folder), arguments.names)
        runs = {
            f"{suffix}, {kind}": measure(names, Path(folder) / f"rows.{suffix}", arguments.names)
            for suffix in FORMATS
            for kind in ("new", "resumed")
        }
    report = {"machine": machine(("numpy", "pyarrow")), "names": arguments.names, "runs": runs}
    RESULTS.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(report, indent=1))


def write_list(folder: Path, count: int) -> Path:
    """Write the list, and the folder whose files are left out."""
    left_out = folder / "left out"
    left_out.mkdir()
    for number in range(FILES_LEFT_OUT):
        (left_out / f"{number}.txt").write_bytes(b"text")
    images = cycle(sorted((assets_folder() / "images").glob("*.jpg")))
    path = folder / "names.txt"
    with path.open("w") as file:
        for number in range(count):
            is_image = number % APART < BATCH
            file.write(f"{next(images) if is_image else f'{folder}/missing/{number}.jpg'}\n")
            if number % (count // FOLDERS) == 0:
                file.write(f"{left_out}\n")
    return path


def measure(names: Path, out: Path, count: int) -> dict[str, Any]:
    """Label a list in a new process; if ``out`` has rows, they are resumed."""
    command = [sys.executable, __file__, "--run", names, out, "--names", str(count)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def run(names: Path, out: Path, count: int) -> dict[str, Any]:
    """Label a list in this process, and describe the memory after the warm-up."""
    model = open_model(DEFAULT_MODEL)
    labeler = label_with(model, batch_size=BATCH, forward=open_forward(model))
    left_out = LeftOut()
    memory: list[float] = []
    every = count // SAMPLES
    done = 0

    def sample(more: int) -> None:
        nonlocal done
        done += more
        if done // every > (done - more) // every:
            memory.append(resident_mib())

    with open_results(out, Provenance.of(model, 3), resume=True) as rows:
        listed = walk_images(NameList([], str(names)), left_out)
        labeled = label(labeler, listed, rows, progress=sample)
    first = round(WARM_UP * len(memory))
    places = np.arange(len(memory)) * every / 1000
    return {
        "rows": labeled.rows,
        "retried": labeled.retried,
        "left_out": sum(left_out.counts.values()),
        "start_mib": memory[first],
        "end_mib": memory[-1],
        "peak_mib": max(memory),
        "slope_kib": float(np.polyfit(places[first:], memory[first:], 1)[0]) * 1024,
    }


if __name__ == "__main__":
    main()
