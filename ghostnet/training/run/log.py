"""The log of a training run: a row for each epoch, as CSV and as a curve."""

import csv
import io
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from ghostnet.errors import PackageError, TrainingError
from ghostnet.files import raising, write_whole
from ghostnet.packages import needs

LOG = "log.csv"
CURVE = "curve.png"


@dataclass(frozen=True)
class Row:
    """One epoch.

    Attributes:
        epoch: Number of the epoch, counted from 1.
        learning_rate: Learning rate of the classifier in the last step of the epoch.
        loss: Mean loss over the steps of the epoch, on augmented images.
        top1: Share of correct answers on the held-out images, between 0 and 1.
        balanced: Mean of the shares of correct answers of the classes, between 0 and 1.
        images_per_second: Training speed of all workers, without evaluation.
    """

    epoch: int
    learning_rate: float
    loss: float
    top1: float
    balanced: float
    images_per_second: float


def write_log(rows: Sequence[Row], folder: Path) -> None:
    """Write the CSV and, where matplotlib is installed, draw the curve.

    Raises:
        TrainingError: The folder cannot be written.
    """
    text = io.StringIO()
    writer = csv.DictWriter(text, [field.name for field in fields(Row)], lineterminator="\n")
    writer.writeheader()
    writer.writerows(asdict(row) for row in rows)
    with raising(TrainingError, f"{folder}: cannot be written"):
        write_whole(folder / LOG, text.getvalue().encode())
        with suppress(PackageError):
            write_whole(folder / CURVE, _draw(rows))


def read_log(folder: Path, epochs: int) -> list[Row]:
    """Read the first ``epochs`` rows of the CSV.

    Raises:
        TrainingError: The CSV does not have them.
    """
    path = folder / LOG
    if epochs == 0:
        return []
    try:
        with path.open(newline="") as file:
            entries = list(csv.DictReader(file))[:epochs]
        rows = [Row(int(entry.pop("epoch")), *map(float, entry.values())) for entry in entries]
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise TrainingError(f"{path} is not the log of a run ({error})") from error
    if [row.epoch for row in rows] != list(range(1, epochs + 1)):
        raise TrainingError(f"{path} should have rows for {epochs} epochs, but has {len(rows)}")
    return rows


def _draw(rows: Sequence[Row]) -> bytes:
    with needs("matplotlib", extra="plot"):
        from matplotlib.figure import Figure
        from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=(8, 4.5))
    losses = figure.subplots(gridspec_kw={"left": 0.09, "right": 0.92, "bottom": 0.11, "top": 0.97})
    shares = losses.twinx()
    epochs = [row.epoch for row in rows]
    losses.plot(epochs, [row.loss for row in rows], "o-", markersize=3, color="tab:blue")
    shares.plot(epochs, [100 * row.top1 for row in rows], "o-", markersize=3, color="tab:orange")
    losses.set_xlabel("epoch")
    losses.set_ylabel("training loss", color="tab:blue")
    shares.set_ylabel("top-1 on held-out images (%)", color="tab:orange")
    losses.xaxis.set_major_locator(MaxNLocator(integer=True))
    losses.grid(alpha=0.3)
    plot = io.BytesIO()
    figure.savefig(plot, format="png", dpi=120)
    return plot.getvalue()
