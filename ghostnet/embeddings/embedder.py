"""Embed images with a model: the answers of a run that writes vectors rather than labels."""

from collections.abc import Iterable, Iterator
from contextlib import closing

import numpy as np
from numpy.typing import NDArray

from ghostnet.embeddings.search import directions
from ghostnet.errors import ImageError, ResultsError
from ghostnet.inference.bursts import Bursts
from ghostnet.inference.provenance import Provenance
from ghostnet.inference.row_writer import Labeler
from ghostnet.inference.rows import Answer
from ghostnet.inference.vectors import Layer, Vectors
from ghostnet.kernels import Session
from ghostnet.model import ImageSource, Model
from ghostnet.model.forward import Forward, open_forward
from ghostnet.model.result import printable


def vectors_of(model: Model, layer: Layer, *, normalized: bool) -> Vectors:
    """Describe the embeddings of a model.

    Args:
        model: The model.
        layer: The layer whose output is the embedding.
        normalized: Whether they are scaled to length 1.
    """
    table = model.architecture
    length = table.head_channels if layer is Layer.HEAD else table.last_channels
    return Vectors(layer, length, normalized)


def open_layer(model: Model, layer: Layer) -> Forward:
    """Return what computes a layer of a model.

    Raises:
        KernelError: The layer is ``pooled``, and the fused kernels cannot run the network.
    """
    if layer is Layer.HEAD:
        return open_forward(model, features=True)
    return Session(model.architecture, model.parameters, pooled=True)


def embed_with(model: Model, vectors: Vectors, *, batch_size: int) -> Labeler:
    """Return what embeds images in this process.

    Args:
        model: The model.
        vectors: The layer to embed, and whether to normalize.
        batch_size: Images that go through the network together.

    Raises:
        KernelError: As `open_layer`.
    """
    forward = open_layer(model, vectors.layer)

    def answers(images: Iterable[ImageSource]) -> Iterator[Answer]:
        with closing(Bursts(images)) as bursts:
            for burst in bursts:
                yield from embedded(model, burst, forward, batch_size=batch_size, vectors=vectors)

    return answers


def embedded(
    model: Model,
    images: Iterable[ImageSource],
    forward: Forward,
    *,
    batch_size: int,
    vectors: Vectors,
) -> Iterator[Answer]:
    """Yield the embedding of each image, or its error.

    Args:
        model: The model.
        images: The images.
        forward: What computes the layer.
        batch_size: Images that go through the network together.
        vectors: The layer, and whether to normalize.
    """
    for image, outcome in model.outcomes(images, batch_size=batch_size, forward=forward):
        name = printable(image.name)
        if isinstance(outcome, ImageError):
            yield {"file": name, "error": str(outcome)}
        else:
            values = outcome.values
            if vectors.normalized:
                (values,) = directions(values[None])
            yield {"file": name, "embedding": values}


def embed_like(model: Model, image: ImageSource, provenance: Provenance) -> NDArray[np.float32]:
    """Embed an image as the rows of a file are.

    Raises:
        ResultsError: The file is another model's.
        ImageError: The image cannot be read.
    """
    vectors = provenance.vectors
    if vectors is None:
        raise ResultsError("the file has predictions; name one that `ghostnet embed` wrote")
    if difference := Provenance.of(model, 0, vectors).difference(provenance):
        raise ResultsError(f"the file of embeddings {difference}; name its model with --model")
    (answer,) = embed_with(model, vectors, batch_size=1)([image])
    if "error" in answer:
        raise ImageError(answer["error"])
    embedding: NDArray[np.float32] = answer["embedding"]
    return embedding
