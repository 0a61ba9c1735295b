"""Opening a model for a command: MindSpore's settings, and the progress of a download."""

import re
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from ghostnet import runtime
from ghostnet.cli.output import watch_download
from ghostnet.errors import ModelError

if TYPE_CHECKING:
    from ghostnet.model import Model


NAMED = re.compile(r"(?:([A-Za-z0-9_.-]+)=)?(.+)", re.DOTALL)
"""A model, possibly after a name for it; a file whose name has this form is found as ``./FILE``."""


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


def named_openings(
    models: Iterable[str], cache_dir: Path | None = None
) -> dict[str, Callable[[], "Model"]]:
    """Return how to open models, by their names, after each was opened once.

    That shows the progress of downloads, and the first error.

    Args:
        models: ``NAME=MODEL``, or a model whose name is the last part of its UID or file.
        cache_dir: Root of the cache.

    Raises:
        ModelError: Two have the same name, or a text is empty.
    """
    from ghostnet import hub

    openings: dict[str, Callable[[], Model]] = {}
    for text in models:
        if not (match := NAMED.fullmatch(text)):
            raise ModelError(f"{text!r} names no model; give a UID, a card or a checkpoint")
        name, model = match.groups()
        opened = open_model(model, cache_dir)
        name = name or PurePosixPath(opened.name).name.removesuffix(".ckpt").removesuffix(".md")
        if name in openings:
            raise ModelError(
                f"two models are called {name}; name one of them: --model NAME={model}"
            )
        openings[name] = partial(hub.open_model, model, cache_dir=cache_dir)
    return openings
