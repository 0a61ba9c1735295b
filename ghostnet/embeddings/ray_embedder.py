"""A model that embeds in Ray Data; Ray itself is not imported here."""

from collections.abc import Iterator
from pathlib import Path

from ghostnet.embeddings.embedder import embedded, open_layer, vectors_of
from ghostnet.inference.ray_actor import RayActor
from ghostnet.inference.rows import Answer
from ghostnet.inference.vectors import Layer
from ghostnet.model import ImageSource, Model


class RayEmbedder(RayActor):
    """Embeds batches of images in an actor of Ray: the class for `Dataset.map_batches`.

    It is used as `ghostnet.inference.RayClassifier` is, and answers with the column ``embedding``.

    Args:
        model: UID, card or checkpoint file, which each actor opens and verifies; or a `Model` that
            is open already.
        layer: The layer whose output is the embedding: ``head`` or ``pooled``.
        normalize: Scale each embedding to length 1.
        batch_size: Images that go through the network together.
        folder: Where relative paths start; by default, the actor's current folder.

    Raises:
        CardError, FetchError, IntegrityError, CheckpointError: As `ghostnet.hub.open_model`.
        KernelError: The layer is ``pooled``, and the fused kernels cannot run the network.
    """

    def __init__(
        self,
        model: Model | str | Path,
        layer: Layer | str = Layer.HEAD,
        normalize: bool = False,
        batch_size: int = 32,
        folder: Path = Path(),
    ) -> None:
        super().__init__(model, batch_size, folder)
        self.vectors = vectors_of(self.model, Layer(layer), normalized=normalize)
        self._forward = open_layer(self.model, self.vectors.layer)

    def answers(self, images: list[ImageSource]) -> Iterator[Answer]:
        """Embed images, in their order."""
        assert self.vectors is not None
        return embedded(
            self.model, images, self._forward, batch_size=self.batch_size, vectors=self.vectors
        )
