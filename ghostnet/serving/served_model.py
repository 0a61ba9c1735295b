"""A model of a server, as a batcher runs it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ghostnet.data.decoding_memory import decoding_bytes
from ghostnet.data.decoding_time import refuse_slow
from ghostnet.data.transforms import Preprocess, read_header
from ghostnet.inference.vectors import Layer
from ghostnet.kernels import Session
from ghostnet.kernels.cpu.library import Dtype
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


class ServedNetwork:
    """A network that is ready to run. It keeps the packed weights, and no others.

    Args:
        preprocess: Maps images to its input.
        session: What runs it.
        counted: What it has computed, together with others that have this too.
        observe: Called with the images of each batch and the seconds of its forward pass.

    Attributes:
        input_shape: (3, size, size) of a preprocessed image.
        counted: What it has computed.
    """

    def __init__(
        self, preprocess: Preprocess, session: Session, counted: Counted, observe: Observe
    ) -> None:
        size = preprocess.image_size
        self.input_shape: tuple[int, ...] = (3, size, size)
        self.counted = counted
        self._preprocess = preprocess
        self._session = session
        self._observe = observe

    def __call__(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        """Map a batch to (batch, outputs)."""
        return self._session(images)

    def memory_for(self, source: Source) -> int:
        """Return the most bytes that `put` takes for an image.

        Raises:
            ImageError: Its header is broken, or it would take too long to decode.
        """
        if isinstance(source, np.ndarray):
            return 0
        with read_header(source) as image:
            refuse_slow(image, source)
            return decoding_bytes(image, source, self._preprocess.resize_size)

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


class ServedModel(ServedNetwork):
    """A model that is ready to run: it maps images to logits.

    Args:
        name: Its name in addresses.
        model: As `ghostnet.hub.open_model` returns it.
        batch: Images of the largest batch, for which memory is prepared.
        observe: Called with the images of each batch and the seconds of its forward pass.
        dtype: As of `ghostnet.kernels.Session`.

    Attributes:
        name: Its name in addresses.
        labels: Names of the classes.
        thresholds: As of `ghostnet.model.Model`.
        embedders: Networks that map images to embeddings, by layer, with the same weights in
            memory.

    Raises:
        KernelError: The fused kernels are not available, or not in the dtype.
    """

    def __init__(
        self, name: str, model: Model, batch: int, observe: Observe, dtype: Dtype = "float32"
    ) -> None:
        session = model.session(dtype=dtype)
        super().__init__(model.preprocess, session, Counted(), observe)
        self.name = name
        self.labels = model.labels
        self.thresholds = model.thresholds
        weights = model.architecture, model.parameters
        layers = {
            Layer.HEAD: Session(*weights, features=True, dtype=dtype, sharing=session),
            Layer.POOLED: Session(*weights, pooled=True, dtype=dtype, sharing=session),
        }
        self.embedders = {
            layer: ServedNetwork(model.preprocess, embedder, self.counted, observe)
            for layer, embedder in layers.items()
        }
        session(np.zeros((batch, *self.input_shape), np.float32))
