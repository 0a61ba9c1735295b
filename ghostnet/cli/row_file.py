"""Files of rows that a command writes: labels or embeddings of images."""

import sys
import time
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from ghostnet.cli.name_list import STDIN, NameList
from ghostnet.cli.output import count_left_out, counting, print_json, print_table, say

if TYPE_CHECKING:
    from ghostnet.inference.labeling import Labeled
    from ghostnet.inference.provenance import Provenance
    from ghostnet.inference.row_writer import Labeler
    from ghostnet.inference.rows import Rows
    from ghostnet.inference.update import Updated
    from ghostnet.model import ImageSource

OUT_BATCH = 32
"""Default batch size if results go to a file."""


@dataclass(frozen=True)
class RowFile:
    """A file of rows, and what to do with those that are there.

    Attributes:
        path: The file.
        resume: Continue after them.
        update: Compare them with their images.
        by_content: Compare the contents of images rather than their sizes and times.
    """

    path: Path
    resume: bool = False
    update: bool = False
    by_content: bool = False

    @classmethod
    def of(
        cls, out: Path | None, update: Path | None, *, resume: bool, by_content: bool
    ) -> "RowFile | None":
        """Return the file that the options of a command mean; None if they mean none.

        Raises:
            typer.BadParameter: They contradict each other.
        """
        if update and (out or resume):
            raise typer.BadParameter("--update FILE takes the place of --out FILE and --resume")
        if resume and out is None:
            raise typer.BadParameter("--resume needs --out")
        if by_content and update is None:
            raise typer.BadParameter("--by-content needs --update")
        path = update or out
        return None if path is None else cls(path, resume, update is not None, by_content)


def check_cluster(paths: list[str], address: str | None, *, ray: bool) -> None:
    """Check that a Ray cluster is named only where one is wanted, and can read the images.

    Raises:
        typer.BadParameter: It is not so.
    """
    if address and not ray:
        raise typer.BadParameter("--address needs --ray")
    if ray and STDIN in paths:
        raise typer.BadParameter("--ray works on files, so it takes no image on stdin (-)")


def write_rows(
    opening: "AbstractContextManager[Labeler]",
    provenance: "Provenance",
    names: NameList,
    file: RowFile,
    *,
    formats: "dict[str, type[Rows]] | None" = None,
    as_json: bool,
) -> None:
    """Write a row for each image, and print a summary.

    Args:
        opening: What answers.
        provenance: What the answers depend on beside the images.
        names: The images.
        file: The file.
        formats: Formats of files by suffix, unless they are those of labels.
        as_json: Print JSON.
    """
    from ghostnet.data.image_folder import walk_images
    from ghostnet.data.left_out import LeftOut
    from ghostnet.inference.labeling import label
    from ghostnet.inference.results import FORMATS, open_results
    from ghostnet.inference.update import update

    left_out = LeftOut()
    with (
        opening as labeler,
        open_results(
            file.path,
            provenance,
            formats=formats or FORMATS,
            resume=file.resume or file.update,
            by_content=file.by_content,
        ) as rows,
    ):
        total = None
        if names.is_repeatable and sys.stderr.isatty() and not file.update:
            total = sum(1 for _ in walk_images(names, LeftOut()))
        verb = "embed" if provenance.vectors else "predict"
        with counting(verb, total, speed=True) as advance:
            start = time.perf_counter()
            images = walk_images(names, left_out)
            done: Labeled | Updated
            if file.update:
                done = update(labeler, images, rows, left_out, source, advance)
            else:
                done = label(labeler, images, rows, source, advance)
            seconds = time.perf_counter() - start
    speed = round(done.answers / seconds, 1)
    answer = {"file": str(file.path), **asdict(done), "images_per_second": speed}
    counts = count_left_out(left_out)
    if done.is_empty:
        say(f"no image was {'embedded' if provenance.vectors else 'labeled'} in {names}")
    if as_json:
        print_json({**answer, "left_out": counts})
    else:
        summary = [(k.replace("_", " "), v) for k, v in answer.items()][1:]
        print_table(str(file.path), None, summary)
    if done.errors or done.is_empty or left_out.is_partial:
        raise typer.Exit(1)


def source(name: str) -> "ImageSource":
    """Return the image of a name; ``-`` is an image on stdin."""
    from ghostnet.model import ImageSource

    return ImageSource(name, sys.stdin.buffer.read() if name == STDIN else name)
