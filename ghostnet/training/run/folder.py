"""The folder of a training run."""

from pathlib import Path

from ghostnet.errors import TrainingError

STATE = "state.ckpt"
"""File of everything that resuming needs."""

REPORT = "report.html"
"""Page about the held-out images."""


def check_folder(out: Path, *, resume: bool) -> None:
    """Check that a folder holds a run to resume, or none that would be overwritten.

    Raises:
        TrainingError: There is no run to resume, or one would be overwritten.
    """
    exists = (out / STATE).exists()
    if resume and not exists:
        raise TrainingError(
            f"{out} holds no training run to resume ({STATE} is missing); start one without "
            "--resume"
        )
    if exists and not resume:
        raise TrainingError(
            f"{out} holds a training run, which would be overwritten; continue it with "
            f"`ghostnet train --resume --out {out}`, or name another folder"
        )
