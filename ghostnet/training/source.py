"""Pictures to learn from, as MindSpore data sets that can be read in any order."""

from pathlib import Path
from typing import Any

import mindspore.dataset as ds
import numpy as np
from numpy.typing import NDArray

from ghostnet.errors import DatasetError
from ghostnet.training.folders import ImageFolder

COLUMNS = ["image", "label", "index"]
"""The bytes of a picture's file, the index of its class, and its own in the source."""

Order = NDArray[np.int64]


class FolderSource:
    """The files of an `ImageFolder`."""

    def __init__(self, folder: ImageFolder) -> None:
        self.files = folder.files

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> tuple[NDArray[np.uint8], np.int32, np.int64]:
        file, label = self.files[index]
        return np.fromfile(file, np.uint8), np.int32(label), np.int64(index)

    def name(self, index: int) -> str:
        """What to call a picture in a message."""
        return str(self.files[index][0])

    def dataset(self, order: Order) -> Any:
        """The pictures at the indices of ``order``, as `COLUMNS`."""
        return ds.GeneratorDataset(self, COLUMNS, sampler=order.tolist())


class MindRecordSource:
    """A MindRecord file whose rows have a picture's bytes, ``data``, and its ``label``.

    Raises:
        DatasetError: no such file, or none with these columns.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        if not path.is_file():
            raise DatasetError(f"{path}: no such MindRecord file")
        try:
            self.length = int(self._rows().get_dataset_size())
        except (RuntimeError, ValueError) as error:
            raise DatasetError(
                f"{path}: expected a MindRecord file with columns data and label"
            ) from error

    def __len__(self) -> int:
        return self.length

    def name(self, index: int) -> str:
        """What to call a picture in a message."""
        return f"{self.path}, row {index}"

    def dataset(self, order: Order) -> Any:
        """The pictures at the indices of ``order``, as `COLUMNS`."""
        rows = self._rows(sampler=ds.SubsetSampler(order.tolist()))
        rows = rows.rename(["data", "label"], COLUMNS[:2])
        indices = ds.NumpySlicesDataset(order, COLUMNS[2:], shuffle=False)
        return ds.zip((rows, indices))

    def _rows(self, **options: Any) -> Any:
        return ds.MindDataset(str(self.path), columns_list=["data", "label"], **options)


Source = FolderSource | MindRecordSource
