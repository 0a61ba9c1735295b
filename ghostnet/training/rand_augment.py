"""RandAugment: a few operations of a fixed list, at one magnitude (Cubuk et al., 2020).

The operations, their ranges and the words that set them are those of timm's ``rand-…`` policies.
All changes grow with the magnitude, as with the word ``inc1``.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from PIL import Image, ImageEnhance, ImageOps

LARGEST = 10.0
"""Magnitude of the largest change."""

PROBABILITY = 0.5
"""Probability that a drawn operation is applied."""

FILL = (124, 116, 104)
"""Color of what comes in from outside the image: ImageNet's mean."""

Operation = Callable[[Image.Image, float], Image.Image]
"""Changes an image by a strength between -1 and 1."""


def _rotate(image: Image.Image, strength: float) -> Image.Image:
    return image.rotate(30 * strength, Image.Resampling.BILINEAR, fillcolor=FILL)


def _move(
    matrix: Callable[[float, int, int], tuple[float, ...]], image: Image.Image, strength: float
) -> Image.Image:
    """Apply the affine map of a strength, a width and a height."""
    return image.transform(
        image.size,
        Image.Transform.AFFINE,
        matrix(strength, *image.size),
        Image.Resampling.BILINEAR,
        fillcolor=FILL,
    )


def _enhance(enhancer: Callable[[Image.Image], Any], image: Image.Image, strength: float) -> Any:
    return enhancer(image).enhance(max(0.1, 1 + 0.9 * strength))


def _posterize(image: Image.Image, strength: float) -> Image.Image:
    return ImageOps.posterize(image, max(1, 4 - int(4 * abs(strength))))


def _solarize(image: Image.Image, strength: float) -> Image.Image:
    return ImageOps.solarize(image, 256 - int(256 * abs(strength)))


def _solarize_add(image: Image.Image, strength: float) -> Image.Image:
    added = min(128, int(110 * abs(strength)))
    return image.point(
        [min(255, value + added) if value < 128 else value for value in range(256)] * 3
    )


OPERATIONS: dict[str, Operation] = {
    "auto contrast": lambda image, strength: ImageOps.autocontrast(image),
    "equalize": lambda image, strength: ImageOps.equalize(image),
    "invert": lambda image, strength: ImageOps.invert(image),
    "rotate": _rotate,
    "posterize": _posterize,
    "solarize": _solarize,
    "solarize add": _solarize_add,
    "color": partial(_enhance, ImageEnhance.Color),
    "contrast": partial(_enhance, ImageEnhance.Contrast),
    "brightness": partial(_enhance, ImageEnhance.Brightness),
    "sharpness": partial(_enhance, ImageEnhance.Sharpness),
    "shear x": partial(_move, lambda s, width, height: (1, 0.3 * s, 0, 0, 1, 0)),
    "shear y": partial(_move, lambda s, width, height: (1, 0, 0, 0.3 * s, 1, 0)),
    "translate x": partial(_move, lambda s, width, height: (1, 0, 0.45 * s * width, 0, 1, 0)),
    "translate y": partial(_move, lambda s, width, height: (1, 0, 0, 0, 1, 0.45 * s * height)),
}
"""The operations by name; those that have no direction use the size of the strength."""


@dataclass(frozen=True)
class RandAugment:
    """Draws operations.

    Attributes:
        magnitude: Strength of the operations, between 0 and 10.
        layers: Number of operations for an image.
        deviation: Standard deviation of the magnitude.
    """

    magnitude: float = 9.0
    layers: int = 2
    deviation: float = 0.0

    @classmethod
    def parse(cls, text: str) -> "RandAugment":
        """Read the words of timm's policies, such as ``rand-m9-n2-mstd0.5-inc1``.

        Raises:
            ValueError: The text is another policy, or has a word that is not supported.
        """
        kind, *words = text.split("-")
        found = [re.fullmatch(r"(mstd|m|n|inc)([0-9.]+)", word) for word in words]
        if kind != "rand" or None in found:
            raise ValueError(
                f"aa: {text!r} is not a policy of RandAugment; write rand-m9-mstd0.5, for example: "
                "m is the magnitude, mstd its deviation, and n the number of operations"
            )
        values = {match[1]: float(match[2]) for match in found if match}
        own = cls()
        return cls(
            values.get("m", own.magnitude),
            int(values.get("n", own.layers)),
            values.get("mstd", own.deviation),
        )

    def draw(self, generator: np.random.Generator) -> tuple[tuple[str, float], ...]:
        """Draw operations, each with its strength."""
        names = generator.choice([*OPERATIONS], self.layers)
        magnitudes = np.clip(
            generator.normal(self.magnitude, self.deviation, self.layers), 0, LARGEST
        )
        strengths = magnitudes / LARGEST * generator.choice([-1, 1], self.layers)
        applied = generator.random(self.layers) < PROBABILITY
        drawn = zip(names.tolist(), strengths.tolist(), applied, strict=True)
        return tuple((name, strength) for name, strength, is_applied in drawn if is_applied)
