"""A model that labels in Ray Data; Ray itself is not imported here."""

from pathlib import Path

from ghostnet.inference.ray_actor import RayActor
from ghostnet.inference.rows import Answer
from ghostnet.model import ImageSource, Model


class RayClassifier(RayActor):
    """Labels batches of images in an actor of Ray: the class for `Dataset.map_batches`.

    The model is loaded once, when the actor starts. An actor computes on one thread of a CPU, so a
    machine takes an actor for each of its processors, but for those that read and write.

    Args:
        model: UID, card or checkpoint file, which each actor opens and verifies; or a `Model` that
            is open already.
        top_k: Labels of an image.
        batch_size: Images that go through the network together.
        folder: Where relative paths start; by default, the actor's current folder.

    Raises:
        CardError, FetchError, IntegrityError, CheckpointError: As `ghostnet.hub.open_model`.

    Examples:
        >>> photos = ray.data.read_binary_files("s3://bucket/photos", include_paths=True)
        >>> rows = photos.map_batches(
        ...     RayClassifier,
        ...     fn_constructor_args=("ghostnet/cpu/2.10/ghostnet_v1.0_pets",),
        ...     batch_size=256,
        ...     num_cpus=1,
        ...     compute=ray.data.ActorPoolStrategy(min_size=1, max_size=64),
        ... )
        >>> rows.write_parquet("s3://bucket/labels")
    """

    def __init__(
        self,
        model: Model | str | Path,
        top_k: int = 3,
        batch_size: int = 32,
        folder: Path = Path(),
    ) -> None:
        super().__init__(model, batch_size, folder)
        self._top_k = top_k

    def answers(self, images: list[ImageSource]) -> list[Answer]:
        """Label images, in their order."""
        results = self.model.predict(images, batch_size=self.batch_size)
        return [result.to_dict(self._top_k) for result in results]
