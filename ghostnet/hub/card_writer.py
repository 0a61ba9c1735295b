"""The text of the cards that this package writes."""

import json
from datetime import date
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from ghostnet.errors import CardError
from ghostnet.files import raising, sha256_of, write_whole
from ghostnet.hub.card import parse_card
from ghostnet.model import Model
from ghostnet.models.registry import model_of

FRONT_MATTER = """\
# {name} for {classes} classes of your own

---

model-name: {name}

backbone-name: GhostNet

module-type: cv-classification

fine-tunable: True

input-shape: [{side}, {side}, 3]

model-version: 1.0

accuracy: {accuracy}

author: local

update-time: {today}

repo-link: <https://github.com/mindspore-lab/mindcv/tree/v0.3.0/configs/ghostnet>

user-id: local

used-for: inference

train-backend: {backend}

infer-backend: cpu/gpu

mindspore-version: {mindspore}

labels: {labels}
{thresholds}
asset:

-
    file-format: ckpt
    asset-link: <{checkpoint}>
    asset-sha256: {sha256}

license: unspecified

summary: {name} {made} for {classes} classes

---
"""

CONVERTED = """
## Introduction

Converted from {source} by

```bash
{command}
```

## Usage

```bash
ghostnet predict --model {card} photo.jpg
```
"""


def front_matter(
    model: Model,
    checkpoint: str,
    sha256: str,
    *,
    made: str,
    accuracy: float | None = None,
    backend: str = "cpu",
) -> str:
    """Return the front matter of a card.

    Args:
        model: A registered architecture with its parameters, labels and image size.
        checkpoint: Name of the checkpoint beside the card.
        sha256: Its SHA-256.
        made: Participle that says how, such as ``trained``.
        accuracy: Top-1 accuracy between 0 and 1, if it was measured.
        backend: Device that it was trained on.
    """
    return FRONT_MATTER.format(
        name=model_name(model),
        side=model.preprocess.image_size,
        classes=len(model.labels),
        labels=json.dumps(model.labels, ensure_ascii=False),
        thresholds="" if model.thresholds is None else f"\nthresholds: {[*model.thresholds]}\n",
        accuracy="-" if accuracy is None else f"{accuracy:.4f}",
        today=date.today().isoformat(),
        mindspore=_mindspore_version(),
        backend=backend,
        checkpoint=checkpoint,
        sha256=sha256,
        made=made,
    )


def write_converted_card(model: Model, checkpoint: Path, command: str) -> Path:
    """Write the card of a converted checkpoint beside it, with the same name but ``.md``.

    Args:
        model: Its name is that of the file that was converted.
        checkpoint: The checkpoint.
        command: Command line that converted it.

    Returns:
        The path of the card.

    Raises:
        CardError: A card cannot hold the labels or the name of the checkpoint, or be written.
    """
    path = checkpoint.with_suffix(".md")
    source, command = (" ".join(text.splitlines()) for text in (model.name, command))
    text = front_matter(model, checkpoint.name, sha256_of(checkpoint), made="converted")
    text += CONVERTED.format(source=source, command=command, card=path.name)
    parse_card(text, str(path), path.parent)
    with raising(CardError, f"{path}: cannot be written", "name another folder"):
        write_whole(path, text.encode())
    return path


def model_name(model: Model) -> str:
    """Return what cards call the model's architecture."""
    entry = model_of(model.architecture)
    return entry.hub_name if entry else "GhostNet"


def _mindspore_version() -> str:
    """Return the version of MindSpore or, without it, of the checkpoint format."""
    try:
        return version("mindspore")
    except PackageNotFoundError:
        return "2.10"
