"""A teacher: an ONNX network, classifier or feature extractor, that another network learns from."""

import ast
import hashlib
import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unicodedata import normalize

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ghostnet.data.image_folder import ImageFolder
from ghostnet.data.labels import read_labels, unknown_labels
from ghostnet.data.transforms import MEAN, STD, Preprocess, decode
from ghostnet.errors import DatasetError, ImageError, TrainingError, listed
from ghostnet.export.metadata import THRESHOLDS
from ghostnet.files import raising, read_whole
from ghostnet.model.pipeline import Pipeline
from ghostnet.packages import needs
from ghostnet.training.config import TeacherSettings, Triple

log = logging.getLogger(__name__)

BATCH_SIZE = 16

LEAST_SHARE = 1e-7
"""Least share of a class; smaller ones are raised to it before the logarithm."""

MAX_BYTES = 2 * 1024**3
"""Largest file of a teacher: the limit of a protobuf message, and so of ONNX."""

IMAGE_SIZE = 224
"""Side of a teacher's images where neither the settings nor the file state one, in pixels."""


@dataclass(frozen=True)
class TeacherInput:
    """The images that a teacher takes.

    Attributes:
        size: Height and width, in pixels.
        mean: Subtracted from the values of red, green and blue, which are 0 to 255.
        std: What the differences are divided by.
        channels_last: Whether the layout is (batch, size, size, 3), not (batch, 3, size, size).
        dtype: float32, float16 or uint8.
    """

    size: int
    mean: Triple
    std: Triple
    channels_last: bool
    dtype: str

    def blank(self, count: int) -> NDArray[Any]:
        """Make a batch of ``count`` zeros, to be filled by `put`."""
        side = self.size
        shape = (side, side, 3) if self.channels_last else (3, side, side)
        return np.zeros((count, *shape), self.dtype)

    def put(self, image: Image.Image, place: NDArray[Any]) -> None:
        """Write an RGB image of the right size into its place in a batch."""
        pixels = (np.asarray(image, np.float32) - self.mean) / self.std
        place[:] = pixels if self.channels_last else pixels.transpose(2, 0, 1)


