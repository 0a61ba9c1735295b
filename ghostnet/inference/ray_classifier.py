"""A model as a callable class for Ray Data; Ray itself is not imported here."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ghostnet import kernels, runtime
from ghostnet.data.remote import URL
from ghostnet.errors import DatasetError
from ghostnet.hub import open_model
from ghostnet.inference.results import ANSWER_COLUMNS, answer_table
from ghostnet.model import ImageSource, Model

PATH, CONTENT, IMAGE = "path", "bytes", "image"
"""Columns of images: names, contents, and structs of both as in Hugging Face's data sets."""


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

    def __call__(self, batch: Mapping[str, Any]) -> Any:
        """Label a batch.

        Args:
            batch: Columns of equal length, as arrays or as a table of Arrow:

                - ``path``, the names of the images, each a text or bytes, and ``bytes``, the
                  contents of their files. Without ``bytes``, the files are read here.
                - Or ``image``, structs that have both under these names, as in Hugging Face's data
                  sets.
                - Any others.

        Returns:
            A table of Arrow with the columns of `predict --out FILE.parquet`, ``file``,
            ``predictions`` and, for an image that cannot be labeled, ``error``; then the others of
            the batch. An image without a name has none there either, and one without content and
            name has an error.

        Raises:
            DatasetError: There is no column of images, or another has the name of an answer's.
        """
        columns = _columns(batch)
        used = (PATH, CONTENT) if PATH in columns else (IMAGE,)
        images = [*self._images(columns)]
        results = self._model.predict(images, batch_size=self._batch_size)
        answers = [result.to_dict(self._top_k) for result in results]
        for image, answer in zip(images, answers, strict=True):
            if image.source is None:
                answer["error"] = "this row has neither the name nor the content of an image"
            answer["file"] = answer["file"] or None
        table = answer_table(answers)
        for name in (name for name in columns if name not in used):
            table = table.append_column(name, _arrow(name, columns[name]))
        return table

    def _images(self, columns: Mapping[str, Any]) -> Iterator[ImageSource]:
        for name, content in _named_contents(columns):
            text = "" if name is None else os.fsdecode(name)
            if content is None and text:
                content = text if URL.match(text) else os.path.join(self._folder, text)
            yield ImageSource(text, content)


def _columns(batch: Mapping[str, Any]) -> dict[str, Any]:
    """Return the columns of a batch by name.

    Raises:
        DatasetError: A column has the name of an answer's.
    """
    names = getattr(batch, "column_names", None) or [*batch]
    taken = [name for name in names if name in ANSWER_COLUMNS]
    if taken:
        raise DatasetError(
            f"batch: the columns {', '.join(ANSWER_COLUMNS)} are those of the answers; rename "
            f"{', '.join(taken)}"
        )
    return {name: batch[name] for name in names}


def _named_contents(columns: Mapping[str, Any]) -> Iterator[tuple[str | bytes | None, Any]]:
    """Yield the name and the content of each image; None for what is missing.

    Raises:
        DatasetError: There is no column of images.
    """
    if PATH in columns:
        names = _values(columns[PATH])
        yield from zip(names, _values(columns.get(CONTENT, [None] * len(names))), strict=True)
        return
    images = _values(columns.get(IMAGE, [()]))
    if not all(image is None or isinstance(image, Mapping) for image in images):
        raise DatasetError(
            f"batch: the columns are {', '.join(columns)}, and none is named path; read files with "
            "include_paths=True, or rename the column that names the images. A column named image "
            "may hold structs of path and bytes"
        )
    for image in images:
        yield (None, None) if image is None else (image.get(PATH), image.get(CONTENT))


def _values(column: Any) -> list[Any]:
    """Return a column of Arrow, NumPy or pandas as Python's types; NaN stands for None there."""
    values = column.to_pylist() if hasattr(column, "to_pylist") else list(column)
    return [None if isinstance(value, float) else value for value in values]


def _arrow(name: str, column: Any) -> Any:
    """Return a column of Arrow, NumPy or pandas as Arrow's; arrays of more dimensions become lists.

    Raises:
        DatasetError: Arrow has no type for its values.
    """
    import pyarrow

    if hasattr(column, "to_pylist"):
        return column
    try:
        return pyarrow.array(column if column.ndim == 1 else column.tolist())
    except pyarrow.ArrowException as error:
        raise DatasetError(
            f"batch: the column {name} cannot be kept in a table of Arrow ({error}); leave it out "
            "with drop_columns"
        ) from error
