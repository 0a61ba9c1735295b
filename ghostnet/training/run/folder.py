"""The folder of a training run."""

from pathlib import Path

from ghostnet.errors import TrainingError

STATE = "state.ckpt"
"""File of everything that resuming needs."""


def check_folder(out: Path, *, resume: bool) -> None:
    """Check that there is a run to resume, or none that would be overwritten.

    Raises:
        TrainingError: It is not so.
    """
    exists = (out / STATE).exists()
    if resume and not exists:
        raise TrainingError(
            f"{out}: expected a run to resume, found no {STATE}; start one without --resume"
        )
    if exists and not resume:
        raise TrainingError(
            f"{out}: expected no run, found one; continue it (--resume) or name another folder"
        )
