"""Quantization of an ONNX model to 8 bits, by ONNX Runtime's static quantization."""

import io
import json
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ghostnet import kernels
from ghostnet.data.image_folder import ImageFolder
from ghostnet.data.transforms import Preprocess
from ghostnet.errors import DatasetError, ExportError, ImageError
from ghostnet.export.exporter import check_target, serialized, write
from ghostnet.export.formats import Format, WeightBits, format_of
from ghostnet.export.metadata import INPUT
from ghostnet.export.runtimes import in_onnxruntime
from ghostnet.kernels.cpu import library
from ghostnet.model import Model
from ghostnet.model.evaluation import Evaluation
from ghostnet.model.label_evaluation import LabelEvaluation
from ghostnet.packages import needs

with needs("onnxruntime", extra="export"):
    import onnx
    import onnxruntime
    from onnxruntime.quantization import (
        CalibrationDataReader,
        CalibrationMethod,
        QuantFormat,
        QuantType,
        quantize_static,
    )
    from onnxruntime.quantization.shape_inference import quant_pre_process

VNNI = {"avx512_vnni", "avx_vnni"}
"""The extensions that multiply bytes, as Linux names them."""

CALIBRATION_IMAGES = 64
"""The largest number of images that the ranges of the activations are measured on."""

RANGE_PERCENTILE = 99.999
"""Percentage of the activations within the measured range; the others saturate."""


@dataclass(frozen=True)
class CropOnly(Preprocess):
    """Map an RGB image to (image_size, image_size, 3) uint8, for a graph that normalizes."""

    def blank(self, count: int) -> NDArray[Any]:
        """Make a batch of zeros, (count, image_size, image_size, 3) uint8."""
        return np.zeros((count, self.image_size, self.image_size, 3), np.uint8)

    def put(self, image: Image.Image, out: NDArray[Any]) -> None:
        """Preprocess an image into its place in a batch, without normalization."""
        out[:] = np.asarray(self.crop(image))


@dataclass(frozen=True)
class Quantization:
    """What quantizing a model costs and saves.

    Attributes:
        calibrated_on: Number of images that the ranges were measured on.
        unreadable: Calibration images that could not be decoded, with the reason.
        before: Evaluation of the float32 model.
        after: Evaluation of the int8 model on the same images.
        float_bytes: Size of the float32 file, in bytes.
        int8_bytes: Size of the int8 file, in bytes.
    """

    calibrated_on: int
    unreadable: dict[str, str]

    before: Evaluation | LabelEvaluation
    after: Evaluation | LabelEvaluation
    float_bytes: int
    int8_bytes: int

    @property
    def measured_on(self) -> str:
        """The runtime and the kind of processor that the accuracies were measured on."""
        unit = "with" if has_vnni() else "without"
        return f"ONNX Runtime {onnxruntime.__version__}, a processor {unit} VNNI"


class Calibration(CalibrationDataReader):
    """Batches, handed one by one to ONNX Runtime."""

    def __init__(self, batches: Iterable[NDArray[Any]]) -> None:
        self.batches: Iterator[NDArray[Any]] = iter(batches)

    def get_next(self) -> dict[str, NDArray[Any]] | None:
        """Return the next batch by the name of the model's input, or None after the last."""
        batch = next(self.batches, None)
        return None if batch is None else {INPUT: batch}


def has_vnni() -> bool:
    """Whether the processor is known to have VNNI, which adds products of bytes unsaturated."""
    return kernels.available() and not VNNI.isdisjoint(library.processor_extensions())


def quantize(
    model: bytes, batches: Iterable[NDArray[Any]], weight_bits: WeightBits = WeightBits.SEVEN
) -> bytes:
    """Quantize an ONNX model to uint8 activations and int8 weights with a scale for each channel.

    The file's metadata describes the quantization under ``quantization``.

    Args:
        model: Content of an ONNX file of this package.
        batches: Batches as the model takes them, on which the ranges of the activations are
            measured.
        weight_bits: Bits in each weight.

    Returns:
        Content of the quantized ONNX file.
    """
    silence = redirect_stdout(io.StringIO())  # the calibration prints its progress
    with silence, tempfile.TemporaryDirectory(prefix="ghostnet-") as folder:
        source, prepared, target = (Path(folder) / name for name in ("f.onnx", "p.onnx", "q.onnx"))
        source.write_bytes(model)
        quant_pre_process(source, prepared, skip_optimization=True, skip_symbolic_shape=True)
        quantize_static(
            prepared,
            target,
            Calibration(batches),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            reduce_range=weight_bits is WeightBits.SEVEN,
            calibrate_method=CalibrationMethod.Percentile,
            nodes_to_exclude=_arithmetic_with_constants(model),
            extra_options={"CalibPercentile": RANGE_PERCENTILE},
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
        )
        return _described(target.read_bytes(), weight_bits)


