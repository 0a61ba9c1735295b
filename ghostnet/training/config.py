"""The settings of a training run: data, recipe and teacher, read from and written to YAML.

The settings are plain dataclasses, so that the command can list them without importing Pydantic,
which validates them. Each field's annotation ends in its description.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from annotated_types import Ge, Gt, Interval, Lt

from ghostnet.data.parts import HELD_OUT
from ghostnet.errors import TrainingError

if TYPE_CHECKING:
    from ghostnet.data.label_table import LabelTable

MOVABLE = (
    "data", "labels_csv", "val", "unlabeled", "skip_broken", "decode_threads",
    "model", "teacher", "teacher_labels", "epochs", "save_steps", "patience",
)  # fmt: skip
"""Settings that may change when a run is resumed: paths, and what does not affect past steps."""

CONFIG = "config.yaml"
"""File of the settings in the folder of a run."""

FULL_BATCH = 32
"""Images in a step when all weights are fine-tuned."""

TRAINED_SHARE = 6 / 7
"""Side of the training images over the side in use, when all weights are fine-tuned."""


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


class Lesson(str, Enum):
    """What a network learns from its teacher."""

    LOGITS = "logits"
    """The teacher's shares of the same classes."""

    HEAD = "head"
    """The shares that a classifier on the teacher's answers, fitted to the labels, gives."""

    FEATURES = "features"
    """The direction of its features, by way of a projection that is dropped at the end."""


class Balance(str, Enum):
    """What evens out classes with different numbers of images."""

    OFF = "off"
    WEIGHTS = "weights"
    """The images of small classes weigh more in the loss."""

    SAMPLING = "sampling"
    """An epoch shows as many images of each class, those of small classes several times."""


class BestBy(str, Enum):
    """The accuracy by which the best epoch is chosen."""

    TOP1 = "top1"
    BALANCED = "balanced"
    """The mean of the classes' accuracies."""


Triple = tuple[float, float, float]


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
        raise ValueError(f"{text} is neither a folder nor a fraction between 0 and 1")
    return fraction


@dataclass(frozen=True)
class DataSettings:
    """The images of a run."""

    path: Annotated[Path | None, "Training images. Omit it to learn a teacher's classes."] = None
    layout: Annotated[Layout, "How DATA is stored."] = Layout.FOLDER
    labels_csv: Annotated[
        Path | None,
        "Table of the images in DATA and their classes, in place of sub-folders: CSV, JSON lines "
        "or Parquet.",
    ] = None
    image_column: Annotated[
        str | None, "Column of the images' names in it. Default: image, file_name, id, …"
    ] = None
    label_column: Annotated[
        str | None, "Column of their classes. Default: label, class, breed, …"
    ] = None
    split_column: Annotated[
        str | None, "Column that says whether an image is for train, val or test."
    ] = None
    multi_label: Annotated[
        bool, "An image may have several labels, or none: each is answered by yes or no."
    ] = False
    label_separator: Annotated[
        str | None,
        "What separates labels in a cell, with --multi-label. Default: the first of | ; , that "
        "occurs, or else spaces.",
    ] = None
    val: Annotated[
        str | None,
        "Held-out images: a folder, or a fraction of DATA. Default: DATA's own val or test, or "
        f"{HELD_OUT}.",
    ] = None
    unlabeled: Annotated[
        tuple[Path, ...], "Folders of images without labels, which only a teacher answers for."
    ] = ()
    skip_broken: Annotated[bool, "Decode all images first, and skip broken ones."] = False
    decode_threads: Annotated[
        int, Ge(1), "Threads that read and augment images; at most one for each processor."
    ] = 2

    __pydantic_config__ = {"coerce_numbers_to_str": True}  # noqa: RUF012, for `val: 0.25`

    def __post_init__(self) -> None:
        if self.val is not None:
            held_out(self.val)

    @property
    def table(self) -> "LabelTable | None":
        """The table of labels, if there is one."""
        from ghostnet.data.label_table import LabelTable

        columns = self.image_column, self.label_column, self.split_column, self.label_separator
        return LabelTable(self.labels_csv, *columns) if self.labels_csv else None

    @property
    def held_out(self) -> Path | float | None:
        """The held-out part: a folder, a fraction of the training images, or the data's own."""
        return None if self.val is None else held_out(self.val)


