"""The metadata of an exported file: its labels and its preprocessing."""

import json
from dataclasses import dataclass

from ghostnet.data.transforms import MEAN, STD, Preprocess

PRODUCER = "ghostnet"
INPUT = "pictures"
OUTPUT = "logits"

NORMALIZED = "normalized_in_graph"
"""Name in the metadata of whether the graph normalizes."""

THRESHOLDS = "thresholds"
"""Name in the metadata of the thresholds."""


@dataclass(frozen=True)
class Metadata:
    """The properties of an exported network.

    Attributes:
        labels: Names of the classes; empty where they are not known.
        image_size: Height and width of the images, in pixels.
        with_preprocessing: Whether the graph normalizes, and so takes (batch, height, width, 3)
            uint8 rather than (batch, 3, height, width) float32.
        any_size: Whether the graph takes images of any height and width.
        thresholds: Probability from which each label is given, if an image may have several: the
            sigmoid of its logit.
    """

    labels: tuple[str, ...]
    image_size: int
    with_preprocessing: bool = False
    any_size: bool = False
    thresholds: tuple[float, ...] | None = None

    @property
    def shape(self) -> tuple[int | str, ...]:
        """Shape of one image as the graph takes it; a side that may be any is a name."""
        sides = ("height", "width") if self.any_size else (self.image_size,) * 2
        return (*sides, 3) if self.with_preprocessing else (3, *sides)

    def as_properties(self) -> dict[str, str]:
        """Return the metadata as an exported file keeps it: JSON text under two or three names."""
        preprocessing = {
            "colors": "RGB",
            "resize": Preprocess(self.image_size).resize_size,
            "interpolation": "bicubic",
            "crop": self.image_size,
            "divide_by": 255,
            "mean": [round(float(value), 3) for value in MEAN],
            "std": [round(float(value), 3) for value in STD],
            NORMALIZED: self.with_preprocessing,
        }
        properties = {
            "labels": json.dumps(self.labels, ensure_ascii=False),
            "preprocessing": json.dumps(preprocessing),
        }
        if self.thresholds is not None:
            properties[THRESHOLDS] = json.dumps(self.thresholds)
        return properties
