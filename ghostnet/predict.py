"""Pictures in, labels out: the loop that `ghostnet predict` and `ghostnet eval` share."""

import os
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TypeVar

import mindspore as ms
import numpy as np
from mindspore import nn
from numpy.typing import NDArray
from PIL import Image

from ghostnet.errors import ImageError
from ghostnet.hub.loader import Model
from ghostnet.kernels import FusedGhostNet, fuse_if_possible
from ghostnet.transforms import decode

Item = TypeVar("Item")

TURN = 32
"""Pictures that are decoded before the network has its turn."""


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
        return in_turns(self.network, self._load, pictures, self.batch_size)

    def refresh(self) -> None:
        """Take over changes of the model's weights, where the network is a copy of them."""
        if isinstance(self.network, FusedGhostNet):
            self.network.refresh(self.model.network)

    def warm_up(self) -> None:
        """Compile the graph, so that the first picture does not wait for it."""
        size = self.model.preprocess.image_size
        blank = self.model.preprocess(Image.new("RGB", (size, size)))
        self.network(ms.Tensor(np.stack([blank] * self.batch_size)))

    def top(self, logits: Logits, count: int) -> list[Prediction]:
        """The ``count`` likeliest labels, best first."""
        shifted = np.exp(logits.values.astype(np.float64) - logits.values.max())
        probabilities = shifted / shifted.sum()
        best = np.argsort(-probabilities, kind="stable")[:count]
        return [Prediction(self.model.labels[i], int(i), float(probabilities[i])) for i in best]

    def _load(self, picture: Picture) -> NDArray[np.float32]:
        return self.model.preprocess(decode(picture.source))


def in_turns(
    network: nn.Cell,
    load: Callable[[Item], NDArray[np.float32]],
    items: Iterable[Item],
    batch_size: int,
) -> Iterator[tuple[Item, Logits | ImageError]]:
    """Each item with the network's answer, or with the `ImageError` that ``load`` raised for it.

    Decoding and the network take turns, each on all processors: side by side they would only be
    in each other's way. The order is that of the input, but that broken pictures come before the
    others of their turn.

    Args:
        network: from (batch_size, 3, height, width) float32 to (batch_size, outputs).
        load: from an item to its (3, height, width) float32, all of one shape.
        items: what to load; endless ones will do.
        batch_size: items that go through the network together.
    """

    def loaded(item: Item) -> NDArray[np.float32] | ImageError:
        try:
            return load(item)
        except ImageError as error:
            return error

    remaining = iter(items)
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as executor:
        while turn := list(islice(remaining, max(TURN, batch_size))):
            arrays: list[tuple[Item, NDArray[np.float32]]] = []
            for item, array in zip(turn, executor.map(loaded, turn), strict=True):
                if isinstance(array, ImageError):
                    yield item, array
                else:
                    arrays.append((item, array))
            for start in range(0, len(arrays), batch_size):
                yield from _run(network, arrays[start : start + batch_size], batch_size)


def _run(
    network: nn.Cell, batch: list[tuple[Item, NDArray[np.float32]]], batch_size: int
) -> Iterator[tuple[Item, Logits]]:
    arrays = [array for _, array in batch]
    # A graph is compiled for one shape: a short batch is filled up, not compiled anew.
    filled = np.stack(arrays + arrays[-1:] * (batch_size - len(arrays)))
    start = time.perf_counter()
    values = network(ms.Tensor(filled)).asnumpy()
    milliseconds = (time.perf_counter() - start) * 1000 / len(batch)
    for (item, _), row in zip(batch, values, strict=False):
        yield item, Logits(row, milliseconds)
