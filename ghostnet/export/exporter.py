"""Write a network as ONNX or MindIR."""

import errno
import os
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ghostnet.data.transforms import Preprocess
from ghostnet.errors import ExportError
from ghostnet.export.formats import Format, format_of
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
    any_size: bool = False,
    force: bool = False,
) -> Path:
    """Export a network as ONNX or MindIR, with its batch norms folded into its convolutions.

    The file is written atomically. Its input is called ``pictures`` and its output ``logits``,
    (batch, num_classes) float32. Its metadata hold the labels and the preprocessing.

    Args:
        network: A model, or a MindSpore network that has not been fused. It is not changed.
        path: File to write. Its suffix decides the format unless ``format`` does.
        image_size: Height and width of the images in pixels, at least 32. Default: the model's own.
        batch: Images in a batch, or None for any number.
        format: Format of the file, which must not contradict the suffix.
        labels: Names of the classes. Default: the model's own.
        with_preprocessing: Whether the graph normalizes. If so, it takes (batch, image_size,
            image_size, 3) uint8 RGB images, already resized and cropped; if not, (batch, 3,
            image_size, image_size) float32 images, already normalized.
        any_size: Whether the graph takes images of any height and width, in ONNX only;
            ``image_size`` is then no more than the one in the metadata.
        force: Replace an existing file.

    Returns:
        The path of the file.

    Raises:
        ExportError: The file exists or cannot be written, its format is unknown, or an argument
            does not fit the network.
        PackageError: The package ``onnx``, or ``mindspore`` for MindIR, is not installed.
    """
    path = Path(path)
    format = format_of(path, format)
    check_target(path, force)
    model = network if isinstance(network, Model) else _as_model(network)
    if labels:
        model = replace(model, labels=tuple(labels))
    _check_arguments(model, image_size or model.preprocess.image_size, batch)
    if image_size:
        model = replace(model, preprocess=Preprocess(image_size))
    content = serialized(
        model, format, batch, with_preprocessing=with_preprocessing, any_size=any_size
    )
    write(content, path)
    return path


def serialized(
    model: Model,
    format: Format,
    batch: int | None = None,
    *,
    with_preprocessing: bool = False,
    any_size: bool = False,
) -> bytes:
    """Return the content of an exported file.

    Args:
        model: The network, with its labels and the size of its images.
        format: Format of the file.
        batch: Images in a batch, or None for any number.
        with_preprocessing: As in `export`.
        any_size: As in `export`.

    Raises:
        ExportError: The network is already quantized, or cannot be a MindIR file.
        PackageError: The package ``onnx``, or ``mindspore`` for MindIR, is not installed.
    """
    if model.architecture.quantized:
        raise ExportError(
            f"{model.name} has convolutions on 8 bits, which cannot be exported; to export an int8 "
            "model, start from ghostnet_1x and pass --int8"
        )
    from ghostnet.export.metadata import Metadata

    size = model.preprocess.image_size
    metadata = Metadata(model.labels, size, with_preprocessing, any_size, model.thresholds)
    if format is Format.MINDIR:
        start_mindspore()
        from ghostnet.export.mindir import mindir_model

        return bytes(mindir_model(model.network, metadata, batch).SerializeToString())
    from ghostnet.export.onnx import onnx_model

    exported = onnx_model(model.architecture, model.parameters, metadata, batch)
    return bytes(exported.SerializeToString())


def check_target(path: Path, force: bool) -> None:
    """Check that a file can be written, before the work of making it.

    Raises:
        ExportError: The file exists and ``force`` is False, the path is a folder, or the folder
            that is to hold the file cannot be written to.
    """
    with _writing(path):
        if path.is_dir():
            raise OSError(errno.EISDIR, "it is a folder")
        if path.exists() and not force:
            raise ExportError(f"{path} already exists; pass --force (force=True) to replace it")
        folder = next(parent for parent in path.absolute().parents if parent.exists())
        if not folder.is_dir():
            raise OSError(errno.ENOTDIR, f"{folder} is not a folder")
        if not os.access(folder, os.W_OK):
            raise OSError(errno.EACCES, f"no permission to write in {folder}")


def write(content: bytes, path: Path) -> None:
    """Write an exported file atomically.

    Raises:
        ExportError: The folder cannot be written to, or the disk is full.
    """
    with _writing(path):
        write_whole(path, content)


def _writing(path: Path) -> AbstractContextManager[None]:
    """Turn an `OSError` inside a block that writes a file into an `ExportError`."""
    return raising(ExportError, f"{path}: cannot be written", "name another file")


def _as_model(network: "ClassificationNetwork") -> Model:
    """Make a model of the architecture and the parameters of a MindSpore network.

    Raises:
        ExportError: It is not a network of this package, or a layer of it has been replaced.
    """
    from ghostnet.checkpoints.cells import altered_layer, parameters_of
    from ghostnet.models.classification import ClassificationNetwork

    if not isinstance(network, ClassificationNetwork):
        raise ExportError(
            f"a {type(network).__name__} cannot be exported; pass a network of this package, and "
            "export it before fusing it"
        )
    if altered := altered_layer(network):
        raise ExportError(
            f"the network was changed at {altered}; export reads only the original layers, and a "
            "classifier for any number of classes"
        )
    architecture = network.architecture
    preprocess = Preprocess(architecture.image_size)
    return Model("network", architecture, parameters_of(network), (), preprocess)


def _check_arguments(model: Model, size: int, batch: int | None) -> None:
    least = max(MIN_IMAGE_SIZE, model.architecture.min_side)
    if size < least:
        raise ExportError(f"image_size is {size}; it must be at least {least} pixels")
    if batch is not None and batch < 1:
        raise ExportError(f"batch is {batch}; it must be at least 1, or None for any number")
    if model.labels and len(model.labels) != model.num_classes:
        raise ExportError(
            f"the number of labels is {len(model.labels)}, but the network has {model.num_classes} "
            "classes; give each class one label"
        )
