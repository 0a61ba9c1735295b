"""Write a network as ONNX or MindIR."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ghostnet.data.transforms import Preprocess
from ghostnet.errors import ExportError
from ghostnet.export.formats import Format
from ghostnet.files import raising, write_whole
from ghostnet.model import Model
from ghostnet.runtime import start_mindspore

if TYPE_CHECKING:
    from ghostnet.models.classification import ClassificationNetwork

MIN_IMAGE_SIZE = 32


def export(
    network: "ClassificationNetwork | Model",
    path: str | Path,
    image_size: int | None = None,
    batch: int | None = None,
    *,
    format: Format | None = None,
    labels: tuple[str, ...] = (),
    with_preprocessing: bool = False,
    force: bool = False,
) -> Path:
    """Export a network, its batch norms folded into its convolutions, as ONNX or MindIR.

    The file is written atomically. Its input is called ``pictures``, its output ``logits``, and its
    metadata hold the labels and the preprocessing.

    Args:
        network: A model, or a MindSpore network that is not fused; it is not changed.
        path: File to write; its suffix decides the format unless ``format`` does.
        image_size: Height and width of the images in pixels, at least 32; by default the model's.
        batch: Images in a batch, or None for any number.
        format: Format of the file.
        labels: Names of the classes; by default the model's.
        with_preprocessing: Take (batch, image_size, image_size, 3) uint8 RGB images, resized and
            cropped, and normalize them in the graph; else the input is (batch, 3, image_size,
            image_size) float32, normalized.
        force: Replace an existing file.

    Returns:
        The path of the file.

    Raises:
        ExportError: The file exists, the format is not known, or the arguments do not fit.
        PackageError: The package ``onnx``, or ``mindspore`` for MindIR, is not installed.
    """
    path = Path(path)
    format = format or _format_of(path)
    check_target(path, force)
    model = network if isinstance(network, Model) else _as_model(network)
    if labels:
        model = replace(model, labels=tuple(labels))
    if image_size:
        model = replace(model, preprocess=Preprocess(image_size))
    _check_arguments(model, batch)
    write(serialized(model, format, batch, with_preprocessing=with_preprocessing), path)
    return path


def serialized(
    model: Model, format: Format, batch: int | None = None, *, with_preprocessing: bool = False
) -> bytes:
    """Return the bytes of an exported network.

    Args:
        model: The network, with its labels and the size of its images.
        format: Format of the bytes.
        batch: Images in a batch, or None for any number.
        with_preprocessing: As in `export`.

    Raises:
        ExportError: The network is quantized already.
        PackageError: The package ``onnx``, or ``mindspore`` for MindIR, is not installed.
    """
    if model.architecture.quantized:
        raise ExportError(
            f"{model.name}: expected a network in floating point, found convolutions on 8 bits, "
            "which are not exported; to export an int8 model, start from ghostnet_1x with --int8"
        )
    from ghostnet.export.metadata import Metadata

    metadata = Metadata(model.labels, model.preprocess.image_size, with_preprocessing)
    if format is Format.MINDIR:
        start_mindspore()
        from ghostnet.export.mindir import mindir_model

        return bytes(mindir_model(model.network, metadata, batch).SerializeToString())
    from ghostnet.export.onnx import onnx_model

    exported = onnx_model(model.architecture, model.parameters, metadata, batch)
    return bytes(exported.SerializeToString())


def check_target(path: Path, force: bool) -> None:
    """Check that a file may be written.

    Raises:
        ExportError: It exists, and ``force`` is False.
    """
    if path.exists() and not force:
        raise ExportError(
            f"{path}: expected no such file, found one; --force (force=True) replaces it"
        )


def write(content: bytes, path: Path) -> None:
    """Write an exported file atomically.

    Raises:
        ExportError: The folder cannot be written.
    """
    with raising(ExportError, f"{path}: cannot be written", "name another file"):
        write_whole(path, content)


def _as_model(network: "ClassificationNetwork") -> Model:
    """Take the architecture and the parameters of a MindSpore network."""
    from ghostnet.checkpoints.cells import parameters_of
    from ghostnet.models.classification import ClassificationNetwork

    if not isinstance(network, ClassificationNetwork):
        raise ExportError(
            "network: expected a network of this package, found a "
            f"{type(network).__name__}; export the network before fusing it"
        )
    architecture = network.architecture
    preprocess = Preprocess(architecture.image_size)
    return Model("network", architecture, parameters_of(network), (), preprocess)


def _format_of(path: Path) -> Format:
    suffixes = [format.value for format in Format]
    if path.suffix.removeprefix(".") not in suffixes:
        raise ExportError(
            f"{path}: expected a name that ends in .{' or .'.join(suffixes)}, or a format"
        )
    return Format(path.suffix.removeprefix("."))


def _check_arguments(model: Model, batch: int | None) -> None:
    size = model.preprocess.image_size
    if size < MIN_IMAGE_SIZE:
        raise ExportError(f"image_size: expected at least {MIN_IMAGE_SIZE} pixels, found {size}")
    if batch is not None and batch < 1:
        raise ExportError(f"batch: expected at least one image, found {batch}")
    if model.labels and len(model.labels) != model.num_classes:
        raise ExportError(
            f"labels: expected one for each of {model.num_classes} classes, found "
            f"{len(model.labels)}"
        )
