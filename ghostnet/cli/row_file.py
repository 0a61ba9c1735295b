"""Files of rows that a command writes: labels or embeddings of images."""

import sys
import time
from contextlib import AbstractContextManager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from ghostnet.cli.name_list import STDIN, NameList
from ghostnet.cli.output import count_left_out, counting, print_json, print_table, say

if TYPE_CHECKING:
    from ghostnet.inference.labeling import Labeler
    from ghostnet.inference.provenance import Provenance
    from ghostnet.inference.rows import Rows
    from ghostnet.model import ImageSource

OUT_BATCH = 32
"""Default batch size if results go to a file."""


def write_rows(
    opening: "AbstractContextManager[Labeler]",
    provenance: "Provenance",
    names: NameList,
    out: Path,
    *,
    formats: "dict[str, type[Rows]] | None" = None,
    resume: bool,
    as_json: bool,
) -> None:
    """Write a row for each image, and print a summary.

    Args:
        opening: What answers.
        provenance: What the answers depend on beside the images.
        names: The images.
        out: The file.
        formats: Formats of files by suffix, unless they are those of labels.
        resume: Continue the file.
        as_json: Print JSON.
    """
    from ghostnet.data.image_folder import walk_images
    from ghostnet.data.left_out import LeftOut
    from ghostnet.inference.labeling import label
    from ghostnet.inference.results import FORMATS, open_results

    left_out = LeftOut()
    with (
        opening as labeler,
        open_results(out, provenance, formats=formats or FORMATS, resume=resume) as rows,
    ):
        total = None
        if names.is_repeatable and sys.stderr.isatty():
            total = sum(1 for _ in walk_images(names, LeftOut()))
        verb = "embed" if provenance.vectors else "predict"
        with counting(verb, total, speed=True) as advance:
            start = time.perf_counter()
            done = label(labeler, walk_images(names, left_out), rows, source, advance)
            seconds = time.perf_counter() - start
    speed = (done.rows - done.resumed + done.retried) / seconds
    answer = {"file": str(out), **asdict(done), "images_per_second": round(speed, 1)}
    counts = count_left_out(left_out)
    if done.rows == done.errors:
        say(f"no image was {'embedded' if provenance.vectors else 'labeled'} in {names}")
    if as_json:
        print_json({**answer, "left_out": counts})
    else:
        print_table(str(out), None, [(k.replace("_", " "), v) for k, v in answer.items()][1:])
    if done.errors or not done.rows or left_out.is_partial:
        raise typer.Exit(1)


def source(name: str) -> "ImageSource":
    """Return the image of a name; ``-`` is an image on stdin."""
    from ghostnet.model import ImageSource

    return ImageSource(name, sys.stdin.buffer.read() if name == STDIN else name)
