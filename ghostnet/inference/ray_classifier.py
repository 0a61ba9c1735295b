"""A model as a callable class for Ray Data; Ray itself is not imported here."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from ghostnet import kernels, runtime
from ghostnet.errors import DatasetError
from ghostnet.hub import open_model
from ghostnet.inference.results import answer_table
from ghostnet.model import ImageSource, Model


class RayClassifier:
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
        runtime.hush()
        runtime.configure(runtime.Device.CPU)
        self._model = model if isinstance(model, Model) else open_model(model)
        if kernels.available(self._model.architecture):
            kernels.set_threads(1)
        self._batch_size = batch_size
        self._top_k = top_k
        self._folder = folder

    def __call__(self, batch: Mapping[str, NDArray[Any]]) -> Any:
        """Label a batch.

        Args:
            batch: ``path``, the names of the images, each a text or bytes; and ``bytes``, the
                contents of their files. Without ``bytes``, the files are read here.

        Returns:
            A table of Arrow with the columns of `predict --out FILE.parquet`: ``file``,
            ``predictions`` and, for an image that cannot be labeled, ``error``.

        Raises:
            DatasetError: There is no column ``path``.
        """
        results = self._model.predict([*self._images(batch)], batch_size=self._batch_size)
        return answer_table([result.to_dict(self._top_k) for result in results])

    def _images(self, batch: Mapping[str, NDArray[Any]]) -> Iterator[ImageSource]:
        if "path" not in batch:
            raise DatasetError(
                f"batch: the columns are {', '.join(batch)}, and none is named path; read files "
                "with include_paths=True, or rename the column that names the images"
            )
        names = [os.fsdecode(name) for name in batch["path"]]
        contents = batch["bytes"] if "bytes" in batch else [self._folder / name for name in names]
        for name, content in zip(names, contents, strict=True):
            yield ImageSource(name, content)