def _arithmetic_with_constants(model: bytes) -> list[str]:
    """Name the sums and products with a constant: of the gates, and of the normalization."""
    graph = onnx.load_from_string(model).graph
    constants = {constant.name for constant in graph.initializer}
    nodes = (node for node in graph.node if node.op_type in ("Add", "Mul"))
    return [node.name for node in nodes if constants & {*node.input}]


def _described(quantized: bytes, weight_bits: WeightBits) -> bytes:
    """Add the description of the quantization to a model's metadata."""
    loaded = onnx.load_from_string(quantized)
    description = {"weight_bits": weight_bits.value, "activation_bits": 8, "per_channel": True}
    entry = loaded.metadata_props.add()
    entry.key, entry.value = "quantization", json.dumps(description)
    return bytes(loaded.SerializeToString())


def spread(files: Sequence[Path], count: int) -> list[Path]:
    """Choose ``count`` files at even distances, or all files if there are fewer."""
    count = min(count, len(files))
    return [files[index * len(files) // count] for index in range(count)]


def calibration_images(
    folder: ImageFolder, preprocess: Preprocess
) -> tuple[list[NDArray[Any]], dict[str, str]]:
    """Preprocess at most `CALIBRATION_IMAGES` images of a folder, at even distances.

    Returns:
        The images, and the files that could not be decoded with the reason.

    Raises:
        DatasetError: None of the chosen images can be decoded.
    """
    images: list[NDArray[Any]] = []
    unreadable: dict[str, str] = {}
    for file in spread([file for file, _ in folder.files], CALIBRATION_IMAGES):
        try:
            images.append(preprocess(preprocess.decode(file)))
        except ImageError as error:
            unreadable[str(file)] = str(error)
    if not images:
        raise DatasetError(
            f"none of the {len(unreadable)} calibration images can be decoded; the first reason: "
            f"{next(iter(unreadable.values()), 'there are no images')}"
        )
    return images, unreadable


def export_int8(
    model: Model,
    path: Path,
    calibration: ImageFolder,
    data: ImageFolder,
    batch: int | None = None,
    *,
    format: Format | None = None,
    weight_bits: WeightBits = WeightBits.SEVEN,
    with_preprocessing: bool = False,
    force: bool = False,
    progress: Callable[[int], None] = lambda count: None,
) -> Quantization:
    """Export a model as int8 ONNX, and measure what that costs in accuracy.

    Args:
        model: As `ghostnet.hub.open_model` returns it.
        path: File to write.
        calibration: Images on which the ranges of the activations are measured. At most
            `CALIBRATION_IMAGES` are used; those that cannot be decoded are left out.
        data: Labeled images on which both models are evaluated.
        batch: Images in a batch, or None for any number.
        format: ONNX, or None if the suffix says so.
        weight_bits: As in `quantize`.
        with_preprocessing: As in `ghostnet.export.export`.
        force: Replace an existing file.
        progress: Called with 1 for each image that either model has classified.

    Raises:
        ExportError: The file exists or cannot be written, or its format is not ONNX.
        DatasetError: A folder of ``data`` is not a label of the model, or none of the images of
            ``calibration`` or of ``data`` can be decoded.
    """
    if format_of(path, format) is not Format.ONNX:
        raise ExportError("int8 models can be written only as ONNX; name a file that ends in .onnx")
    check_target(path, force)
    if with_preprocessing:
        model = replace(model, preprocess=CropOnly(model.preprocess.image_size))
    content = serialized(model, Format.ONNX, batch, with_preprocessing=with_preprocessing)
    images, unreadable = calibration_images(calibration, model.preprocess)

    def answers(content: bytes) -> Evaluation | LabelEvaluation:
        forward = in_onnxruntime(content)
        return model.evaluate(data, batch_size=batch or 1, forward=forward, progress=progress)

    before = answers(content)
    batches = (np.stack([image] * (batch or 1)) for image in images)
    quantized = quantize(content, batches, weight_bits)
    after = answers(quantized)
    write(quantized, path)
    return Quantization(
        calibrated_on=len(images),
        unreadable=unreadable,
        before=before,
        after=after,
        float_bytes=len(content),
        int8_bytes=len(quantized),
    )
