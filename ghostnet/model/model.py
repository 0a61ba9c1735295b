"""An opened model: a network as data, and what people do with it."""

import os
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, fields, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

import numpy as np
from numpy.typing import NDArray

from ghostnet import kernels
from ghostnet.checkpoints import Parameters, classifier_names, merged_parameters
from ghostnet.data.image_folder import ImageFolder
from ghostnet.data.split import read_measured
from ghostnet.data.transforms import Preprocess, normalize
from ghostnet.errors import ImageError
from ghostnet.kernels.cpu.library import Dtype
from ghostnet.model.downloads import downloaded
from ghostnet.model.evaluation import Evaluation, evaluate
from ghostnet.model.evidence import evidence
from ghostnet.model.explanation import Explanation
from ghostnet.model.forward import Forward, open_forward
from ghostnet.model.images import ImageLike, ImageSource, is_one, named
from ghostnet.model.label_evaluation import LabelEvaluation
from ghostnet.model.last_map import LastMap
from ghostnet.model.pipeline import AHEAD, Logits, Pipeline
from ghostnet.model.result import SHOWN, Result
from ghostnet.models import Architecture
from ghostnet.runtime import start_mindspore

if TYPE_CHECKING:
    from ghostnet.models.classification import ClassificationNetwork


@dataclass(frozen=True, eq=False, repr=False)
class Model:
    """A network as data, and what is needed to use it.

    Several threads may use a model at once.

    Attributes:
        name: UID, path or URL that it was opened by.
        architecture: Its table.
        parameters: Arrays by released name, float32.
        labels: Names of the classes; ``class 0``, ``class 1``, … where they are not known.
        preprocess: Maps an image to the network's input.
        thresholds: Probability from which each label is given, if an image may have several labels;
            None if it has one class.

    Raises:
        ModelError: The preprocessing makes images that are too small for the network.

    Examples:
        >>> import ghostnet
        >>> model = ghostnet.open_model()
        >>> model.predict("cat.jpg").label
        'Abyssinian'
    """

    name: str
    architecture: Architecture
    parameters: Parameters
    labels: tuple[str, ...]
    preprocess: Preprocess
    thresholds: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        size = self.preprocess.image_size
        self.architecture.check_image(size, size)

    @overload
    def predict(  # type: ignore[overload-overlap]  # texts, bytes and files are sequences, too
        self, images: ImageLike, *, batch_size: int = 1, forward: Forward | None = None
    ) -> Result: ...

    @overload
    def predict(  # type: ignore[overload-overlap]  # sequences are iterables
        self, images: Sequence[ImageLike], *, batch_size: int = 1, forward: Forward | None = None
    ) -> list[Result]: ...

    @overload
    def predict(
        self, images: Iterable[ImageLike], *, batch_size: int = 1, forward: Forward | None = None
    ) -> Iterator[Result]: ...

    def predict(
        self, images: Any, *, batch_size: int = 1, forward: Forward | None = None
    ) -> Result | list[Result] | Iterator[Result]:
        """Label an image, several images, or a stream of them.

        Args:
            images: One image: a path or URL, the bytes of a file or an open file, a Pillow image, a
                (height, width, 3) array in RGB, or a (3, size, size) array of floats that
                `preprocess` has normalized (see `ImageSource`). Or several: a folder, an archive,
                a list of images, folders and archives, or an array with one more dimension. Or any
                other iterable, such as a generator.
            batch_size: Images that go through the network together. More are faster; one answers
                soonest.
            forward: What computes the logits instead of the model's own forward pass, such as
                `session`.

        Returns:
            A result for one image; a list of results for several, in their order, where a folder
            or an archive stands for all its images; an iterator for a stream, which is read as the
            results are, at most two batches ahead. The type of a path does not tell whether it is a
            folder: for a type checker, write ``[folder]``.

        Raises:
            ImageError: The one image cannot be read. In a list or a stream, its result has the
                error instead.
        """
        if is_one(images):
            (result,) = self.results([images], forward=forward, ahead=1)
            if result.error:
                raise result.error
            return result
        if isinstance(images, str | os.PathLike):  # a folder or an archive
            images = [images]
        if isinstance(images, Collection):
            return list(self.results(images, batch_size=batch_size, forward=forward))
        return self.results(images, batch_size=batch_size, forward=forward, ahead=1)

    def results(
        self,
        images: Iterable[ImageLike],
        *,
        batch_size: int = 1,
        forward: Forward | None = None,
        ahead: int = AHEAD,
    ) -> Iterator[Result]:
        """Yield the results of images as they come, in their order.

        Args:
            images: Images, folders and archives, as for `predict`.
            batch_size: As for `predict`.
            forward: As for `predict`.
            ahead: Images that are decoded together, at least. A low number suits a source that has
                to be waited for; a high one keeps all processors busy.
        """
        forward = forward or self._forward
        outcomes = self.outcomes(images, batch_size=batch_size, forward=forward, ahead=ahead)
        for image, outcome in outcomes:
            yield Result(image, self.labels, outcome, self.thresholds)

    def outcomes(
        self,
        images: Iterable[ImageLike],
        *,
        batch_size: int,
        forward: Forward,
        ahead: int = AHEAD,
    ) -> Iterator[tuple[ImageSource, Logits | ImageError]]:
        """Yield each image with what a forward pass answers, or with the error that it met.

        Args:
            images: As for `results`.
            batch_size: As for `predict`.
            forward: Maps a batch to (batch, outputs): logits, features or others.
            ahead: As for `results`.
        """
        preprocess = self.preprocess

        def put(image: ImageSource, place: NDArray[Any]) -> None:
            image.put(preprocess, place)

        pipeline = Pipeline(forward, put, preprocess.blank, batch_size, ahead)
        with closing(downloaded(named(images))) as sources:
            yield from pipeline.run(sources)

    @overload
    def features(  # type: ignore[overload-overlap]
        self, images: ImageLike | Sequence[ImageLike], *, batch_size: int = 1
    ) -> NDArray[np.float32]: ...

    @overload
    def features(
        self, images: Iterable[ImageLike], *, batch_size: int = 1
    ) -> Iterator[NDArray[np.float32]]: ...

    def features(
        self, images: Any, *, batch_size: int = 1
    ) -> NDArray[np.float32] | Iterator[NDArray[np.float32]]:
        """Return the features that the classifier reads.

        Args:
            images: As for `predict`.
            batch_size: As for `predict`.

        Returns:
            (features,) float32 for one image, (images, features) for several, and an iterator of
            the former for a stream.

        Raises:
            ImageError: An image cannot be read.
        """
        if is_one(images):
            (row,) = self._features([images], 1, 1)
            return row
        if isinstance(images, str | os.PathLike):  # a folder or an archive
            images = [images]
        if isinstance(images, Collection):
            rows = self._features(images, batch_size, AHEAD)
            return np.array([*rows], np.float32).reshape(-1, self.architecture.head_channels)
        return self._features(images, batch_size, 1)

    def explain(self, image: ImageLike, *, count: int = SHOWN) -> Explanation:
        """Say which places of an image made its labels.

        Args:
            image: One image, as for `predict`.
            count: Labels to explain, the likeliest first.

        Raises:
            ImageError: The image cannot be read.
            KernelError: The network rounds its inputs to 8 bits, which is not computed here.
        """
        if not is_one(image):
            raise ImageError(f"{image!r:.80} is not one image; pass the images one by one")
        (source,) = named([image])
        seen = source.crop(self.preprocess)
        start = time.perf_counter()
        logits, places = evidence(self._last_map, normalize(seen))
        milliseconds = (time.perf_counter() - start) * 1000
        result = Result(source, self.labels, Logits(logits, milliseconds), self.thresholds)
        predictions = tuple(result.top(count))
        chosen = places[[prediction.index for prediction in predictions]]
        return Explanation(result, seen, predictions, chosen)

    def evaluate(
        self,
        folder: str | Path | ImageFolder,
        *,
        batch_size: int = 1,
        forward: Forward | None = None,
        progress: Callable[[int], None] = lambda count: None,
    ) -> Evaluation | LabelEvaluation:
        """Measure the accuracy on labeled images, or the mean average precision of several labels.

        Args:
            folder: Folder with a sub-folder of images for each class, named by its label; or one
                with such folders for training and for testing, as `read_measured` finds them; or
                an archive of these. If images may have several labels,
                each has those of all folders that hold a copy of it.
            batch_size: As for `predict`.
            forward: As for `predict`.
            progress: Called with 1 for each image.

        Raises:
            DatasetError: The folder does not hold images of the model's classes; see
                `ghostnet.model.evaluation.evaluate`.
        """
        if not isinstance(folder, ImageFolder):
            folder = read_measured(Path(folder), multi_label=self.thresholds is not None)
        files = [file for file, _ in folder.files]
        results = self.results(files, batch_size=batch_size, forward=forward)
        return evaluate(
            self.name, self.labels, folder, results, progress, thresholds=self.thresholds
        )

    def session(self, *, threads: int | None = None, dtype: Dtype = "float32") -> kernels.Session:
        """Open the model in the fused CPU kernels: arrays in, logits out.

        Args:
            threads: Threads of every session in this process; by default, they stay as they are.
            dtype: ``float32``, ``bfloat16`` or ``int8``; see `ghostnet.kernels.Session`.

        Raises:
            KernelError: The kernels are not available, or the processor does not have the dtype.
        """
        if threads is not None:
            kernels.set_threads(threads)
        return kernels.Session(self.architecture, self.parameters, dtype=dtype)

    @property
    def merged(self) -> "Model":
        """The same model for inference: what trained as parallel branches is one convolution."""
        if self.architecture.form != "branched":
            return self
        parameters = merged_parameters(self.architecture, self.parameters, self.name)
        return replace(self, architecture=self.architecture.merged, parameters=parameters)

    @property
    def num_classes(self) -> int:
        """Length of the logits."""
        _, bias = classifier_names(self.architecture)
        return len(self.parameters[bias])

    @cached_property
    def network(self) -> "ClassificationNetwork":
        """The MindSpore network, in inference state; built when it is first asked for."""
        start_mindspore()
        from ghostnet.checkpoints.cells import load_parameters
        from ghostnet.models.network import build_network

        network = build_network(self.architecture, self.num_classes)
        load_parameters(network, self.parameters, name=self.name)
        network.set_train(False)
        return network

    @cached_property
    def _forward(self) -> Forward:
        return open_forward(self)

    @cached_property
    def _backbone(self) -> Forward:
        return open_forward(self, features=True)

    @cached_property
    def _last_map(self) -> LastMap:
        return LastMap(self.architecture, self.parameters)

    def _features(
        self, images: Iterable[ImageLike], batch_size: int, ahead: int
    ) -> Iterator[NDArray[np.float32]]:
        backbone = self._backbone
        for _, outcome in self.outcomes(
            images, batch_size=batch_size, forward=backbone, ahead=ahead
        ):
            if isinstance(outcome, ImageError):
                raise outcome
            yield outcome.values

    def __getstate__(self) -> dict[str, Any]:
        """Return what another process needs; it opens the network itself."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def __repr__(self) -> str:
        size = self.preprocess.image_size
        count = sum(values.size for values in self.parameters.values())
        kind = "classes" if self.thresholds is None else "labels, possibly several an image"
        return (
            f"Model({self.name!r}: {count / 1e6:.2f} M parameters, images of {size}×{size} pixels, "
            f"{len(self.labels):,} {kind}: {', '.join(self.labels[:SHOWN])}, …)"
        )
