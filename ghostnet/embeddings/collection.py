"""Embeddings that a run has written, to be searched."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ghostnet.embeddings.array_file import names_of
from ghostnet.errors import ResultsError
from ghostnet.files import raising, read_whole
from ghostnet.inference.line_files import MAX_PROVENANCE_BYTES, record_of
from ghostnet.inference.provenance import Provenance
from ghostnet.inference.results import recorded_in
from ghostnet.inference.rows import GONE
from ghostnet.packages import needs

ADVICE = "name a file that `ghostnet embed` wrote"


@dataclass(frozen=True)
class Embeddings:
    """Vectors of images.

    Attributes:
        names: Names of the images.
        vectors: (images, length) float32; a row of NaN where the image could not be read.
        provenance: What made them, where it is known, as it is of a file.
        gone: (images,) bool: which images are no longer there, and so are not found.
    """

    names: list[str]
    vectors: NDArray[np.float32]
    provenance: Provenance | None = None
    gone: NDArray[np.bool_] | None = None


def read_embeddings(path: Path) -> Embeddings:
    """Read what ``ghostnet embed --out PATH`` wrote; a ``.npy`` file is mapped, not read.

    Raises:
        ResultsError: There is no such file, it is something else, or its run has not ended.
    """
    if path.suffix.lower() == ".parquet":
        return _read_tables(path)
    names = names_of(path)
    with raising(ResultsError, f"{path}: cannot be read", ADVICE):
        try:
            vectors = np.load(path, mmap_mode="r")
            with names.open("rb") as lines:
                rows = [json.loads(line) for line in lines if line.endswith(b"\n")]
            files = [row["file"] for row in rows]
            gone = np.array([row.get("error") == GONE for row in rows], bool)
        except (ValueError, KeyError, TypeError) as error:
            raise ResultsError(f"{path} has no embeddings ({error}); {ADVICE}") from error
        record = read_whole(record_of(names), MAX_PROVENANCE_BYTES)
    if len(vectors) != len(files):
        raise ResultsError(
            f"{path} has {len(vectors):,} rows and {names} has {len(files):,}, because the run has "
            "not ended; continue it with --resume"
        )
    return Embeddings(files, vectors, Provenance.from_json(record), gone)


def _read_tables(path: Path) -> Embeddings:
    """Read a Parquet data set; the vectors of failed images are NaN."""
    with needs("pyarrow", extra="parquet"):
        import pyarrow
        import pyarrow.parquet
    names: list[str] = []
    vectors, gone = [], []
    provenance = None
    try:
        for part in sorted(path.glob("part-*.parquet")):
            file = pyarrow.parquet.ParquetFile(part)
            provenance = recorded_in(file)
            table = file.read(columns=["file", "embedding", "error"])
            names += table["file"].to_pylist()
            vectors += [_matrix(table["embedding"])]
            gone += [error == GONE for error in table["error"].to_pylist()]
    except (OSError, KeyError, pyarrow.ArrowException) as error:
        raise ResultsError(f"{path} has no embeddings ({error}); {ADVICE}") from error
    if provenance is None or provenance.vectors is None:
        raise ResultsError(f"{path} has no embeddings; {ADVICE}")
    return Embeddings(names, np.concatenate(vectors), provenance, np.array(gone, bool))


def _matrix(column: Any) -> NDArray[np.float32]:
    """Return a column of lists as an array."""
    lists = column.combine_chunks()
    matrix = np.full((len(lists), lists.type.list_size), np.nan, np.float32)
    matrix[lists.is_valid().to_numpy(zero_copy_only=False)] = (
        lists.flatten().to_numpy().reshape(-1, lists.type.list_size)
    )
    return matrix
