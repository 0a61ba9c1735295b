"""Images in, labels out: the loop that prediction, evaluation and feature extraction share."""

import math
import os
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain, cycle, islice
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from ghostnet.errors import ImageError
from ghostnet.model import Model
from ghostnet.model.forward import Forward, open_forward

Item = TypeVar("Item")

ROUND = 32
"""Images that are decoded together, at least."""

TASK = 4
"""Images that a thread decodes before it asks for more."""


@dataclass(frozen=True)
class ImageSource:
    """An image to classify.

    Attributes:
        name: What results call it.
        source: Its file or bytes.
    """

    name: str
    source: Path | bytes


@dataclass(frozen=True)
class Logits:
    """The network's answer for one image: logits, or features.

    Attributes:
        values: (outputs,) float32.
        milliseconds: Time of the network for this image, without decoding.
    """

    values: NDArray[np.float32]
    milliseconds: float


@dataclass(frozen=True)
class Prediction:
    """A label with its index and its softmax probability."""

    label: str
    index: int
    probability: float


class Classifier:
    """A model that is ready to label images.

    Args:
        model: As `ghostnet.hub.open_model` returns it.
        fused: Use the fused kernels where they are available.
        batch_size: Images that go through the network together.
        forward: What computes the logits instead, such as an exported network in its runtime.
        decoders: Threads that decode images; by default, one for each processor.

    Examples:
        >>> model = ghostnet.hub.open_model("ghostnet/cpu/2.10/ghostnet_v1.0_pets")
        >>> classifier = Classifier(model)
        >>> photo = ImageSource("cat.jpg", Path("cat.jpg"))
        >>> for image, logits in classifier.logits([photo]):
        ...     print(classifier.top(logits, 1))
    """

    def __init__(
        self,
        model: Model,
        *,
        fused: bool = True,
        batch_size: int = 1,
        forward: Forward | None = None,
        decoders: int | None = None,
    ) -> None:
        self.model = model
        self.batch_size = batch_size
        self.decoders = decoders
        self.forward = forward or open_forward(model, fused=fused)

    def logits(
        self, images: Iterable[ImageSource]
    ) -> Iterator[tuple[ImageSource, Logits | ImageError]]:
        """Yield each image with its logits, or with the error that it met."""
        blank = self.model.preprocess.blank
        pipeline = Pipeline(self.forward, self._put, blank, self.batch_size, self.decoders)
        return pipeline.run(images)

    def answers(self, images: Iterable[ImageSource], count: int) -> Iterator[dict[str, Any]]:
        """Yield what `describe` returns for each image, under its name as results hold it."""
        for image, result in self.logits(images):
            yield self.describe(readable(image.name), result, count)

    def warm_up(self) -> None:
        """Run a blank batch, so that the first image does not wait for compilation."""
        self.forward(self.model.preprocess.blank(self.batch_size))

    def top(self, logits: Logits, count: int) -> list[Prediction]:
        """Return the ``count`` likeliest labels, best first."""
        shifted = np.exp(logits.values.astype(np.float64) - logits.values.max())
        probabilities = shifted / shifted.sum()
        best = np.argsort(-probabilities, kind="stable")[:count]
        return [Prediction(self.model.labels[i], int(i), float(probabilities[i])) for i in best]

    def describe(self, name: str, result: Logits | ImageError, count: int) -> dict[str, Any]:
        """Return an image's ``count`` likeliest labels, or its error, as JSON types.

        Args:
            name: What to call the image.
            result: What `logits` yielded for it.
            count: Number of labels.
        """
        if isinstance(result, ImageError):
            return {"file": name, "error": str(result)}
        predictions = [vars(prediction) for prediction in self.top(result, count)]
        return {"file": name, "predictions": predictions}

    def _put(self, image: ImageSource, place: NDArray[Any]) -> None:
        preprocess = self.model.preprocess
        preprocess.put(preprocess.decode(image.source), place)


