"""The pages of HTML that commands write with ``--report``."""

from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from ghostnet.inference.report import Draw
    from ghostnet.model import Model


def check_explain(explain: bool, report: Path | None) -> None:
    """Check that ``--explain`` has a page to show what it explains."""
    if explain and not report:
        raise typer.BadParameter("--explain needs --report; for one image, use ghostnet explain")


def draw_with(model: "Model", *, explain: bool) -> "Draw":
    """Choose what draws an image in a report."""
    from ghostnet.inference.report import explained_by, thumbnail

    return explained_by(model) if explain else thumbnail