class Teacher:
    """An ONNX network with one image input, run by ONNX Runtime on the CPU.

    Attributes:
        name: The file.
        sha256: Hash of the file.
        output: Name of the output that is learnt from.
        length: Length of that output.
        classes: Names of the classes that it answers for; None where neither the settings nor the
            file name them.
        multi_label: Whether the file says that an image may have several labels.
        gives_shares: Whether the output is a softmax; its logarithm is then taken for the logits.
        input: The images that the network takes.

    Raises:
        TrainingError: The file is no such network, or ``teacher_labels`` has its classes in another
            order than the file.
        LabelError: ``teacher_labels`` does not name each of its classes.
    """

    def __init__(self, path: Path, settings: TeacherSettings) -> None:
        with needs("onnxruntime", extra="export"):
            import onnxruntime
        advice = "name an ONNX file"
        with raising(TrainingError, f"teacher: {path}: cannot be read", advice):
            content = read_whole(path, MAX_BYTES)
        self.sha256 = hashlib.sha256(content).hexdigest()
        try:
            self._session = onnxruntime.InferenceSession(
                content, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # its errors have no common base
            raise TrainingError(f"teacher: {path} is not an ONNX network ({error})") from error
        self.name = str(path)
        self.output = self._choose(settings.output)
        self.input = self._describe(settings)
        self.multi_label = THRESHOLDS in self._session.get_modelmeta().custom_metadata_map
        self.gives_shares = False
        probe = self(self._probe())
        self.length = probe.shape[1]
        self.classes = self._name_classes(settings.labels)
        self.gives_shares = _are_shares(probe)
        if self.gives_shares:
            log.warning(
                "teacher: %s of %s is a softmax; its logarithm is taken for the logits",
                self.output,
                self.name,
            )

    def __call__(self, images: NDArray[Any]) -> NDArray[np.float32]:
        """Map a batch, made by `TeacherInput.blank`, to (batch, length) float32."""
        (image,) = self._session.get_inputs()
        try:
            (answers,) = self._session.run([self.output], {image.name: images})
        except Exception as error:  # its errors have no common base
            raise TrainingError(
                f"teacher: {self.name}: cannot run on images of shape {images.shape}, "
                f"{images.dtype} ({error})"
            ) from error
        answers = np.asarray(answers, np.float32).reshape(len(images), -1)
        return np.log(np.maximum(answers, LEAST_SHARE)) if self.gives_shares else answers

    def check_classes(self, advice: str) -> None:
        """Check that the teacher answers for one class of an image.

        Args:
            advice: What the error says is to be done.

        Raises:
            TrainingError: An image may have several labels.
        """
        if self.multi_label:
            raise TrainingError(
                f"teacher: {self.name} answers yes or no to each of several labels, where shares "
                f"of classes are needed; {advice}"
            )

    def label(self, folder: ImageFolder) -> ImageFolder:
        """Return a folder's images with the classes that the teacher answers.

        Raises:
            DatasetError: An image is broken.
            TrainingError: The teacher answers for several labels of an image.
        """
        self.check_classes("add labeled images (--data), and learn features or with a head")
        center = Preprocess(self.input.size)

        def put(file: Path, place: NDArray[Any]) -> None:
            self.input.put(center.crop(decode(file)), place)

        pipeline = Pipeline(self, put, self.input.blank, BATCH_SIZE)
        files = []
        for file, answer in pipeline.run(file for file, _ in folder.files):
            if isinstance(answer, ImageError):
                raise DatasetError(str(answer))
            files.append((file, int(answer.values.argmax())))
        return ImageFolder(folder.classes, tuple(files))

    def _probe(self) -> NDArray[Any]:
        """Return a batch of one image of noise."""
        batch = self.input.blank(1)
        side = self.input.size
        noise = np.random.default_rng(0).integers(0, 256, (side, side, 3), np.uint8)
        self.input.put(Image.fromarray(noise), batch[0])
        return batch

    def _name_classes(self, file: Path | None) -> tuple[str, ...] | None:
        """Read the names of the classes from a file, or else from the metadata."""
        stated = stated_labels(self._session.get_modelmeta().custom_metadata_map)
        if file is None:
            return stated if stated and len(stated) == self.length else None
        classes = tuple(normalize("NFC", name) for name in read_labels(file, self.length))
        if stated and stated != classes and sorted(stated) == sorted(classes):
            raise TrainingError(
                f"teacher_labels: {file} names the classes in another order than {self.name} does "
                f"({listed(stated)}); leave teacher_labels out, or use that order"
            )
        return classes

    def _choose(self, output: str | None) -> str:
        names = [node.name for node in self._session.get_outputs()]
        if output is not None and output not in names:
            raise TrainingError(
                f"teacher_output: {self.name} has no output {output!r}; its outputs are "
                f"{', '.join(names)}"
            )
        return output or str(names[0])

    def _describe(self, settings: TeacherSettings) -> TeacherInput:
        """Combine what the settings, the input's shape and the file's metadata state."""
        inputs = self._session.get_inputs()
        if len(inputs) != 1 or len(inputs[0].shape) != 4:
            raise TrainingError(
                f"teacher: {self.name} does not take a batch of images; its inputs are "
                f"{', '.join(f'{node.name} {node.shape}' for node in inputs)}"
            )
        (node,) = inputs
        channels_last = node.shape[3] == 3
        side = node.shape[1 if channels_last else 2]
        stated = stated_preprocessing(self._session.get_modelmeta().custom_metadata_map)
        fixed = side if isinstance(side, int) else None
        return TeacherInput(
            size=settings.size or fixed or stated.get("crop") or IMAGE_SIZE,
            mean=settings.mean or stated.get("mean") or _triple(255 * MEAN),
            std=settings.std or stated.get("std") or _triple(255 * STD),
            channels_last=channels_last,
            dtype={"tensor(uint8)": "uint8", "tensor(float16)": "float16"}.get(
                node.type, "float32"
            ),
        )


def _are_shares(answers: NDArray[np.float32]) -> bool:
    """Whether each row is a softmax: several values, none below 0, that add up to 1."""
    sums_to_one = np.allclose(answers.sum(1), 1, atol=1e-2)
    return bool(answers.shape[1] > 1 and (answers >= 0).all() and sums_to_one)


def stated_labels(metadata: Mapping[str, str]) -> tuple[str, ...] | None:
    """Return the names of the classes in the metadata of a file, in Unicode NFC.

    ``labels`` is a list in JSON, as `ghostnet export` writes it; ``names``, as ultralytics writes
    it, maps each index to a name.
    """
    try:
        labels = (
            json.loads(metadata["labels"])
            if "labels" in metadata
            else [*ast.literal_eval(metadata["names"]).values()]
        )
        names = tuple(normalize("NFC", str(label)) for label in labels)
    except (KeyError, ValueError, SyntaxError, TypeError, AttributeError):
        return None
    return None if names == unknown_labels(len(names)) else names


def stated_preprocessing(metadata: Mapping[str, str]) -> dict[str, Any]:
    """Return crop, mean and std, on 0 to 255, that a file of `ghostnet export` states."""
    try:
        stated = json.loads(metadata["preprocessing"])
        mean, std = (
            (np.zeros(3), np.ones(3))
            if stated["normalized_in_graph"]
            else (float(stated["divide_by"]) * np.array(stated[name]) for name in ("mean", "std"))
        )
        return {"crop": int(stated["crop"]), "mean": _triple(mean), "std": _triple(std)}
    except (KeyError, ValueError, TypeError):
        return {}


def _triple(values: NDArray[Any]) -> Triple:
    red, green, blue = (float(value) for value in values)
    return red, green, blue
