"""Small images that a network can tell apart, sorted into folders."""

from pathlib import Path

import numpy as np
from PIL import Image

COLORS = {"blue one": (20, 30, 200), "Green": (30, 190, 40), "rot": (210, 40, 30)}
GRAY = (128, 128, 128)


def draw(root: Path, count: int = 6, classes: tuple[str, ...] = tuple(COLORS)) -> Path:
    """``count`` PNGs of about 40×40 pixels for each class: its color with noise on it."""
    generator = np.random.default_rng(count)
    for name in classes:
        (root / name).mkdir(parents=True)
        for index in range(count):
            noise = generator.integers(-20, 20, (40 + index, 44, 3))
            pixels = (np.array(COLORS.get(name, GRAY)) + noise).clip(0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(root / name / f"{index}.png")
    return root
