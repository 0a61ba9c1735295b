"""A million names: does the memory of `ghostnet predict --list … --out FILE` grow?

``python benchmarks/list_memory.py`` labels a list in a process of its own for each format, and then
resumes the file, which tries all that failed again. Of the names, 32 in 16,000 are images, and the
others are missing, so that the network does not take hours; a folder that is listed 100 times has
1,000 files that are left out. Archives have as many members, most of them broken. Another process
brings a file up to date that has a row for each name below links to a folder of 1,000 images, of
which two have changed and one is gone. The benchmark writes results/list_memory.json.
"""

import argparse
import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import threading
import zipfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from itertools import cycle, islice
from pathlib import Path
from typing import Any, TypeAlias

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
from ghostnet.inference.rows import Answer
from ghostnet.inference.update import update
from ghostnet.model import ImageSource
from ghostnet.model.forward import open_forward
from ghostnet.models.registry import DEFAULT_MODEL

RESULTS = Path(__file__).with_name("results") / "list_memory.json"
FORMATS = ("csv", "jsonl", "parquet")
BATCH, APART = 32, 16_000
"""Images that follow each other, and names from the first of these to the next first."""

FOLDERS, FILES_LEFT_OUT = 100, 1_000
LINKED = 1_000
SAMPLE_SECONDS = 0.1

Pack: TypeAlias = Callable[[Path, Iterable[tuple[str, bytes]]], None]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--names", type=int, default=1_000_000)
    parser.add_argument("--resume", nargs=2, type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--update", nargs=2, type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.resume or arguments.update:
        files = arguments.resume or arguments.update
        print(json.dumps(run(*files, is_update=bool(arguments.update))))
        return
    with tempfile.TemporaryDirectory() as folder:
        names = write_list(Path(folder), arguments.names)
        runs = {}
        for suffix in FORMATS:
            out = Path(folder) / f"rows.{suffix}"
            for kind in ("new", "resumed"):
                runs[f"{suffix}, {kind}"] = measure("--resume", names, out)
            links = Path(folder) / f"links.{suffix}"
            names_of_rows = write_rows(links, out.with_stem("updated"), arguments.names)
            runs[f"{suffix}, updated"] = measure(
                "--update", names_of_rows, out.with_stem("updated")
            )
        for kind, pack in ARCHIVES.items():
            names = pack_images(Path(folder), f"images.{kind}", pack, arguments.names)
            runs[f"csv, from a .{kind}"] = measure("--resume", names, names.with_suffix(".csv"))
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


def pack_images(folder: Path, name: str, pack: Pack, count: int) -> Path:
    """Write an archive of images, most of them broken, and a list that names it."""
    images = cycle([file.read_bytes() for file in (assets_folder() / "images").glob("*.jpg")])
    members = (
        (f"folder/{number}.jpg", next(images) if number % APART < BATCH else b"no image")
        for number in range(count)
    )
    pack(folder / name, members)
    path = folder / f"{name}.txt"
    path.write_text(f"{folder / name}\n")
    return path


def pack_tar(path: Path, members: Iterable[tuple[str, bytes]]) -> None:
    with tarfile.open(path, "w") as archive:
        for name, content in members:
            header = tarfile.TarInfo(name)
            header.size = len(content)
            archive.addfile(header, io.BytesIO(content))
            archive.members.clear()  # type: ignore[attr-defined]  # they would take memory


def pack_zip(path: Path, members: Iterable[tuple[str, bytes]]) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members:
            archive.writestr(name, content)


ARCHIVES: dict[str, Pack] = {"tar": pack_tar, "zip": pack_zip}


def write_rows(folder: Path, out: Path, count: int) -> Path:
    """Write a row for each of many names without a network, change some files, and list the names.

    The names are those of the same files below links to their folder.
    """
    files = folder / "files"
    files.mkdir(parents=True)
    images = cycle(sorted((assets_folder() / "images").glob("*.jpg")))
    for number, image in enumerate(islice(images, LINKED)):
        shutil.copyfile(image, files / f"{number:04}.jpg")
    path = folder / "names.txt"
    with path.open("w") as file:
        for number in range(count // LINKED):
            (folder / f"{number:04}").symlink_to(files)
            file.writelines(f"{folder}/{number:04}/{image:04}.jpg\n" for image in range(LINKED))

    def answers(images: Iterable[ImageSource]) -> Iterator[Answer]:
        prediction = {"label": "Abyssinian", "index": 0, "probability": 0.123456789}
        for image in images:
            yield {"file": image.name, "predictions": [prediction] * 3}

    with open_results(out, Provenance.of(open_model(DEFAULT_MODEL), 3)) as rows:
        label(answers, iter(NameList([], str(path))), rows)
    for number in range(2):
        os.utime(files / f"{number:04}.jpg", (0, 0))
    (files / "0002.jpg").unlink()
    return path


def measure(what: str, names: Path, out: Path) -> dict[str, Any]:
    """Label a list in a new process; if ``out`` has rows, they are resumed or updated."""
    command = [sys.executable, __file__, what, names, out]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def run(names: Path, out: Path, *, is_update: bool) -> dict[str, Any]:
    """Label a list in this process, and describe the memory after the warm-up."""
    model = open_model(DEFAULT_MODEL)
    labeler = label_with(model, 3, batch_size=BATCH, forward=open_forward(model))
    left_out = LeftOut()
    with sampled() as memory, open_results(out, Provenance.of(model, 3), resume=True) as rows:
        listed = walk_images(NameList([], str(names)), left_out)
        done = (
            update(labeler, listed, rows, left_out) if is_update else label(labeler, listed, rows)
        )
    first = round(WARM_UP * len(memory))
    places = np.linspace(0, done.rows / 1000, len(memory))
    return {
        **asdict(done),
        "left_out": sum(left_out.counts.values()),
        "start_mib": memory[first],
        "end_mib": memory[-1],
        "peak_mib": max(memory),
        "slope_kib": float(np.polyfit(places[first:], memory[first:], 1)[0]) * 1024,
    }


@contextmanager
def sampled() -> Iterator[list[float]]:
    """Sample the memory of this process, in MiB, until the block ends."""
    memory: list[float] = []
    has_ended = threading.Event()

    def sample() -> None:
        while not has_ended.wait(SAMPLE_SECONDS):
            memory.append(resident_mib())

    thread = threading.Thread(target=sample)
    thread.start()
    try:
        yield memory
    finally:
        has_ended.set()
        thread.join()


if __name__ == "__main__":
    main()
