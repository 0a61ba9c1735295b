"""Eight-bit integers for an ONNX model, by ONNX Runtime's static quantisation."""

import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ghostnet.backends import as_network, in_onnxruntime
from ghostnet.errors import ExportError
from ghostnet.export import Format, check_target, serialised, write
from ghostnet.export.metadata import INPUT, Metadata
from ghostnet.extras import needs
from ghostnet.hub.loader import Model
from ghostnet.predict import Classifier
from ghostnet.training.evaluation import Evaluation, evaluate
from ghostnet.training.folders import ImageFolder
from ghostnet.transforms import Preprocess, decode

with needs("onnxruntime", extra="export"):
    from onnxruntime.quantization import (
        CalibrationDataReader,
        QuantFormat,
        QuantType,
        quantize_static,
    )
    from onnxruntime.quantization.shape_inference import quant_pre_process

CALIBRATION_PICTURES = 64


@dataclass(frozen=True)
class CropOnly(Preprocess):
    """Preprocessing for a graph that normalises: image to (image_size, image_size, 3) uint8."""

    def blank(self, count: int) -> NDArray[Any]:
        """As in `Preprocess`, with colours last and 8 bits each."""
        return np.zeros((count, self.image_size, self.image_size, 3), np.uint8)

    def put(self, image: Image.Image, out: NDArray[Any]) -> None:
        """As in `Preprocess`, without the normalisation."""
        out[:] = np.asarray(self.crop(image))


@dataclass(frozen=True)
class Quantisation:
    """What quantising a model cost and brought.

    Attributes:
        before, after: the answers of the float32 and of the int8 model on the same pictures.
        float_bytes, int8_bytes: sizes of the two files.
    """

    before: Evaluation
    after: Evaluation
    float_bytes: int
    int8_bytes: int


class Calibration(CalibrationDataReader):
    """Batches, one after the other, as ONNX Runtime asks for them."""

    def __init__(self, batches: Iterable[NDArray[Any]]) -> None:
        self.batches: Iterator[NDArray[Any]] = iter(batches)

    def get_next(self) -> dict[str, NDArray[Any]] | None:
        """The next batch under the name of the model's input, or None after the last."""
        batch = next(self.batches, None)
        return None if batch is None else {INPUT: batch}


def quantise(model: bytes, batches: Iterable[NDArray[Any]]) -> bytes:
    """The ONNX model with int8 weights, a scale a channel, and uint8 activations.

    Args:
        model: an ONNX model of this package.
        batches: as the model takes them; the ranges of the activations are those seen on them.
    """
    with tempfile.TemporaryDirectory(prefix="ghostnet-") as folder:
        source, prepared, target = (Path(folder) / name for name in ("f.onnx", "p.onnx", "q.onnx"))
        source.write_bytes(model)
        quant_pre_process(source, prepared, skip_optimization=True, skip_symbolic_shape=True)
        quantize_static(
            prepared,
            target,
            Calibration(batches),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
        )
        return target.read_bytes()


def export_int8(
    model: Model,
    path: Path,
    calibration: ImageFolder,
    data: ImageFolder,
    batch: int | None = None,
    *,
    with_preprocessing: bool = False,
    force: bool = False,
    progress: Callable[[int], None] = lambda count: None,
) -> Quantisation:
    """Write a model as int8 ONNX, and count what it cost.

    Args:
        model: as `ghostnet.hub.open_model` gives it.
        path: the file to write.
        calibration: pictures for the ranges; `CALIBRATION_PICTURES` of them are used.
        data: labelled pictures that both models answer.
        batch: pictures in a batch, or None for any number.
        with_preprocessing: as in `ghostnet.export.export`.
        force: replace an existing file.
        progress: called with 1 for each answer.

    Raises:
        ExportError: the file exists, is not called .onnx, or cannot be written.
        DatasetError: a folder of ``data`` is no label of the model.
        ImageError: a picture of ``calibration`` cannot be decoded.
    """
    if path.suffix != ".onnx":
        raise ExportError(f"{path}: int8 models are ONNX; expected a name that ends in .onnx")
    check_target(path, force)
    size = model.preprocess.image_size
    if with_preprocessing:
        model = replace(model, preprocess=CropOnly(size))
    metadata = Metadata(model.labels, size, with_preprocessing)
    content = serialised(model.network, Format.ONNX, metadata, batch)

    step = -(-len(calibration.files) // CALIBRATION_PICTURES)
    pictures = (model.preprocess(decode(file)) for file, _ in calibration.files[::step])
    quantised = quantise(content, (np.stack([picture] * (batch or 1)) for picture in pictures))

    def answers(content: bytes) -> Evaluation:
        network = as_network(in_onnxruntime(content))
        return evaluate(Classifier(model, batch_size=batch or 1, network=network), data, progress)

    before, after = answers(content), answers(quantised)
    write(quantised, path)
    return Quantisation(before, after, len(content), len(quantised))
