"""What Ray's actors share: a model that is opened once, and batches of images in many forms."""

import os
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from ghostnet import kernels, runtime
from ghostnet.data.remote import URL
from ghostnet.errors import DatasetError
from ghostnet.hub import open_model
from ghostnet.inference.results import answer_table
from ghostnet.inference.rows import Answer
from ghostnet.inference.vectors import Vectors
from ghostnet.model import ImageSource, Model

PATH, CONTENT, IMAGE = "path", "bytes", "image"
"""Columns of images: names, contents, and structs of both as in Hugging Face's data sets."""


class RayActor(ABC):
    """Answers batches of images in an actor of Ray, on one thread of a CPU.

    Args:
        model: UID, card or checkpoint file, which each actor opens and verifies; or a `Model` that
            is open already.
        batch_size: Images that go through the network together.
        folder: Where relative paths start.
    """

    vectors: Vectors | None = None
    """The embeddings that it answers with, in place of predictions."""

    def __init__(self, model: Model | str | Path, batch_size: int, folder: Path) -> None:
        runtime.hush()
        runtime.configure(runtime.Device.CPU)
        self.model = model if isinstance(model, Model) else open_model(model)
        if kernels.available(self.model.architecture):
            kernels.set_threads(1)
        self.batch_size = batch_size
        self._folder = folder

    @abstractmethod
    def answers(self, images: list[ImageSource]) -> Iterable[Answer]:
        """Answer images, in their order."""

    def __call__(self, batch: Mapping[str, Any]) -> Any:
        """Answer a batch.

        Args:
            batch: Columns of equal length, as arrays or as a table of Arrow:

                - ``path``, the names of the images, each a text or bytes, and ``bytes``, the
                  contents of their files. Without ``bytes``, the files are read here.
                - Or ``image``, structs that have both under these names, as in Hugging Face's data
                  sets.
                - Any others.

        Returns:
            A table of Arrow with the columns that the command writes to Parquet: ``file``,
            ``predictions`` or ``embedding`` and, for an image without an answer, ``error``; then
            the others of the batch. An image without a name has none there either, and one without
            content and name has an error.

        Raises:
            DatasetError: There is no column of images, or another has the name of an answer's.
        """
        columns = self._columns(batch)
        used = (PATH, CONTENT) if PATH in columns else (IMAGE,)
        images = [*self._images(columns)]
        answers = [dict(answer) for answer in self.answers(images)]
        for image, answer in zip(images, answers, strict=True):
            if image.source is None:
                answer["error"] = "this row has neither the name nor the content of an image"
            answer["file"] = answer["file"] or None
        table = answer_table(answers, self.vectors)
        for name in (name for name in columns if name not in used):
            table = table.append_column(name, _arrow(name, columns[name]))
        return table

    def _columns(self, batch: Mapping[str, Any]) -> dict[str, Any]:
        """Return the columns of a batch by name.

        Raises:
            DatasetError: A column has the name of an answer's.
        """
        names = getattr(batch, "column_names", None) or [*batch]
        answered = answer_table([], self.vectors).column_names
        taken = [name for name in names if name in answered]
        if taken:
            raise DatasetError(
                f"batch: the columns {', '.join(answered)} are those of the answers; rename "
                f"{', '.join(taken)}"
            )
        return {name: batch[name] for name in names}

    def _images(self, columns: Mapping[str, Any]) -> Iterator[ImageSource]:
        for name, content in _named_contents(columns):
            text = "" if name is None else os.fsdecode(name)
            if content is None and text:
                content = text if URL.match(text) else os.path.join(self._folder, text)
            yield ImageSource(text, content)


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
