"""Networks as files that other runtimes take: ONNX and MindIR."""

from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING

from ghostnet.errors import ExportError
from ghostnet.files import replacing

if TYPE_CHECKING:
    from ghostnet.export.metadata import Metadata
    from ghostnet.network import GhostNet

MIN_IMAGE_SIZE = 32


class Format(str, Enum):
    """The formats of exported files, each with the suffix of the same name."""

    ONNX = "onnx"
    MINDIR = "mindir"


def export(
    network: "GhostNet",
    path: str | Path,
    image_size: int = 224,
    batch: int | None = None,
    *,
    format: Format | None = None,
    labels: tuple[str, ...] = (),
    with_preprocessing: bool = False,
    force: bool = False,
) -> Path:
    """Write a network, its batch norms folded into its convolutions, as ONNX or MindIR.

    The file is written whole or not at all. Its input is called ``pictures``, its output
    ``logits``, and its metadata hold the labels and the preprocessing.

    Args:
        network: not fused; it is not changed.
        path: the file to write; its suffix tells the format unless ``format`` does.
        image_size: height and width of the pictures in pixels, at least 32.
        batch: pictures in a batch, or None for any number.
        labels: one a class.
        with_preprocessing: take (batch, image_size, image_size, 3) uint8 RGB pictures, already
            resized and cropped, and normalise them in the graph; else the input is
            (batch, 3, image_size, image_size) float32, already normalised.
        force: replace an existing file.

    Raises:
        ExportError: the file exists, the format is not known, or the arguments do not fit.
        PackageError: ONNX is wanted and the package ``onnx`` is not installed.
    """
    from ghostnet.export.metadata import Metadata

    path = Path(path)
    format = format or _format_of(path)
    check_target(path, force)
    _check_arguments(network, image_size, batch, labels)
    metadata = Metadata(tuple(labels), image_size, with_preprocessing)
    write(serialised(network, format, metadata, batch), path)
    return path


def serialised(
    network: "GhostNet", format: Format, metadata: "Metadata", batch: int | None = None
) -> bytes:
    """The bytes of an exported network.

    Raises:
        PackageError: ``onnx`` is not installed.
    """
    from ghostnet.export.fold import fold

    folded = fold(network)
    if format is Format.MINDIR:
        from ghostnet.export.mindir import mindir_model

        return bytes(mindir_model(folded, metadata, batch).SerializeToString())
    from ghostnet.export.onnx_graph import onnx_model

    return bytes(onnx_model(folded, metadata, batch).SerializeToString())


def check_target(path: Path, force: bool) -> None:
    """Raise `ExportError` where `write` would replace a file against the user's wish."""
    if path.exists() and not force:
        raise ExportError(f"{path} exists; --force (force=True) replaces it")


def write(content: bytes, path: Path) -> None:
    """Write a file whole or not at all.

    Raises:
        ExportError: the folder cannot be written.
    """
    try:
        with replacing(path) as file:
            file.write(content)
    except OSError as error:
        raise ExportError(f"{path}: cannot be written: {error.strerror}") from error


def _format_of(path: Path) -> Format:
    suffixes = [format.value for format in Format]
    if path.suffix.removeprefix(".") not in suffixes:
        raise ExportError(
            f"{path}: expected a name that ends in .{' or .'.join(suffixes)}, or a format"
        )
    return Format(path.suffix.removeprefix("."))


def _check_arguments(
    network: "GhostNet", image_size: int, batch: int | None, labels: tuple[str, ...]
) -> None:
    if image_size < MIN_IMAGE_SIZE:
        raise ExportError(f"pictures have at least {MIN_IMAGE_SIZE} pixels a side: {image_size}")
    if batch is not None and batch < 1:
        raise ExportError(f"a batch holds at least one picture: {batch}")
    if labels and len(labels) != network.num_classes:
        raise ExportError(f"{len(labels)} labels for a network of {network.num_classes} classes")
