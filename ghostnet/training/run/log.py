"""The log of a training run: a row for each epoch, as CSV and as a curve."""

import csv
import io
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ghostnet.errors import PackageError, TrainingError
from ghostnet.files import raising, write_whole
from ghostnet.packages import needs

LOG = "log.csv"
CURVE = "curve.png"
SPEED = "images_per_second"

TITLES = {"top1": "top-1", "mean_average_precision": "mean average precision"}
"""What people call the measures of curves."""


@dataclass(frozen=True)
class Row:
    """One epoch.

    Attributes:
        epoch: Number of the epoch, counted from 1.
        learning_rate: Learning rate of the classifier in the last step of the epoch.
        loss: Mean loss over the steps of the epoch, on augmented images.
        measures: Figures of the held-out images between 0 and 1, by name: ``top1`` and ``balanced``
            or, if images may have several labels, ``mean_average_precision`` and ``f1``.
        images_per_second: Training speed of all workers, without evaluation.
    """

    epoch: int
    learning_rate: float
    loss: float
    measures: Mapping[str, float]
    images_per_second: float

    @property
    def score(self) -> float:
        """The first of the measures, which curves show."""
        return next(iter(self.measures.values()))

    @property
    def title(self) -> str:
        """What people call the first of the measures."""
        return TITLES[next(iter(self.measures))]

    def as_dict(self) -> dict[str, float]:
        """Return the figures by name."""
        return {
            "epoch": self.epoch,
            "learning_rate": self.learning_rate,
            "loss": self.loss,
            **self.measures,
            SPEED: self.images_per_second,
        }


def write_log(rows: Sequence[Row], folder: Path) -> None:
    """Write the CSV and, where matplotlib is installed, draw the curve.

    Raises:
        TrainingError: The folder cannot be written.
    """
    text = io.StringIO()
    writer = csv.DictWriter(text, [*rows[-1].as_dict()], lineterminator="\n")
    writer.writeheader()
    writer.writerows(row.as_dict() for row in rows)
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
        with path.open(newline="", encoding="utf-8") as file:
            entries = list(csv.DictReader(file))[:epochs]
        rows = [_row(entry) for entry in entries]
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise TrainingError(f"{path} is not the log of a run ({error})") from error
    if [row.epoch for row in rows] != list(range(1, epochs + 1)):
        raise TrainingError(f"{path} should have rows for {epochs} epochs, but has {len(rows)}")
    return rows


def _row(entry: dict[str, str]) -> Row:
    epoch = int(entry.pop("epoch"))
    figures = {name: float(value) for name, value in entry.items()}
    rate, loss, speed = (figures.pop(name) for name in ("learning_rate", "loss", SPEED))
    return Row(epoch, rate, loss, figures, speed)


def _draw(rows: Sequence[Row]) -> bytes:
    with needs("matplotlib", extra="plot"):
        from matplotlib.figure import Figure
        from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=(8, 4.5))
    losses = figure.subplots(gridspec_kw={"left": 0.09, "right": 0.92, "bottom": 0.11, "top": 0.97})
    shares = losses.twinx()
    epochs = [row.epoch for row in rows]
    losses.plot(epochs, [row.loss for row in rows], "o-", markersize=3, color="tab:blue")
    shares.plot(epochs, [100 * row.score for row in rows], "o-", markersize=3, color="tab:orange")
    losses.set_xlabel("epoch")
    losses.set_ylabel("training loss", color="tab:blue")
    shares.set_ylabel(f"{rows[-1].title} on held-out images (%)", color="tab:orange")
    losses.xaxis.set_major_locator(MaxNLocator(integer=True))
    losses.grid(alpha=0.3)
    plot = io.BytesIO()
    figure.savefig(plot, format="png", dpi=120)
    return plot.getvalue()
