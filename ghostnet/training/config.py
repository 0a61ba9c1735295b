"""The settings of a training run: one typed record, read from and written to YAML.

The settings are a plain dataclass, so that the command can list them without importing Pydantic,
which validates them. Each field's annotation ends in its description.
"""

from dataclasses import asdict, dataclass
from enum import Enum
from pathlib import Path
from typing import Annotated, Any

from annotated_types import Ge, Gt, Interval, Lt

from ghostnet.errors import TrainingError

CONFIG = "config.yaml"
"""File of the settings in the folder of a run."""

RENAMED = {"colour_jitter": "color_jitter", "workers": "decode_threads"}
"""Settings that saved configurations may have under an older name."""


class Layout(str, Enum):
    """How the training images are stored."""

    FOLDER = "folder"
    PETS = "pets"
    MINDRECORD = "mindrecord"


class Precision(str, Enum):
    """Precision of the arithmetic; ``auto`` mixes on GPU and Ascend, which gain from it."""

    AUTO = "auto"
    FLOAT32 = "float32"
    MIXED = "mixed"


def held_out(text: str) -> Path | float:
    """Parse a fraction between 0 and 1, or else a folder.

    Raises:
        ValueError: The text is another number.
    """
    try:
        fraction = float(text)
    except ValueError:
        return Path(text)
    if not 0 < fraction < 1:
        raise ValueError(f"{text}: expected a folder or a fraction between 0 and 1")
    return fraction


@dataclass(frozen=True)
class TrainingConfig:
    """The settings of a run; defaults follow the published recipe where it states a value."""

    data: Annotated[Path, "Training images."]
    layout: Annotated[Layout, "How DATA is stored."] = Layout.FOLDER
    val: Annotated[str, "Held-out images: a folder, or a fraction of DATA."] = "0.1"
    architecture: Annotated[str, "Network to train from scratch, unless MODEL is given."] = (
        "ghostnet"
    )
    model: Annotated[str | None, "Model to start from: UID, card or checkpoint."] = None
    image_size: Annotated[int, Ge(32), "Side of the training images, in pixels."] = 224
    val_size: Annotated[int | None, Ge(32), "Side of the held-out images. Default: IMAGE_SIZE."] = (
        None
    )
    epochs: Annotated[int, Ge(1), "Passes over the training images."] = 100
    batch_size: Annotated[int, Ge(1), "Images in one step of one worker."] = 64
    learning_rate: Annotated[float, Gt(0), "Highest learning rate."] = 0.05
    backbone_rate: Annotated[
        float, Interval(ge=0, le=1), "Share of the learning rate for all but the classifier."
    ] = 1.0
    warmup_epochs: Annotated[float, Ge(0), "Epochs in which the learning rate rises."] = 4.0
    momentum: Annotated[float, Ge(0), Lt(1), "Momentum of the gradients."] = 0.9
    nesterov: Annotated[bool, "Use Nesterov's momentum."] = False
    weight_decay: Annotated[float, Ge(0), "Decay of weights; norms and biases have none."] = 4e-5
    label_smoothing: Annotated[
        float, Ge(0), Lt(1), "Share of the target spread over all classes."
    ] = 0.1
    ema_decay: Annotated[
        float, Ge(0), Lt(1), "Decay of the weights' moving average; 0 keeps none."
    ] = 0.999
    drop_rate: Annotated[
        float, Ge(0), Lt(1), "Share of the head's features that dropout clears."
    ] = 0.2
    smallest_crop: Annotated[float, Gt(0), "Least share of the image in a random crop."] = 0.25
    flip: Annotated[float, Interval(ge=0, le=1), "Probability of the mirror image."] = 0.5
    color_jitter: Annotated[float, Interval(ge=0, le=1), "Largest change of colors."] = 0.4
    skip_broken: Annotated[bool, "Decode all images first and skip broken ones."] = False
    fuse: Annotated[bool, "Use the fused kernels, on CPU."] = True
    precision: Annotated[Precision, "Precision of the arithmetic."] = Precision.AUTO
    seed: Annotated[int, Ge(0), "Seed of everything that is random."] = 0
    save_steps: Annotated[int, Ge(1), "Steps between two saves within an epoch."] = 200
    decode_threads: Annotated[int, Ge(1), "Threads that read and augment images."] = 2

    def __post_init__(self) -> None:
        held_out(self.val)

    @property
    def held_out(self) -> Path | float:
        """The held-out part: a folder, or a fraction of the training images."""
        return held_out(self.val)

    @property
    def measured_size(self) -> int:
        """Side of the held-out images, in pixels."""
        return self.val_size or self.image_size


def check(settings: dict[str, Any], source: str) -> TrainingConfig:
    """Validate settings.

    Args:
        settings: Values by name; older names are accepted.
        source: What errors call their origin.

    Raises:
        TrainingError: A setting is unknown, missing or out of range.
    """
    from pydantic import TypeAdapter, ValidationError

    settings = {RENAMED.get(name, name): value for name, value in settings.items()}
    unknown = settings.keys() - TrainingConfig.__annotations__.keys()
    if unknown:
        raise TrainingError(f"{source}: unknown settings: {', '.join(sorted(map(str, unknown)))}")
    try:
        return TypeAdapter(TrainingConfig).validate_python(settings)
    except ValidationError as error:
        problems = (
            f"{source}: {'.'.join(map(str, detail['loc']))}: {detail['msg']}"
            for detail in error.errors(include_url=False)
        )
        raise TrainingError("\n".join(problems)) from None


def read_config(path: Path, overrides: dict[str, Any]) -> TrainingConfig:
    """Read settings from a YAML file.

    Args:
        path: The file.
        overrides: Settings that replace those of the file.

    Raises:
        TrainingError: The file cannot be read, or as `check`.
    """
    import yaml

    try:
        settings = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise TrainingError(f"{path}: cannot be read as YAML ({error})") from error
    if not isinstance(settings, dict):
        raise TrainingError(f"{path}: expected lines of `setting: value`")
    return check(settings | overrides, str(path))


def as_yaml(config: TrainingConfig) -> str:
    """Return the settings as YAML, as `read_config` reads them."""
    import yaml

    plain = {
        name: value.value if isinstance(value, Enum) else str(value) if name == "data" else value
        for name, value in asdict(config).items()
    }
    return str(yaml.safe_dump(plain, sort_keys=False, allow_unicode=True))
