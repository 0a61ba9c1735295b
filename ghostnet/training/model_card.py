"""The result of a training: a checkpoint, and the hub card that describes it."""

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile

from ghostnet.checkpoints import write_checkpoint
from ghostnet.errors import TrainingError
from ghostnet.files import raising, sha256_of, write_whole
from ghostnet.hub.card_writer import front_matter, model_name
from ghostnet.model import Model
from ghostnet.model.evaluation import Evaluation
from ghostnet.model.label_evaluation import LabelEvaluation

CARD = "card.md"
CHECKPOINT = "ghostnet.ckpt"

BODY = """
## Introduction

Made from {origin} with {train_images} images by

```bash
{command}
```

### Performance

| Parameters      | {name} |
| --------------- | --- |
| Model Version   | {name} |
| Dataset         | {images} held-out images, crop {side} |
{figures}

## Usage

```bash
ghostnet predict --model {card} photo.jpg
```
"""


CLASSES = """\
| Accuracy (Top1) | {percent:.2f} |

{correct} of {images} images correct.
"""

LABELS = """\
| mAP (%)         | {percent:.2f} |
| mean F1 (%)     | {f1:.2f} |

## Labels

An image may have several labels, or none. The probability from which each is given was chosen on
the held-out images, for the best F1:

| Label | given from | average precision | F1 | held-out images |
| --- | ---: | ---: | ---: | ---: |
"""


@dataclass(frozen=True)
class Origin:
    """The origin of a trained network.

    Attributes:
        command: Command line that made it.
        model: Name of the model that it started from.
        train_images: Number of training images.
        backend: Device that it was trained on, such as ``CPU``.
    """

    command: str
    model: str
    train_images: int
    backend: str


def make_folder(out: Path) -> None:
    """Create the folder of a result before the work that fills it.

    Raises:
        TrainingError: The folder cannot be written.
    """
    with raising(TrainingError, f"{out}: cannot be written", "name another folder"):
        out.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=out):
            pass


def write_model(
    model: Model, evaluation: Evaluation | LabelEvaluation, origin: Origin, out: Path
) -> Path:
    """Write the checkpoint and the card of a model.

    Args:
        model: A registered architecture with its parameters, labels and image size.
        evaluation: Its evaluation on held-out images.
        origin: Goes into the card.
        out: Folder to write to, created if needed; an earlier result in it is replaced.

    Returns:
        The path of the card.

    Raises:
        CheckpointError, TrainingError: The folder cannot be written.
    """
    checkpoint = out / CHECKPOINT
    with raising(TrainingError, f"{out / CARD}: cannot be replaced", "name another folder"):
        (out / CARD).unlink(missing_ok=True)  # it has the hash of the earlier checkpoint
    write_checkpoint(model.parameters, checkpoint)
    text = front_matter(
        model,
        checkpoint.name,
        sha256_of(checkpoint),
        made="trained",
        accuracy=evaluation.top1 if isinstance(evaluation, Evaluation) else None,
        backend=origin.backend.lower(),
    )
    text += BODY.format(
        name=model_name(model),
        side=model.preprocess.image_size,
        images=evaluation.images,
        figures=_figures(evaluation),
        command=" ".join(origin.command.splitlines()),
        origin=" ".join(origin.model.splitlines()),
        train_images=origin.train_images,
        card=CARD,
    )
    with raising(TrainingError, f"{out / CARD}: cannot be written", "name another folder"):
        write_whole(out / CARD, text.encode())
    return out / CARD


def _figures(evaluation: Evaluation | LabelEvaluation) -> str:
    """Return the accuracy as the last lines of a table, and what is to be said about it."""
    if isinstance(evaluation, Evaluation):
        return CLASSES.format(
            percent=100 * evaluation.top1, correct=evaluation.correct, images=evaluation.images
        ).rstrip()
    percents = {name: 100 * value for name, value in evaluation.measures.items()}
    text = LABELS.format(percent=percents["mean_average_precision"], f1=percents["f1"])
    precision, counts = evaluation.average_precision, evaluation.label_images
    for label, threshold in zip(evaluation.labels, evaluation.thresholds, strict=True):
        measured = "- | -"
        if label in counts:
            measured = f"{precision[label]:.1%} | {evaluation.f1[label]:.1%}"
        name = label.replace("|", "\\|")
        text += f"| {name} | {threshold:.4g} | {measured} | {counts.get(label, 0)} |\n"
    return text.rstrip()
