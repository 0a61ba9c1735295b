"""What an exported file says about itself: its labels, and the input that it wants."""

import json
from collections.abc import Mapping
from dataclasses import dataclass

from ghostnet.errors import ExportError
from ghostnet.transforms import MEAN, STD, Preprocess

PRODUCER = "ghostnet"
INPUT = "pictures"
OUTPUT = "logits"


@dataclass(frozen=True)
class Metadata:
    """The properties of an exported network.

    Attributes:
        labels: one a class, or none at all where they are not known.
        image_size: height and width of the pictures, in pixels.
        with_preprocessing: whether the graph itself normalises, and so takes (batch, height,
            width, 3) uint8 rather than (batch, 3, height, width) float32.
    """

    labels: tuple[str, ...]
    image_size: int
    with_preprocessing: bool = False

    @property
    def shape(self) -> tuple[int, int, int]:
        """Shape of one picture as the graph takes it."""
        size = self.image_size
        return (size, size, 3) if self.with_preprocessing else (3, size, size)

    def as_properties(self) -> dict[str, str]:
        """The metadata as an exported file keeps it: JSON text under two names."""
        preprocessing = {
            "colours": "RGB",
            "resize": Preprocess(self.image_size).resize_size,
            "interpolation": "bicubic",
            "crop": self.image_size,
            "divide_by": 255,
            "mean": [round(float(value), 3) for value in MEAN],
            "std": [round(float(value), 3) for value in STD],
            "normalised_in_graph": self.with_preprocessing,
        }
        return {
            "labels": json.dumps(self.labels, ensure_ascii=False),
            "preprocessing": json.dumps(preprocessing),
        }

    @classmethod
    def from_properties(cls, properties: Mapping[str, str], name: str) -> "Metadata":
        """The metadata of the exported file ``name``.

        Raises:
            ExportError: the properties are not those that `as_properties` gives.
        """
        try:
            labels = json.loads(properties["labels"])
            preprocessing = json.loads(properties["preprocessing"])
            return cls(
                tuple(str(label) for label in labels),
                int(preprocessing["crop"]),
                bool(preprocessing["normalised_in_graph"]),
            )
        except (KeyError, ValueError, TypeError) as error:
            raise ExportError(
                f"{name}: expected the metadata that `ghostnet export` writes (labels, "
                "preprocessing), found none that can be read; export the model again"
            ) from error
