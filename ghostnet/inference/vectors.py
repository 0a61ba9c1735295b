"""What embeds an image, where a file has embeddings in place of predictions."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any


class Layer(str, Enum):
    """A layer whose output embeds an image."""

    HEAD = "head"
    """The features that the classifier reads."""

    POOLED = "pooled"
    """The means of the last map, from which the head computes the features."""


@dataclass(frozen=True)
class Vectors:
    """The embeddings of a run that writes them.

    Attributes:
        layer: The layer.
        length: Numbers of an embedding.
        normalized: Whether they are scaled to length 1.
    """

    layer: Layer
    length: int
    normalized: bool

    @classmethod
    def read(cls, values: Mapping[str, Any]) -> "Vectors":
        """Read what `dataclasses.asdict` made."""
        return cls(Layer(values["layer"]), int(values["length"]), bool(values["normalized"]))

    def __str__(self) -> str:
        scaled = "normalized " if self.normalized else ""
        return f"{scaled}embeddings of the layer {self.layer.value}"