@dataclass(frozen=True)
class Recipe:
    """How a network is trained; defaults follow the published recipe where it states a value."""

    architecture: Annotated[str, "Network to train from scratch, unless MODEL is given."] = (
        "ghostnet"
    )
    model: Annotated[str | None, "Model to start from: UID, card, checkpoint or network."] = None
    image_size: Annotated[int, Ge(32), "Side of the training images, in pixels."] = 224
    val_size: Annotated[int | None, Ge(32), "Side of the held-out images. Default: IMAGE_SIZE."] = (
        None
    )
    epochs: Annotated[int, Ge(1), "Passes over the training images."] = 100
    batch_size: Annotated[int, Ge(1), "Images in one step of one worker."] = 64
    learning_rate: Annotated[float, Gt(0), "Highest learning rate."] = 0.05
    backbone_rate: Annotated[
        float,
        Interval(ge=0, le=1),
        "Learning rate of all layers but the classifier, as a share; 0 freezes them.",
    ] = 1.0
    freeze: Annotated[int, Ge(0), "Leave the stem and the first FREEZE blocks as they are."] = 0
    layer_decay: Annotated[
        float,
        Gt(0),
        Interval(le=1),
        "Factor of the learning rate from each block to the one below.",
    ] = 1.0
    warmup_epochs: Annotated[
        float, Ge(0), "Epochs during which the learning rate rises; at most half of the run."
    ] = 4.0
    momentum: Annotated[float, Ge(0), Lt(1), "Momentum of the gradients."] = 0.9
    nesterov: Annotated[bool, "Use Nesterov's momentum."] = False
    weight_decay: Annotated[float, Ge(0), "Weight decay; norms and biases have none."] = 4e-5
    balance: Annotated[Balance, "Even out classes with different numbers of images."] = Balance.OFF
    best_by: Annotated[
        BestBy, "Choose the best epoch by its accuracy, or by the mean of the classes' accuracies."
    ] = BestBy.TOP1
    patience: Annotated[
        int | None, Ge(1), "Stop after so many epochs without a better one. Default: never."
    ] = None
    label_smoothing: Annotated[
        float, Ge(0), Lt(1), "Share of the target spread over all classes."
    ] = 0.1
    ema_decay: Annotated[
        float, Ge(0), Lt(1), "Decay of the moving average of the weights; 0 turns it off."
    ] = 0.999
    drop_rate: Annotated[
        float, Ge(0), Lt(1), "Share of features that dropout clears before the classifier."
    ] = 0.2
    smallest_crop: Annotated[float, Gt(0), "Least share of the image in a random crop."] = 0.25
    flip: Annotated[float, Interval(ge=0, le=1), "Probability of the mirror image."] = 0.5
    color_jitter: Annotated[float, Interval(ge=0, le=1), "Largest change of colors."] = 0.4
    aa: Annotated[
        str | None, "RandAugment in place of COLOR_JITTER, in timm's words, as rand-m9-mstd0.5."
    ] = None
    reprob: Annotated[
        float, Interval(ge=0, le=1), "Probability that a random box of an image becomes noise."
    ] = 0.0
    mixup: Annotated[float, Ge(0), "Alpha of Mixup; 0 turns it off."] = 0.0
    cutmix: Annotated[float, Ge(0), "Alpha of CutMix; 0 turns it off."] = 0.0
    mixup_prob: Annotated[float, Interval(ge=0, le=1), "Probability that a batch is mixed."] = 1.0
    mixup_switch_prob: Annotated[
        float, Interval(ge=0, le=1), "Probability of CutMix where MIXUP and CUTMIX are on."
    ] = 0.5
    fuse: Annotated[bool, "Use the fused kernels, on CPU."] = True
    precision: Annotated[Precision, "Precision of the arithmetic."] = Precision.AUTO
    seed: Annotated[int, Ge(0), "Seed of everything that is random."] = 0
    save_steps: Annotated[int, Ge(1), "Steps between two saves within an epoch."] = 200

    __pydantic_config__ = {"coerce_numbers_to_str": True}  # noqa: RUF012, for `model: 7`

    def __post_init__(self) -> None:
        if self.aa is not None:
            from ghostnet.training.rand_augment import RandAugment

            RandAugment.parse(self.aa)

    @property
    def measured_size(self) -> int:
        """Side of the held-out images, in pixels."""
        return self.val_size or self.image_size


