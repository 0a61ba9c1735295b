"""Augmentation: random crops, mirror images and colors, as a pure function of image and generator.

Nothing is drawn from a global state: a run that seeds the generator by epoch and index can stop
anywhere and resume with the very same images.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageEnhance, ImageOps

from ghostnet.data.transforms import normalize

ASPECT = (3 / 4, 4 / 3)
"""Least and largest aspect ratio (width over height) of a random crop."""

ATTEMPTS = 10
"""Crops that are drawn before the whole image is taken."""

ENHANCERS = (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color)


@dataclass(frozen=True)
class Variation:
    """One way to see an image.

    Attributes:
        box: Left, top, right and bottom of the crop, in pixels.
        mirrored: Whether left and right change places.
        factors: Factors of brightness, contrast and saturation; none leave the colors alone.
    """

    box: tuple[int, int, int, int]
    mirrored: bool
    factors: tuple[float, ...]

    def render(self, image: Image.Image, side: int) -> Image.Image:
        """Return the variation of an RGB image, as a square of ``side`` pixels."""
        image = image.resize((side, side), Image.Resampling.BICUBIC, box=self.box)
        if self.mirrored:
            image = ImageOps.mirror(image)
        for enhancer, factor in zip(ENHANCERS, self.factors, strict=False):
            image = enhancer(image).enhance(factor)
        return image


@dataclass(frozen=True)
class Augment:
    """Map an RGB image and a generator to (3, image_size, image_size) float32, normalized.

    Attributes:
        image_size: Side of the result, in pixels.
        smallest_crop: Least share of the image's area that a crop keeps, in (0, 1].
        flip: Probability of the mirror image.
        color_jitter: Largest change of brightness, contrast and saturation; 0.4 draws factors
            between 0.6 and 1.4.
    """

    image_size: int = 224
    smallest_crop: float = 0.35
    flip: float = 0.5
    color_jitter: float = 0.0

    def __call__(self, image: Image.Image, generator: np.random.Generator) -> NDArray[np.float32]:
        """Augment an image."""
        return normalize(self.draw(image.size, generator).render(image, self.image_size))

    def draw(self, size: tuple[int, int], generator: np.random.Generator) -> Variation:
        """Draw a variation of an image of a width and a height, in pixels."""
        box = random_box(size, self.smallest_crop, generator)
        mirrored = bool(generator.random() < self.flip)
        if not self.color_jitter:
            return Variation(box, mirrored, ())
        changes = generator.uniform(-self.color_jitter, self.color_jitter, len(ENHANCERS))
        return Variation(box, mirrored, tuple((1 + changes).tolist()))


def random_box(
    size: tuple[int, int], smallest: float, generator: np.random.Generator
) -> tuple[int, int, int, int]:
    """Draw the left, top, right and bottom of a random crop, in pixels.

    Its area is ``smallest`` to 1 of the image's, its aspect ratio log-uniform in `ASPECT`. Where
    none of `ATTEMPTS` such boxes fits, it is the whole image.

    Args:
        size: Width and height of the image, in pixels.
        smallest: Least share of the image's area.
        generator: Source of randomness.
    """
    width, height = size
    narrowest, widest = map(math.log, ASPECT)
    for _ in range(ATTEMPTS):
        area = width * height * generator.uniform(smallest, 1)
        aspect = math.exp(generator.uniform(narrowest, widest))
        box_width = round(math.sqrt(area * aspect))
        box_height = round(math.sqrt(area / aspect))
        if 0 < box_width <= width and 0 < box_height <= height:
            left = int(generator.integers(width - box_width + 1))
            top = int(generator.integers(height - box_height + 1))
            return left, top, left + box_width, top + box_height
    return 0, 0, width, height
