"""Every setting of a training run: one typed record, read from and written to YAML.

The settings are a plain dataclass, so that the command can list them without importing Pydantic;
Pydantic checks them. Each field's annotation ends in its description.
"""

from dataclasses import asdict, dataclass
from enum import Enum
from pathlib import Path
from typing import Annotated, Any

from annotated_types import Ge, Gt, Interval, Lt

from ghostnet.errors import TrainingError

CONFIG = "config.yaml"
"""The file in the folder of a run that holds its settings."""


class Layout(str, Enum):
    """How the pictures to learn from are stored."""

    FOLDER = "folder"
    PETS = "pets"
    MINDRECORD = "mindrecord"


class Precision(str, Enum):
    """Of the arithmetic; ``auto`` mixes where the device gains from it: on GPU and Ascend."""

    AUTO = "auto"
    FLOAT32 = "float32"
    MIXED = "mixed"


def held_out(text: str) -> Path | float:
    """A fraction between 0 and 1, or else a folder; `ValueError` for other numbers."""
    try:
        fraction = float(text)
    except ValueError:
        return Path(text)
    if not 0 < fraction < 1:
        raise ValueError(f"{text}: expected a folder or a fraction between 0 and 1")
    return fraction


@dataclass(frozen=True)
class TrainingConfig:
    """The settings of a run; the defaults are the published recipe's where it has one."""

    data: Annotated[Path, "Pictures to learn from."]
    layout: Annotated[Layout, "How DATA is stored."] = Layout.FOLDER
    val: Annotated[str, "Pictures to measure with: a folder, or a fraction of DATA."] = "0.1"
    architecture: Annotated[str, "Network to train from the start, unless MODEL is given."] = (
        "ghostnet"
    )
    model: Annotated[str | None, "Model to start from: UID, card or checkpoint."] = None
    image_size: Annotated[int, Ge(32), "Side of the pictures, in pixels."] = 224
    val_size: Annotated[int | None, Ge(32), "Side of VAL's pictures; IMAGE_SIZE if none."] = None
    epochs: Annotated[int, Ge(1), "Passes over the pictures."] = 100
    batch_size: Annotated[int, Ge(1), "Pictures in one step of one worker."] = 64
    learning_rate: Annotated[float, Gt(0), "At its highest."] = 0.05
    backbone_rate: Annotated[
        float, Interval(ge=0, le=1), "Share of the learning rate for all but the classifier."
    ] = 1.0
    warmup_epochs: Annotated[float, Ge(0), "Epochs in which the learning rate rises."] = 4.0
    momentum: Annotated[float, Ge(0), Lt(1), "Of the gradients."] = 0.9
    nesterov: Annotated[bool, "Look ahead along the momentum."] = False
    weight_decay: Annotated[float, Ge(0), "On weights, not on norms and biases."] = 4e-5
    label_smoothing: Annotated[float, Ge(0), Lt(1), "Share of the truth spread evenly."] = 0.1
    ema_decay: Annotated[float, Ge(0), Lt(1), "Of the weights' moving average; 0: none."] = 0.999
    drop_rate: Annotated[float, Ge(0), Lt(1), "Share of the head's features to drop."] = 0.2
    smallest_crop: Annotated[float, Gt(0), "Least share of a picture in a random crop."] = 0.25
    flip: Annotated[float, Interval(ge=0, le=1), "Probability of the mirror image."] = 0.5
    colour_jitter: Annotated[float, Interval(ge=0, le=1), "Change of colours."] = 0.4
    skip_broken: Annotated[bool, "Look through the pictures first; skip broken ones."] = False
    fuse: Annotated[bool, "Use the fused kernels, on CPU."] = True
    precision: Annotated[Precision, "Of the arithmetic."] = Precision.AUTO
    seed: Annotated[int, Ge(0), "Of everything that is random."] = 0
    save_steps: Annotated[int, Ge(1), "Steps between two saves within an epoch."] = 200
    workers: Annotated[int, Ge(1), "Threads that read and augment pictures."] = 2

    def __post_init__(self) -> None:
        held_out(self.val)

    @property
    def held_out(self) -> Path | float:
        """What ``val`` means."""
        return held_out(self.val)

    @property
    def measured_size(self) -> int:
        """Side of the held-out pictures, in pixels."""
        return self.val_size or self.image_size


def check(settings: dict[str, Any], source: str) -> TrainingConfig:
    """The settings as a config.

    Raises:
        TrainingError: a setting that is unknown, missing or out of its range.
    """
    from pydantic import TypeAdapter, ValidationError

    unknown = settings.keys() - TrainingConfig.__annotations__.keys()
    if unknown:
        raise TrainingError(f"{source}: no such setting: {', '.join(sorted(map(str, unknown)))}")
    try:
        return TypeAdapter(TrainingConfig).validate_python(settings)
    except ValidationError as error:
        problems = (
            f"{source}: {'.'.join(map(str, detail['loc']))}: {detail['msg']}"
            for detail in error.errors(include_url=False)
        )
        raise TrainingError("\n".join(problems)) from None


def read_config(path: Path, overrides: dict[str, Any]) -> TrainingConfig:
    """The settings in a YAML file, those of ``overrides`` in their place; errors as `check`."""
    import yaml

    try:
        settings = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise TrainingError(f"{path}: cannot be read as YAML ({error})") from error
    if not isinstance(settings, dict):
        raise TrainingError(f"{path}: expected lines of `setting: value`")
    return check(settings | overrides, str(path))


def as_yaml(config: TrainingConfig) -> str:
    """The settings as `read_config` reads them."""
    import yaml

    plain = {
        name: value.value if isinstance(value, Enum) else str(value) if name == "data" else value
        for name, value in asdict(config).items()
    }
    return str(yaml.safe_dump(plain, sort_keys=False, allow_unicode=True))
