"""What a training leaves behind: a checkpoint, and the hub card that vouches for it."""

import json
from dataclasses import dataclass
from datetime import date
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryFile

from ghostnet.checkpoint import parameters_of, write_checkpoint
from ghostnet.errors import DatasetError, TrainingError
from ghostnet.hub.store import file_hash, write_text
from ghostnet.network import ARCHITECTURES, GhostNet
from ghostnet.training.evaluation import Evaluation

CARD = "card.md"
CHECKPOINT = "ghostnet.ckpt"
MAX_LABELS = 32 * 1024

TEMPLATE = """\
# {name} for {classes} classes of your own

---

model-name: {name}

backbone-name: GhostNet

module-type: cv-classification

fine-tunable: True

input-shape: [{side}, {side}, 3]

model-version: 1.0

accuracy: {accuracy:.4f}

author: local

update-time: {today}

repo-link: <https://github.com/mindspore-lab/mindcv/tree/v0.3.0/configs/ghostnet>

user-id: local

used-for: inference

train-backend: {backend}

infer-backend: cpu/gpu

mindspore-version: {mindspore}

labels: {labels}

asset:

-
    file-format: ckpt
    asset-link: <{checkpoint}>
    asset-sha256: {sha256}

license: unspecified

summary: {name} that tells {classes} classes apart

---

## Introduction

Made from {origin} with {train_images} pictures by

```bash
{command}
```

### Performance

| Parameters      | {name} |
| --------------- | --- |
| Model Version   | {name} |
| Dataset         | {images} held-out pictures, crop {side} |
| Accuracy (Top1) | {percent:.2f} |

{correct} of {images} pictures right.

## Usage

```bash
ghostnet predict --model {card} photo.jpg
```
"""


@dataclass(frozen=True)
class Origin:
    """Where a trained network comes from.

    Attributes:
        command: the command line that made it.
        model: the name of the model that it started from.
        train_images: pictures that it learnt from.
        backend: MindSpore's device, such as ``CPU``.
    """

    command: str
    model: str
    train_images: int
    backend: str


def check_labels(labels: tuple[str, ...]) -> None:
    """Refuse labels that a hub card, as the hub's own client reads it, cannot hold.

    Raises:
        DatasetError: a label with ``:``, unprintable characters or spaces at its ends, or too
            many of them.
    """
    bad = [x for x in labels if ":" in x or not x.isprintable() or x != x.strip()]
    if bad:
        raise DatasetError(
            "a hub card cannot hold these class names: "
            + ", ".join(map(ascii, bad))
            + "; rename the folders, without ':', control characters and spaces at the ends"
        )
    if len(json.dumps(labels)) > MAX_LABELS:
        raise DatasetError(
            f"the names of these {len(labels)} classes fill more than the {MAX_LABELS} characters "
            "that fit on a hub card; shorten the names of the folders"
        )


def make_folder(out: Path) -> None:
    """Make the folder of a result, before the work that fills it.

    Raises:
        TrainingError: it cannot be written.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=out):
            pass
    except OSError as error:
        raise TrainingError(
            f"{out}: cannot be written ({error.strerror}); name another folder"
        ) from error


def write_model(
    network: GhostNet, image_size: int, evaluation: Evaluation, origin: Origin, out: Path
) -> Path:
    """Write checkpoint and card into the folder ``out``; returns the card.

    Args:
        network: its classes are the evaluation's labels, in this order.
        image_size: side of the square that it was evaluated on, in pixels.
        evaluation: on pictures that it did not learn from.
        origin: goes into the card.
        out: made if need be; an earlier result in it is replaced.

    Raises:
        FetchError: the folder cannot be written.
    """
    checkpoint = out / CHECKPOINT
    write_checkpoint(parameters_of(network), checkpoint)
    known = (name for name, table in ARCHITECTURES.items() if table == network.architecture)
    share = evaluation.correct / evaluation.images
    text = TEMPLATE.format(
        name=next(known),
        side=image_size,
        classes=len(evaluation.labels),
        labels=json.dumps(evaluation.labels, ensure_ascii=False),
        accuracy=share,
        percent=100 * share,
        correct=evaluation.correct,
        images=evaluation.images,
        today=date.today().isoformat(),
        mindspore=version("mindspore"),
        backend=origin.backend.lower(),
        command=" ".join(origin.command.splitlines()),
        origin=" ".join(origin.model.splitlines()),
        train_images=origin.train_images,
        card=CARD,
        checkpoint=checkpoint.name,
        sha256=file_hash(checkpoint),
    )
    write_text(out / CARD, text)
    return out / CARD
