"""Pictures in, labels out: the loop that `ghostnet predict` and `ghostnet eval` share."""

import math
import os
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain, cycle, islice
from pathlib import Path
from typing import Any, TypeVar

import mindspore as ms
import numpy as np
from numpy.typing import NDArray

from ghostnet.errors import ImageError
from ghostnet.hub.loader import Model
from ghostnet.kernels import FusedGhostNet, fuse_if_possible
from ghostnet.transforms import decode

Item = TypeVar("Item")

TURN = 32
"""Pictures that are decoded together, at least."""

TASK = 4
"""Pictures that a thread decodes before it asks for more."""


@dataclass(frozen=True)
class Picture:
    """A picture to look at: what to call it, and its file or bytes."""

    name: str
    source: Path | bytes


@dataclass(frozen=True)
class Logits:
    """The network's answer for one picture, or its features where the network gives those.

    Attributes:
        values: (outputs,) float32.
        milliseconds: the network's time for this picture, decoding not included.
    """

    values: NDArray[np.float32]
    milliseconds: float


@dataclass(frozen=True)
class Prediction:
    """One label with its index and its softmax probability."""

    label: str
    index: int
    probability: float


class Classifier:
    """A model made ready to label pictures.

    Args:
        model: as `ghostnet.hub.open_model` gives it.
        fused: run the fused kernels where the machine allows.
        batch_size: pictures that go through the network together.
        network: what answers instead of the model's network, such as an exported one.
    """

    def __init__(
        self,
        model: Model,
        *,
        fused: bool = True,
        batch_size: int = 1,
        network: Callable[[ms.Tensor], ms.Tensor] | None = None,
    ) -> None:
        self.model = model
        self.batch_size = batch_size
        self.network = network or (fuse_if_possible(model.network) if fused else model.network)

    def logits(self, pictures: Iterable[Picture]) -> Iterator[tuple[Picture, Logits | ImageError]]:
        """Each picture with its logits, or with the error that kept it from having any."""
        blank = self.model.preprocess.blank
        return in_turns(self.network, self._put, pictures, blank, self.batch_size)

    def refresh(self) -> None:
        """Take over changes of the model's weights, where the network is a copy of them."""
        if isinstance(self.network, FusedGhostNet):
            self.network.refresh(self.model.network)

    def warm_up(self) -> None:
        """Compile the graph, so that the first picture does not wait for it."""
        self.network(ms.Tensor.from_numpy(self.model.preprocess.blank(self.batch_size)))

    def top(self, logits: Logits, count: int) -> list[Prediction]:
        """The ``count`` likeliest labels, best first."""
        shifted = np.exp(logits.values.astype(np.float64) - logits.values.max())
        probabilities = shifted / shifted.sum()
        best = np.argsort(-probabilities, kind="stable")[:count]
        return [Prediction(self.model.labels[i], int(i), float(probabilities[i])) for i in best]

    def _put(self, picture: Picture, place: NDArray[Any]) -> None:
        self.model.preprocess.put(decode(picture.source), place)


def in_turns(
    network: Callable[[ms.Tensor], ms.Tensor],
    put: Callable[[Item, NDArray[Any]], None],
    items: Iterable[Item],
    blank: Callable[[int], NDArray[Any]],
    batch_size: int,
) -> Iterator[tuple[Item, Logits | ImageError]]:
    """Each item with the network's answer, or with the `ImageError` that ``put`` raised for it.

    Pictures are decoded by as many threads as there are processors, a turn of them at a time, into
    one of a few buffers. A batch of one has all processors to itself, so that its
    time means something; with more, the next turn is decoded beside the network.

    Args:
        network: from a batch to (batch_size, outputs).
        put: fills an item's place in a batch with what the network reads.
        items: what to look at; endless ones will do.
        blank: a batch of so many places.
        batch_size: items that go through the network together.
    """
    size = batch_size * math.ceil(TURN / batch_size)
    buffers = [blank(size) for _ in range(1 if batch_size == 1 else 2)]
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as executor:
        turns = _turns(executor, put, iter(items), buffers)
        begun = deque(islice(turns, len(buffers)))
        while begun:
            turn, buffer, loading = begun.popleft()
            errors = list(chain.from_iterable(loading))
            for start in range(0, len(turn), batch_size):
                batch = slice(start, start + batch_size)
                answers = _answers(network, buffer[batch], errors[batch])
                yield from zip(turn[batch], answers, strict=True)
            begun.extend(islice(turns, 1))


def _turns(
    executor: Executor,
    put: Callable[[Item, NDArray[Any]], None],
    items: Iterator[Item],
    buffers: list[NDArray[Any]],
) -> Iterator[tuple[list[Item], NDArray[Any], Iterator[list[ImageError | None]]]]:
    """As many items as a buffer holds, the buffer, and what goes wrong as they are put there."""

    def try_to_put(item: Item, place: NDArray[Any]) -> ImageError | None:
        try:
            put(item, place)
        except ImageError as error:
            return error
        return None

    def put_some(some: list[Item], places: NDArray[Any]) -> list[ImageError | None]:
        return [try_to_put(item, place) for item, place in zip(some, places, strict=False)]

    for buffer in cycle(buffers):
        turn = list(islice(items, len(buffer)))
        if not turn:
            return
        parts = [slice(start, start + TASK) for start in range(0, len(turn), TASK)]
        places = (buffer[part] for part in parts)
        yield turn, buffer, executor.map(put_some, (turn[part] for part in parts), places)


def _answers(
    network: Callable[[ms.Tensor], ms.Tensor],
    arrays: NDArray[Any],
    errors: list[ImageError | None],
) -> list[Logits | ImageError]:
    """A batch's answers; errors keep their places, and so does what fills up a short batch."""
    pictures = errors.count(None)
    if pictures == 0:
        return [error for error in errors if error]
    start = time.perf_counter()
    values = network(ms.Tensor.from_numpy(arrays)).asnumpy()
    milliseconds = (time.perf_counter() - start) * 1000 / pictures
    return [error or Logits(row, milliseconds) for row, error in zip(values, errors, strict=False)]
