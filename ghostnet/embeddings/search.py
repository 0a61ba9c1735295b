"""Exact search in embeddings by the cosine of their angle, block by block."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from ghostnet.embeddings.collection import Embeddings

BLOCK = 4096
"""Rows whose products are computed together; two blocks of cosines take 64 MiB each."""


@dataclass(frozen=True)
class Match:
    """An image that is similar to another.

    Attributes:
        name: Its name.
        similarity: Cosine of the angle between the embeddings; 1 for the same direction.
    """

    name: str
    similarity: float


Pairs: TypeAlias = Callable[[Embeddings, float], Iterable[tuple[int, int]]]
"""Finds the rows of pairs of vectors whose cosine is at least a number."""


def similar(query: NDArray[np.float32], embeddings: Embeddings, count: int) -> list[Match]:
    """Find the images that are most similar to one.

    Args:
        query: Its embedding, (length,).
        embeddings: Where to search.
        count: Images to find.

    Returns:
        The most similar first.
    """
    direction = directions(query[None])[0]
    cosines = np.full(len(embeddings.names), np.nan, np.float32)
    for start, block in blocks(embeddings):
        cosines[start : start + BLOCK] = block @ direction
    order = np.argsort(-cosines, kind="stable")[:count]
    found = [Match(embeddings.names[row], float(cosines[row])) for row in order]
    return [match for match in found if np.isfinite(match.similarity)]


def exact_pairs(embeddings: Embeddings, at_least: float) -> Iterator[tuple[int, int]]:
    """Compare all pairs of vectors, and yield the rows of those with nearly the same direction.

    Args:
        embeddings: Where to search.
        at_least: Least cosine of a pair.
    """
    for start, block in blocks(embeddings):
        for later, other in blocks(embeddings, start):
            rows, columns = np.nonzero(block @ other.T >= at_least)
            for first, second in zip(rows + start, columns + later, strict=True):
                if first < second:
                    yield int(first), int(second)


def duplicates(
    embeddings: Embeddings, at_least: float, pairs: Pairs = exact_pairs
) -> list[list[str]]:
    """Group the images whose embeddings have nearly the same direction.

    Args:
        embeddings: Where to search.
        at_least: Least cosine of two images of which one leads to the other's group.
        pairs: Finds the rows of two images that are so similar.

    Returns:
        Groups of two names or more, in the order of the file.
    """
    leader = np.arange(len(embeddings.names))
    for first, second in pairs(embeddings, at_least):
        low, high = sorted((_leader(leader, first), _leader(leader, second)))
        leader[high] = low
    groups: dict[int, list[str]] = {}
    for row, name in enumerate(embeddings.names):
        groups.setdefault(_leader(leader, row), []).append(name)
    return [names for names in groups.values() if len(names) > 1]


def _leader(leaders: NDArray[np.int64], row: int) -> int:
    while leaders[row] != row:
        leaders[row] = leaders[leaders[row]]
        row = int(leaders[row])
    return row


def blocks(embeddings: Embeddings, start: int = 0) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """Yield the directions of vectors, `BLOCK` of them at a time, with the row of the first.

    Images that are gone or could not be read have NaN.

    Args:
        embeddings: Their vectors.
        start: First row.
    """
    for row in range(start, len(embeddings.names), BLOCK):
        block = directions(embeddings.vectors[row : row + BLOCK])
        if embeddings.gone is not None:
            block[embeddings.gone[row : row + BLOCK]] = np.nan
        yield row, block


def directions(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Scale vectors to length 1; one of zeros becomes NaN, which is similar to nothing."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    scaled = np.full_like(vectors, np.nan)
    np.divide(vectors, lengths, out=scaled, where=lengths > 0)
    return scaled
