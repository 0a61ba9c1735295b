"""The command that shows which places of an image made its labels: `explain`."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from ghostnet.cli.models import open_model
from ghostnet.cli.options import (
    CacheOption,
    JsonOption,
    LabelsOption,
    ModelOption,
    ShortHashOption,
)
from ghostnet.cli.output import print_json, print_table
from ghostnet.models.registry import DEFAULT_MODEL


def explain(
    image: Annotated[str, typer.Argument(help="Image or its URL, or - for one on stdin.")],
    out: Annotated[
        Path, typer.Option(help="File for the plot: .png, .jpg or .webp; replaced if it exists.")
    ],
    model: ModelOption = DEFAULT_MODEL,
    labels: LabelsOption = None,
    top_k: Annotated[int, typer.Option(min=1, help="Labels to explain.")] = 3,
    cache_dir: CacheOption = None,
    short_hash: ShortHashOption = False,
    as_json: JsonOption = False,
) -> None:
    """Show which places of an image made its labels, as a plot beside it."""
    from ghostnet.model import ImageSource
    from ghostnet.model.explanation import check_suffix

    check_suffix(out)
    if out.exists() and image != "-" and Path(image).exists() and out.samefile(image):
        raise typer.BadParameter("OUT is the image itself; name another file")
    opened = open_model(model, cache_dir, labels, allow_short_hash=short_hash)
    content = sys.stdin.buffer.read() if image == "-" else image
    explanation = opened.explain(ImageSource(image, content), count=top_k)
    explanation.save(out)
    answer = explanation.to_dict() | {"plot": str(out)}
    if as_json:
        print_json(answer)
        return
    rows = [
        (f"{one['probability']:6.1%}  {one['label']}", "{}, {}".format(*one["peak"]))
        for one in answer["predictions"]
    ]
    print_table(str(out), ("label", "most evidence at (column, row)"), rows)