@dataclass(frozen=True)
class TeacherSettings:
    """The network to learn from, and what to learn."""

    path: Annotated[Path | None, "ONNX network to learn from beside the labels."] = None
    lesson: Annotated[
        Lesson, "What to learn: logits of the same classes, logits of a new head, or features."
    ] = Lesson.LOGITS
    output: Annotated[str | None, "Output of the teacher to learn from. Default: the first."] = None
    labels: Annotated[
        Path | None,
        "Names of the teacher's classes, a line each. Default: stated in the file; a run without "
        "DATA needs them.",
    ] = None
    size: Annotated[
        int | None,
        Ge(32),
        "Side of the teacher's images, in pixels. Default: stated in the file.",
    ] = None
    mean: Annotated[
        Triple | None,
        "Mean of red, green and blue, for pixels from 0 to 255. Default: stated in the file.",
    ] = None
    std: Annotated[Triple | None, "Their standard deviation. Default: stated in the file."] = None
    share: Annotated[
        float, Interval(ge=0, le=1), "Weight of the teacher's answers; the labels have the rest."
    ] = 0.9
    temperature: Annotated[float, Gt(0), "Divides the logits of both networks."] = 1.0
    views: Annotated[int, Ge(1), "Augmentations of each image that the teacher sees."] = 4


@dataclass(frozen=True)
class TrainingConfig:
    """The settings of a run, in three parts; a file and the command have them in one list."""

    data: DataSettings
    recipe: Recipe
    teacher: TeacherSettings

    def __post_init__(self) -> None:
        if self.data.unlabeled and self.teacher.path is None:
            raise ValueError("unlabeled: images without labels need a teacher")
        if self.teacher.path and (self.recipe.mixup or self.recipe.cutmix):
            raise ValueError(
                "mixup, cutmix: the teacher has not seen mixed images; leave them off, or learn "
                "without a teacher"
            )
        if self.data.multi_label:
            self._check_multi_label()
        if self.data.path is None and not (self.data.unlabeled and self.teacher.labels):
            raise ValueError(
                "data: required, unless a teacher with teacher_labels answers for unlabeled images"
            )

    def _check_multi_label(self) -> None:
        """Refuse what is meant for one class an image."""
        if self.data.path is None or self.data.layout is not Layout.FOLDER:
            raise ValueError(
                "multi_label: several labels are read from a table or from folders; name data of "
                "the layout folder"
            )
        if self.recipe.balance is Balance.SAMPLING:
            raise ValueError(
                "balance: an image with several labels belongs to no single class that could be "
                "sampled; use weights"
            )
        if self.recipe.best_by is BestBy.BALANCED:
            raise ValueError(
                "best_by: with several labels the best epoch has the best mean average precision, "
                "in which all labels count alike; leave best_by out"
            )
        if self.teacher.path and self.teacher.lesson is not Lesson.FEATURES:
            raise ValueError(
                f"teacher_lesson: {self.teacher.lesson.value} teaches shares of classes, which add "
                "up to 1; with several labels, learn features"
            )

    @property
    def settings(self) -> dict[str, Any]:
        """All settings by name."""
        return {
            name: getattr(getattr(self, part), field) for name, (part, field) in SETTINGS.items()
        }


TABLE = ("labels_csv", "image_column", "label_column", "split_column", "label_separator")
"""Settings of a table of labels."""

PARTS = {"data": DataSettings, "recipe": Recipe, "teacher": TeacherSettings}
"""The parts of the settings."""


def _name(part: str, field: str) -> str:
    """Return the name of a setting in files and on the command line."""
    if field == "path":
        return part
    return f"teacher_{field}" if part == "teacher" else field


SETTINGS = {
    _name(part, field): (part, field)
    for part, kind in PARTS.items()
    for field in kind.__annotations__
}
"""Each setting by name, with its part and its field there."""


