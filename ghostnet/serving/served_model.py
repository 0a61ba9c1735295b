"""A model of a server, as a batcher runs it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ghostnet.data.decoding_memory import decoding_bytes
from ghostnet.model import ImageSource, Model
from ghostnet.serving.batcher import Source

Observe = Callable[[int, float], None]


@dataclass
class Counted:
    """What a model has computed since it was loaded.

    Attributes:
        images: Images that went through the network.
        batches: Calls of the network.
        seconds: Time of these calls.
    """

    images: int = 0
    batches: int = 0
    seconds: float = 0.0


class ServedModel:
    """A model that is ready to run. It keeps the packed weights, and no others.

    Args:
        name: Its name in addresses.
        model: As `ghostnet.hub.open_model` returns it.
        batch: Images of the largest batch, for which memory is prepared.
        observe: Called with the images of each batch and the seconds of its forward pass.

    Attributes:
        name: Its name in addresses.
        labels: Names of the classes.
        input_shape: (3, size, size) of a preprocessed image.
        counted: What it has computed.

    Raises:
        KernelError: The fused kernels are not available.
    """

    def __init__(self, name: str, model: Model, batch: int, observe: Observe) -> None:
        self.name = name
        self.labels = model.labels
        self.counted = Counted()
        self._preprocess = model.preprocess
        self._session = model.session()
        self._observe = observe
        size = model.preprocess.image_size
        self.input_shape: tuple[int, ...] = (3, size, size)
        self._session(np.zeros((batch, *self.input_shape), np.float32))

    def __call__(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        """Map a batch to (batch, classes) logits."""
        return self._session(images)

    def memory_for(self, source: Source) -> int:
        """Return the most bytes that `put` takes for an image."""
        if isinstance(source, np.ndarray):
            return 0
        return decoding_bytes(source, self._preprocess.resize_size)

    def put(self, source: Source, place: NDArray[Any]) -> None:
        """Write an image to its place in a batch; raises `ImageError` if it is broken."""
        name = "this array" if isinstance(source, np.ndarray) else "these bytes"
        ImageSource(name, source).put(self._preprocess, place)

    def observe(self, images: int, seconds: float) -> None:
        """Count the images of a batch, and the time of its forward pass."""
        self.counted.images += images
        self.counted.batches += 1
        self.counted.seconds += seconds
        self._observe(images, seconds)
