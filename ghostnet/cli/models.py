"""Opening a model for a verb: MindSpore's settings, and the progress of a download."""

from pathlib import Path
from typing import TYPE_CHECKING

from ghostnet import runtime
from ghostnet.cli.output import watch_download

if TYPE_CHECKING:
    from ghostnet.hub.loader import Model


def configure(
    device: runtime.Device = runtime.Device.AUTO,
    execution: runtime.Execution = runtime.Execution.GRAPH,
    *,
    verbose: bool = False,
) -> None:
    """Choose how MindSpore runs, if it is imported at all; quietly unless ``verbose``."""
    if not verbose:
        runtime.hush()
    runtime.configure(device, execution)


def open_model(
    name: str, cache_dir: Path | None = None, *, allow_short_hash: bool = False
) -> "Model":
    """Open a model and show the progress of its download; errors as `ghostnet.hub.open_model`."""
    from ghostnet.hub import loader

    return loader.open_model(
        name, cache_dir=cache_dir, watch=watch_download, allow_short_hash=allow_short_hash
    )
