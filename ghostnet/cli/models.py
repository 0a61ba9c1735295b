"""Opening a model for a command: MindSpore's settings, and the progress of a download."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ghostnet import runtime
from ghostnet.cli.output import watch_download

if TYPE_CHECKING:
    from ghostnet.model import Model


def configure(
    device: runtime.Device = runtime.Device.AUTO,
    execution: runtime.Execution = runtime.Execution.GRAPH,
    *,
    verbose: bool = False,
) -> None:
    """Choose how MindSpore runs if it is imported; its logs stay hidden unless ``verbose``."""
    if not verbose:
        runtime.hush()
    runtime.configure(device, execution)


def open_model(
    name: str,
    cache_dir: Path | None = None,
    labels: Path | None = None,
    *,
    allow_short_hash: bool = False,
    new_classifier: bool = False,
) -> "Model":
    """Open a model and show the progress of its download.

    Args:
        name: As for `ghostnet.hub.open_model`, which also lists the other errors.
        cache_dir: Root of the cache.
        labels: File of class names to use instead of the model's own.
        allow_short_hash: As for `ghostnet.hub.open_model`.
        new_classifier: As for `ghostnet.hub.open_model`.

    Raises:
        LabelError: The file cannot be read, or does not have a name for each class.
    """
    from ghostnet import hub
    from ghostnet.data.labels import read_labels

    model = hub.open_model(
        name,
        cache_dir=cache_dir,
        watch=watch_download,
        allow_short_hash=allow_short_hash,
        new_classifier=new_classifier,
    )
    return replace(model, labels=read_labels(labels, model.num_classes)) if labels else model