class Pipeline:
    """Decodes items beside the network and runs them in batches.

    Items are decoded by several threads, a round of them at a time, into one of a few buffers. A
    batch of one has all processors to itself, so that its time means something; with larger
    batches, the next round is decoded while the network runs.

    Args:
        forward: Maps a batch to (batch_size, outputs).
        put: Writes an item into its place in a batch; raises `ImageError` for a broken one.
        blank: Makes a batch with the given number of places.
        batch_size: Items that go through the network together.
        decoders: Threads that decode; by default, one for each processor.
    """

    def __init__(
        self,
        forward: Forward,
        put: Callable[[Any, NDArray[Any]], None],
        blank: Callable[[int], NDArray[Any]],
        batch_size: int,
        decoders: int | None = None,
    ) -> None:
        self.forward = forward
        self.put = put
        self.blank = blank
        self.batch_size = batch_size
        self.decoders = decoders or len(os.sched_getaffinity(0))

    def run(self, items: Iterable[Item]) -> Iterator[tuple[Item, Logits | ImageError]]:
        """Yield each item with the network's answer, or with the `ImageError` that it met.

        Args:
            items: What to run, possibly without end.
        """
        size = self.batch_size * math.ceil(ROUND / self.batch_size)
        buffers = [self.blank(size) for _ in range(1 if self.batch_size == 1 else 2)]
        with ThreadPoolExecutor(self.decoders) as executor:
            rounds = self._rounds(executor, iter(items), buffers)
            begun = deque(islice(rounds, len(buffers)))
            while begun:
                some, buffer, loading = begun.popleft()
                errors = list(chain.from_iterable(loading))
                for start in range(0, len(some), self.batch_size):
                    batch = slice(start, start + self.batch_size)
                    answers = self._answers(buffer[batch], errors[batch])
                    yield from zip(some[batch], answers, strict=True)
                begun.extend(islice(rounds, 1))

    def _rounds(
        self, executor: Executor, items: Iterator[Item], buffers: list[NDArray[Any]]
    ) -> Iterator[tuple[list[Item], NDArray[Any], Iterator[list[ImageError | None]]]]:
        """Yield as many items as a buffer holds, the buffer, and the errors met on the way."""
        for buffer in cycle(buffers):
            some = list(islice(items, len(buffer)))
            if not some:
                return
            parts = [slice(start, start + TASK) for start in range(0, len(some), TASK)]
            places = (buffer[part] for part in parts)
            yield some, buffer, executor.map(self._put_all, (some[part] for part in parts), places)

    def _put_all(self, items: list[Item], places: NDArray[Any]) -> list[ImageError | None]:
        return [self._try_to_put(item, place) for item, place in zip(items, places, strict=False)]

    def _try_to_put(self, item: Item, place: NDArray[Any]) -> ImageError | None:
        try:
            self.put(item, place)
        except ImageError as error:
            return error
        return None

    def _answers(
        self, arrays: NDArray[Any], errors: list[ImageError | None]
    ) -> list[Logits | ImageError]:
        """Run a batch; errors keep their places, and so does what fills up a short batch."""
        images = errors.count(None)
        if images == 0:
            return [error for error in errors if error]
        start = time.perf_counter()
        values = self.forward(arrays)
        milliseconds = (time.perf_counter() - start) * 1000 / images
        return [
            error or finite_logits(row, milliseconds)
            for row, error in zip(values, errors, strict=False)
        ]


def finite_logits(values: NDArray[np.float32], milliseconds: float) -> Logits | ImageError:
    """Return the logits of an image, or an error where they are not finite.

    Args:
        values: (outputs,) float32.
        milliseconds: Time of the network for this image.
    """
    if np.isfinite(values).all():
        return Logits(values, milliseconds)
    return ImageError("expected finite logits for this image, found NaN or infinity")


def readable(name: str) -> str:
    """Return a file name as results hold it: bytes that are no UTF-8 become escapes."""
    with suppress(UnicodeError):
        return os.fsencode(name).decode()
    return name.encode(errors="backslashreplace").decode()
