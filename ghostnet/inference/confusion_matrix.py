"""A confusion matrix, drawn inside a page."""

import base64
import io
from html import escape

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ghostnet.model import Evaluation
from ghostnet.model.evaluation import MAX_LABELED
from ghostnet.model.result import printable

CELL = 18
"""Side of a cell, where cells have labels and counts."""

CHARACTER = 5.2
"""Width of a character of a label."""

PLAIN_SIDE = 720
"""Side of a matrix without labels."""

RIGHT, WRONG, EMPTY = (np.array(color) for color in ((46, 158, 91), (209, 69, 59), (128, 128, 128)))
FAINT = 26
"""Opacity of an empty cell, of 255."""


def confusion_svg(evaluation: Evaluation) -> str:
    """Draw the classes that have images: rows are true classes, columns the likeliest ones."""
    counts = evaluation.confusion
    used = np.flatnonzero(counts.sum(0) + counts.sum(1))
    counts = counts[np.ix_(used, used)]
    labels = [printable(evaluation.labels[index]) for index in used]
    is_labeled = len(labels) <= MAX_LABELED
    side = CELL * len(labels) if is_labeled else PLAIN_SIDE
    margin = round(CHARACTER * max(map(len, labels))) + 8 if is_labeled else 0
    size = side + margin
    return (
        f'<svg viewBox="0 0 {size} {size}" width="{size}" role="img" '
        f'aria-label="Confusion matrix: rows are true classes">'
        f'<image x="{margin}" y="{margin}" width="{side}" height="{side}" href="{_png(counts)}"/>'
        f"{_texts(labels, counts, margin) if is_labeled else ''}</svg>\n"
    )


def _png(counts: NDArray[np.int64]) -> str:
    """Return a pixel for each cell, whose opacity is its share of the row."""
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    colors = np.where(np.eye(len(counts), dtype=bool)[..., None], RIGHT, WRONG)
    colors = np.where(counts[..., None] > 0, colors, EMPTY)
    opacity = np.where(counts > 0, 60 + 195 * np.sqrt(shares), FAINT)
    pixels = np.dstack([colors, opacity[..., None]]).round().astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"


def _texts(labels: list[str], counts: NDArray[np.int64], margin: int) -> str:
    """Return the labels of rows and columns, and the counts."""
    texts = []
    for index, label in enumerate(labels):
        place = margin + CELL * (index + 0.5)
        label = escape(label)
        texts.append(f'<text x="{margin - 4}" y="{place + 3}" text-anchor="end">{label}</text>')
        turned = f'transform="translate({place + 3} {margin - 4}) rotate(-90)"'
        texts.append(f"<text {turned}>{label}</text>")
    for row, column in np.argwhere(counts):
        x, y = (margin + CELL * (index + 0.5) for index in (column, row))
        texts.append(f'<text x="{x}" y="{y + 3}" text-anchor="middle">{counts[row, column]}</text>')
    return "".join(texts)
