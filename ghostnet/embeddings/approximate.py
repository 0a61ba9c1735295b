"""Approximate search in embeddings, where comparing all pairs would take too long."""

from collections.abc import Iterator

import numpy as np

from ghostnet.embeddings.collection import Embeddings
from ghostnet.embeddings.search import BLOCK, blocks, directions
from ghostnet.packages import needs

DIMENSIONS = 64
"""Principal components that the index holds of each vector."""

SAMPLE = 16_384
"""Vectors from which the components and the cells are learnt, at most."""

PER_CELL = 40
"""Vectors of the sample for each cell of neighbors."""

VISITED = 16
"""Cells in which the neighbors of a vector are looked for."""

ROUNDING = 1e-3
"""How much a squared distance may be rounded."""


def likely_pairs(embeddings: Embeddings, at_least: float) -> Iterator[tuple[int, int]]:
    """Yield the rows of most pairs of vectors with nearly the same direction, perhaps twice.

    Principal components bring vectors closer to each other, never apart. What is close there is
    compared exactly; a pair is missed only if it lies in cells that are far from each other.

    Args:
        embeddings: Where to search.
        at_least: Least cosine of a pair.

    Raises:
        PackageError: FAISS is not installed.
    """
    with needs("faiss-cpu", extra="faiss"):
        import faiss
    sample = directions(embeddings.vectors[:: 1 + len(embeddings.names) // SAMPLE])
    sample = sample[np.isfinite(sample[:, 0])]
    if not len(sample):
        return
    dimensions, cells = min(DIMENSIONS, *sample.shape), max(1, len(sample) // PER_CELL)
    index = faiss.index_factory(sample.shape[1], f"PCA{dimensions},IVF{cells},Flat")
    index.train(sample)
    faiss.extract_index_ivf(index).nprobe = VISITED
    for start, block in blocks(embeddings):
        places = np.flatnonzero(np.isfinite(block[:, 0]))
        index.add_with_ids(block[places], start + places)
    for start, block in blocks(embeddings):
        places = np.flatnonzero(np.isfinite(block[:, 0]))
        ends, _, found = index.range_search(block[places], 2 * (1 - at_least) + ROUNDING)
        near = np.repeat(places, np.diff(ends.astype(np.int64)))
        for part in range(0, len(found), BLOCK):
            ours, others = near[part : part + BLOCK], found[part : part + BLOCK]
            cosines = np.einsum("ij,ij->i", block[ours], directions(embeddings.vectors[others]))
            for place in np.flatnonzero((cosines >= at_least) & (start + ours != others)):
                yield start + int(ours[place]), int(others[place])
