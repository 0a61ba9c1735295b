"""Embeddings of images: files of them, and exact search in the files."""

from typing import TYPE_CHECKING

from ghostnet.lazy import lazy_names

if TYPE_CHECKING:
    from ghostnet.embeddings.collection import Embeddings, read_embeddings
    from ghostnet.embeddings.ray_embedder import RayEmbedder
    from ghostnet.embeddings.search import Match, duplicates, similar

__all__ = ["Embeddings", "Match", "RayEmbedder", "duplicates", "read_embeddings", "similar"]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "ghostnet.embeddings.collection": ("Embeddings", "read_embeddings"),
        "ghostnet.embeddings.ray_embedder": ("RayEmbedder",),
        "ghostnet.embeddings.search": ("Match", "duplicates", "similar"),
    },
)
