"""The history of a training run, which a notebook shows while it grows."""

import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import Any

from ghostnet.training.model_card import CARD
from ghostnet.training.run.curve import curve_svg
from ghostnet.training.run.log import Row


@dataclass
class History:
    """The epochs of a run; in a notebook, it is a curve and the figures of the last epoch.

    Attributes:
        out: Folder of the run.
        rows: A row for each epoch.
        best_epoch: Number of the best epoch, whose network ``card`` names; 0 before the first.
    """

    out: Path
    rows: list[Row] = field(default_factory=list)
    best_epoch: int = 0

    @property
    def card(self) -> Path:
        """The card of the best epoch."""
        return self.out / CARD

    @property
    def best(self) -> Row:
        """The row of the best epoch."""
        return self.rows[self.best_epoch - 1]

    def __repr__(self) -> str:
        if not self.rows:
            return f"History({str(self.out)!r}: no epoch yet)"
        best = self.best
        return (
            f"History({str(self.out)!r}: {len(self.rows)} epochs, the best one {self.best_epoch}, "
            f"{best.title} {best.score:.1%})"
        )

    def _repr_html_(self) -> str:
        """Return what a notebook shows: the curve, and the figures of the best and last epoch."""
        if not self.rows:
            return f"<p>{escape(str(self.out))}: no epoch yet</p>"
        heads = "".join(f"<th>{escape(name)}</th>" for name in self.rows[0].as_dict())
        shown = {"best": self.best, "last": self.rows[-1]}
        lines = "".join(
            f"<tr><th>{name}</th>"
            + "".join(f"<td>{value:.4g}</td>" for value in row.as_dict().values())
            + "</tr>"
            for name, row in shown.items()
        )
        return f"{curve_svg(self.rows)}<table><tr><th></th>{heads}</tr>{lines}</table>"


def notebook_display() -> Callable[[History], None]:
    """Return what shows a history in the notebook that runs this process, and then updates it.

    Outside of notebooks it does nothing. IPython is not imported: a notebook has imported it.
    """
    ipython = sys.modules.get("IPython")
    shell = ipython and ipython.get_ipython()
    if not hasattr(shell, "kernel"):
        return lambda history: None
    import IPython.display

    display: Any = IPython.display.display
    handle: Any = None

    def show(history: History) -> None:
        nonlocal handle
        if handle is None:
            handle = display(history, display_id=True)
        else:
            handle.update(history)

    return show
