"""Training images as MindSpore data sets, read in any order."""

import hashlib
from collections.abc import Iterable, Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import mindspore.dataset as ds
import numpy as np
from numpy.typing import NDArray

from ghostnet.data.archives import image_sha256, open_image, sequential_archive
from ghostnet.errors import DatasetError, ImageError
from ghostnet.files import raising
from ghostnet.threads import thread_pool
from ghostnet.training.targets import UNLABELED

COLUMNS = IMAGE, LABEL, INDEX = ["image", "label", "index"]
"""The bytes of an image file, the index of its class, and the place of the image in the source."""

Order = NDArray[np.int64]

Hashes = NDArray[np.int64]
"""The first 64 bits of a hash of content and class, for each image."""


class FolderSource:
    """Image files with the index of their class, as an `ImageFolder` lists them.

    They are opened by name, also in archives, so that several workers read them in any order.

    Args:
        files: The files.
        hashes: Hashes that stand for the images; by default, those of the files.
        combinations: Labels that the indices stand for, if images may have several.

    Raises:
        DatasetError: Some are in an archive that is only fast to read in its own order.
    """

    def __init__(
        self,
        files: tuple[tuple[Path, int], ...],
        hashes: Hashes | None = None,
        combinations: tuple[tuple[int, ...], ...] | None = None,
    ) -> None:
        self.files = files
        self.combinations = combinations
        packed = next(
            filter(None, map(sequential_archive, {file.parent for file, _ in files})), None
        )
        if packed:
            raise DatasetError(
                f"{packed}: training reads images in any order, and a compressed tar file is fast "
                "to read only in its own; decompress it first with gunzip"
            )
        if hashes is not None:
            self.hashes = hashes

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> tuple[NDArray[Any], ...]:
        file, label = self.files[index]
        # Arrays, since MindSpore 2.10 copies scalars in a way that NumPy 2 refuses.
        with open_image(file) as opened:
            content = np.frombuffer(opened.read(), np.uint8)
        return content, np.array(label, np.int32), np.array(index, np.int64)

    def name(self, index: int) -> str:
        """Return what messages call an image."""
        return str(self.files[index][0])

    @cached_property
    def labels(self) -> NDArray[np.int64]:
        """Return the (images,) indices of the classes, or of their combinations."""
        return np.array([label for _, label in self.files], np.int64)

    @cached_property
    def hashes(self) -> Hashes:
        """Hash the content and the class of each image."""
        with thread_pool() as executor:
            contents = executor.map(_content_hash, (file for file, _ in self.files))
            images = zip(contents, self.labels.tolist(), strict=True)
            return _shortened(f"{content} {self._meaning(index)}" for content, index in images)

    def _meaning(self, index: int) -> str:
        """Return what an index stands for, which does not depend on other images."""
        if self.combinations is None or index == UNLABELED:
            return str(index)
        return ",".join(map(str, self.combinations[index]))

    def images(self, order: Order) -> Iterator[tuple[int, Path]]:
        """Yield the images at the indices of ``order``, each with its index."""
        return ((int(index), self.files[index][0]) for index in order)

    def dataset(self, order: Order) -> Any:
        """Return the images at the indices of ``order``, as `COLUMNS`."""
        return ds.GeneratorDataset(self, COLUMNS, sampler=order.tolist())


class MindRecordSource:
    """A MindRecord file with two columns: ``data``, the bytes of an image file, and ``label``.

    Raises:
        DatasetError: There is no such file, or it has other columns.
    """

    combinations = None

    def __init__(self, path: Path) -> None:
        self.path = path
        if not path.is_file():
            raise DatasetError(f"{path}: there is no such MindRecord file")
        try:
            self.length = int(self._rows().get_dataset_size())
        except (RuntimeError, ValueError) as error:
            raise DatasetError(
                f"{path} is not a MindRecord file with the columns data and label"
            ) from error

    def __len__(self) -> int:
        return self.length

    def name(self, index: int) -> str:
        """Return what messages call an image."""
        return f"{self.path}, row {index}"

    @cached_property
    def labels(self) -> NDArray[np.int64]:
        """Return the (images,) indices of the classes."""
        rows = ds.MindDataset(str(self.path), columns_list=["label"], shuffle=False)
        return np.array([int(label) for (label,) in rows.create_tuple_iterator(output_numpy=True)])

    @cached_property
    def hashes(self) -> Hashes:
        """Return the hash of the file for each image."""
        return _shortened([_content_hash(self.path)]).repeat(self.length)

    def images(self, order: Order) -> Iterator[tuple[int, bytes]]:
        """Yield the images at the indices of ``order``, each with its index.

        Raises:
            DatasetError: A row cannot be read.
        """
        rows = self.dataset(order).create_dict_iterator(num_epochs=1, output_numpy=True)
        try:
            for row in rows:
                yield int(row["index"]), row["image"].tobytes()
        except RuntimeError as error:
            raise DatasetError(f"{self.path} has rows that cannot be read") from error

    def dataset(self, order: Order) -> Any:
        """Return the images at the indices of ``order``, as `COLUMNS`."""
        rows = self._rows(sampler=ds.SubsetSampler(order.tolist()))
        rows = rows.rename(["data", "label"], COLUMNS[:2])
        places = [(np.array(index),) for index in order]  # as in `FolderSource`
        indices = ds.GeneratorDataset(places, COLUMNS[2:], shuffle=False)
        return ds.zip((rows, indices))

    def _rows(self, **options: Any) -> Any:
        return ds.MindDataset(str(self.path), columns_list=["data", "label"], **options)


def _content_hash(file: Path) -> str:
    with raising(DatasetError, f"{file}: cannot be read"):
        return image_sha256(file)


def _shortened(texts: Iterable[str]) -> Hashes:
    """Return the first 64 bits of the hash of each text."""
    starts = (hashlib.sha256(text.encode()).digest()[:8] for text in texts)
    return np.frombuffer(b"".join(starts), np.int64)


Source = FolderSource | MindRecordSource


def describe_broken(source: Source, index: int, image: Path | bytes, error: ImageError) -> str:
    """Name a broken image, as the error of a file does already, and the reason."""
    return str(error) if isinstance(image, Path) else f"{source.name(index)}: {error}"
