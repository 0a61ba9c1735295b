"""The images of a run that is resumed: those that it started with, or what takes their places."""

import logging
from dataclasses import replace
from pathlib import Path

from ghostnet.checkpoints import Parameters, read_checkpoint
from ghostnet.errors import TrainingError
from ghostnet.training.run.batches import Batches
from ghostnet.training.source import FolderSource, Hashes

log = logging.getLogger(__name__)


NAMES = {f"position.{name}" for name in ("step", "images", "workers", "best_epoch")}
"""Names that every state has."""


def read_state(path: Path) -> Parameters:
    """Read the saved state of a run.

    Raises:
        CheckpointError: The file cannot be read.
        TrainingError: It is another checkpoint.
    """
    state = read_checkpoint(path)
    if not state.keys() >= NAMES:
        raise TrainingError(f"{path} is not the state of a run; start anew in another folder")
    return state


def resume_batches(state: Parameters, path: Path, batches: Batches) -> Batches:
    """Return the batches that a run goes on with.

    An image that no step has met yet may have changed: it may have been repaired. Where images are
    missing, since broken ones are skipped, others take their places, and all others keep theirs.

    Args:
        state: Saved state of the run.
        path: Its file.
        batches: Batches of the images as they are now.

    Raises:
        TrainingError: The run started with another number of workers or with other images.
    """
    workers = int(state["position.workers"][0])
    if workers != batches.worker.count:
        raise TrainingError(
            f"{path}: the run started with {workers} workers and cannot go on with "
            f"{batches.worker.count}; resume it with {workers}, or start anew in another folder"
        )
    before, now = state["position.images"], batches.source.hashes
    if len(before) == len(now):
        met = batches.met(int(state["position.step"][0]))
        if not (met & (before != now)).any():
            return batches
    elif isinstance(batches.source, FolderSource) and len(now) < len(before):
        filled = _fill(batches.source, before)
        if filled:
            return replace(batches, source=filled)
    raise TrainingError(
        f"{path}: the training images are not those that the run started with; restore them, let "
        "--skip-broken replace broken ones, or start anew in another folder"
    )


def _fill(source: FolderSource, before: Hashes) -> FolderSource | None:
    """Put each image back in its place, and the one before it where one is missing.

    Returns:
        None where the images are not among those of before, in the same order.
    """
    places, found = [], 0
    for image in before:
        if found < len(source) and source.hashes[found] == image:
            found += 1
        places.append(max(0, found - 1))
    if found < len(source):
        return None
    log.warning("%d missing or broken images are replaced by others", len(before) - len(source))
    files = tuple(source.files[place] for place in places)
    return FolderSource(files, before, source.combinations)