def check(settings: dict[str, Any], source: str) -> TrainingConfig:
    """Validate settings.

    Args:
        settings: Values by name.
        source: What errors call their origin.

    Raises:
        TrainingError: A setting is unknown, missing or out of range.
    """
    from pydantic import TypeAdapter, ValidationError

    unknown = settings.keys() - SETTINGS.keys()
    if unknown:
        raise TrainingError(f"{source}: unknown settings: {', '.join(sorted(map(str, unknown)))}")
    parts: dict[str, dict[str, Any]] = {part: {} for part in PARTS}
    for name, value in settings.items():
        part, field = SETTINGS[name]
        parts[part][field] = value
    try:
        return located(TypeAdapter(TrainingConfig).validate_python(parts))
    except ValidationError as error:
        problems = (
            ": ".join((source, *_setting(*detail["loc"]), _reason(detail["msg"])))
            for detail in error.errors(include_url=False)
        )
        raise TrainingError("\n".join(problems)) from None


def _setting(*location: int | str) -> tuple[str, ...]:
    """Return the name of the setting at a place; nothing for a problem of several settings."""
    if len(location) < 2:
        return ()
    part, field, *places = map(str, location)
    return (".".join((_name(part, field), *places)),)


def _reason(message: str) -> str:
    return message.removeprefix("Value error, ")


def located(config: TrainingConfig) -> TrainingConfig:
    """Return the settings with absolute paths, so that a run can be resumed from any folder.

    ``~`` is the user's home. What is not the path of a file or folder stays as it is.
    """
    data, recipe, teacher = config.data, config.recipe, config.teacher
    model = recipe.model
    if model is not None and Path(model).expanduser().exists():
        model = str(_absolute(Path(model)))
    return TrainingConfig(
        replace(
            data,
            path=data.path and _absolute(data.path),
            labels_csv=data.labels_csv and _absolute(data.labels_csv),
            val=str(_absolute(data.held_out)) if isinstance(data.held_out, Path) else data.val,
            unlabeled=tuple(map(_absolute, data.unlabeled)),
        ),
        replace(recipe, model=model),
        replace(
            teacher,
            path=teacher.path and _absolute(teacher.path),
            labels=teacher.labels and _absolute(teacher.labels),
        ),
    )


def _absolute(path: Path) -> Path:
    return path.expanduser().absolute()


def full_config(
    folder: Path,
    val: str | None,
    model: str,
    image_size: int,
    images: int,
    chosen: Mapping[str, Any],
) -> TrainingConfig:
    """Return the settings of `ghostnet.training.run.loop.train` that fine-tune all weights.

    Args:
        folder: As for `ghostnet.data.split.read_split`.
        val: Folder or fraction to hold out, as text; None for the data set's own, or a fraction.
        model: UID, card or checkpoint to start from.
        image_size: Side of the images that the model is meant for, in pixels; it trains on smaller
            ones, since objects look larger in random crops (Touvron et al., NeurIPS 2019).
        images: Number of training images.
        chosen: Other settings; they take precedence.

    Raises:
        TrainingError: A setting is out of range.
    """
    settings = {
        "data": folder,
        "val": val,
        "model": model,
        "image_size": max(32, 32 * round(TRAINED_SHARE * image_size / 32)),
        "val_size": image_size,
        "epochs": 10,
        "batch_size": max(1, min(FULL_BATCH, images // 2)),
        "learning_rate": 0.05,
        "backbone_rate": 0.2,
        "warmup_epochs": 1,
        "ema_decay": 0.99,
        "smallest_crop": 0.35,
        "teacher_lesson": Lesson.HEAD,
        "skip_broken": True,
    }
    return check({**settings, **chosen}, "command line")


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
        raise TrainingError(f"{path} does not consist of lines `setting: value`")
    return check(settings | overrides, str(path))


def as_yaml(config: TrainingConfig) -> str:
    """Return the settings as YAML, as `read_config` reads them."""
    import yaml

    plain = {name: _plain(value) for name, value in config.settings.items()}
    return str(yaml.safe_dump(plain, sort_keys=False, allow_unicode=True))


def _plain(value: Any) -> Any:
    """Return the YAML type of a setting."""
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    if isinstance(value, Enum):
        return value.value
    return str(value) if isinstance(value, Path) else value
