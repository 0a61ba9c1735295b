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
from ghostnet.training.rand_augment import OPERATIONS, RandAugment

ASPECT = (3 / 4, 4 / 3)
"""Least and largest aspect ratio (width over height) of a random crop."""

ERASED, ERASED_ASPECT = (0.02, 1 / 3), (0.3, 3.3)
"""Shares of the image, and aspect ratios, of a box that is erased."""

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
        operations: Operations of RandAugment that follow, each with its strength.
    """

    box: tuple[int, int, int, int]
    mirrored: bool
    factors: tuple[float, ...]
    operations: tuple[tuple[str, float], ...] = ()

    def render(self, image: Image.Image, side: int) -> Image.Image:
        """Return the variation of an RGB image, as a square of ``side`` pixels."""
        image = image.resize((side, side), Image.Resampling.BICUBIC, box=self.box)
        if self.mirrored:
            image = ImageOps.mirror(image)
        for enhancer, factor in zip(ENHANCERS, self.factors, strict=False):
            image = enhancer(image).enhance(factor)
        for name, strength in self.operations:
            image = OPERATIONS[name](image, strength)
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
        rand_augment: Draws further operations, in place of changes of colors.
        erasing: Probability that a box of the image becomes noise.
    """

    image_size: int = 224
    smallest_crop: float = 0.35
    flip: float = 0.5
    color_jitter: float = 0.0
    rand_augment: RandAugment | None = None
    erasing: float = 0.0

    def __call__(self, image: Image.Image, generator: np.random.Generator) -> NDArray[np.float32]:
        """Augment an image."""
        pixels = normalize(self.draw(image.size, generator).render(image, self.image_size))
        if self.erasing and generator.random() < self.erasing:
            erase(pixels, generator)
        return pixels

    def draw(self, size: tuple[int, int], generator: np.random.Generator) -> Variation:
        """Draw a variation of an image of a width and a height, in pixels."""
        box = random_box(size, (self.smallest_crop, 1), generator)
        mirrored = bool(generator.random() < self.flip)
        if self.rand_augment:
            return Variation(box, mirrored, (), self.rand_augment.draw(generator))
        if not self.color_jitter:
            return Variation(box, mirrored, ())
        changes = generator.uniform(-self.color_jitter, self.color_jitter, len(ENHANCERS))
        return Variation(box, mirrored, tuple((1 + changes).tolist()))


def erase(pixels: NDArray[np.float32], generator: np.random.Generator) -> None:
    """Fill a random box of (channels, height, width) with normal noise (Zhong et al., 2020)."""
    channels, height, width = pixels.shape
    left, top, right, bottom = random_box((width, height), ERASED, generator, ERASED_ASPECT)
    noise = generator.normal(size=(channels, bottom - top, right - left))
    pixels[:, top:bottom, left:right] = noise


def random_box(
    size: tuple[int, int],
    shares: tuple[float, float],
    generator: np.random.Generator,
    aspects: tuple[float, float] = ASPECT,
) -> tuple[int, int, int, int]:
    """Draw the left, top, right and bottom of a random box, in pixels.

    Its share of the image's area is uniform in ``shares``, its aspect ratio log-uniform in
    ``aspects``. Where none of `ATTEMPTS` such boxes fits, it is the whole image.

    Args:
        size: Width and height of the image, in pixels.
        shares: Least and largest share of the image's area.
        generator: Source of randomness.
        aspects: Least and largest aspect ratio, width over height.
    """
    width, height = size
    narrowest, widest = map(math.log, aspects)
    for _ in range(ATTEMPTS):
        area = width * height * generator.uniform(*shares)
        aspect = math.exp(generator.uniform(narrowest, widest))
        box_width = round(math.sqrt(area * aspect))
        box_height = round(math.sqrt(area / aspect))
        if 0 < box_width <= width and 0 < box_height <= height:
            left = int(generator.integers(width - box_width + 1))
            top = int(generator.integers(height - box_height + 1))
            return left, top, left + box_width, top + box_height
    return 0, 0, width, height
