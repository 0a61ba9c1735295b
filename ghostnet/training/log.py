"""The log of a training run: a row an epoch, as CSV and as a curve."""

import csv
import io
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from ghostnet.errors import TrainingError

LOG = "log.csv"
CURVE = "curve.png"


@dataclass(frozen=True)
class Row:
    """One epoch.

    Attributes:
        epoch: counted from 1.
        learning_rate: of the classifier, in the epoch's last step.
        loss: mean of the steps' losses, on augmented pictures.
        top1: share of right answers on the held-out pictures, between 0 and 1.
        images_per_second: learnt from, by all workers, measuring not included.
    """

    epoch: int
    learning_rate: float
    loss: float
    top1: float
    images_per_second: float


def write_whole(path: Path, content: bytes) -> None:
    """Write a small file, whole or not at all."""
    part = path.with_name(f".{path.name}.part")
    part.write_bytes(content)
    os.replace(part, path)


def write_log(rows: Sequence[Row], folder: Path) -> None:
    """Write the CSV and draw the curve."""
    text = io.StringIO()
    writer = csv.DictWriter(text, [field.name for field in fields(Row)], lineterminator="\n")
    writer.writeheader()
    writer.writerows(asdict(row) for row in rows)
    write_whole(folder / LOG, text.getvalue().encode())
    write_whole(folder / CURVE, _draw(rows))


def read_log(folder: Path, epochs: int) -> list[Row]:
    """The first ``epochs`` rows of the CSV.

    Raises:
        TrainingError: they are not there.
    """
    path = folder / LOG
    if epochs == 0:
        return []
    try:
        with path.open(newline="") as file:
            entries = list(csv.DictReader(file))[:epochs]
        rows = [Row(int(entry.pop("epoch")), *map(float, entry.values())) for entry in entries]
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise TrainingError(f"{path}: cannot be read as the log of a run ({error})") from error
    if [row.epoch for row in rows] != list(range(1, epochs + 1)):
        raise TrainingError(f"{path}: expected rows for {epochs} epochs, found {len(rows)}")
    return rows


def _draw(rows: Sequence[Row]) -> bytes:
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=(8, 4.5), layout="constrained")
    losses = figure.subplots()
    shares = losses.twinx()
    epochs = [row.epoch for row in rows]
    losses.plot(epochs, [row.loss for row in rows], "o-", markersize=3, color="tab:blue")
    shares.plot(epochs, [100 * row.top1 for row in rows], "o-", markersize=3, color="tab:orange")
    losses.set_xlabel("epoch")
    losses.set_ylabel("training loss", color="tab:blue")
    shares.set_ylabel("top-1 on held-out pictures (%)", color="tab:orange")
    losses.xaxis.set_major_locator(MaxNLocator(integer=True))
    losses.grid(alpha=0.3)
    picture = io.BytesIO()
    figure.savefig(picture, format="png", dpi=120)
    return picture.getvalue()
