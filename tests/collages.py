"""Photographs side by side, which have the labels of both, and the table of their labels."""

import csv
from itertools import combinations, product
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

IMAGES = Path(__file__).parents[1] / "assets" / "images"

PHOTOGRAPHS = {
    "cat": ("cat", "kitten", "longhair_cat"),
    "dog": ("german_shepherd", "pug"),
    "flower": ("dahlia", "dandelion", "sunflower"),
}
SIDE = 160


def draw_collages(root: Path, each: int = 1) -> Path:
    """Draw ``each`` collages of each two photographs of different kinds, and each photograph.

    Each shows other parts of them. There are gray images, which have no label, too.

    Returns:
        A table with a column of ones and zeros for each label.
    """
    generator = np.random.default_rng(each)
    sets = [
        set(zip(kinds, names, strict=True))
        for count in (1, 2)
        for kinds in combinations(PHOTOGRAPHS, count)
        for names in product(*(PHOTOGRAPHS[kind] for kind in kinds))
    ]
    root.mkdir(parents=True)
    rows = []
    for number, shown in enumerate([*sets, set(), set(), set()] * each):
        panels = [_part(IMAGES / f"{name}.jpg", generator) for _, name in sorted(shown)]
        collage = Image.new("RGB", (SIDE * max(1, len(panels)), SIDE), (128, 128, 128))
        for place in generator.permutation(len(panels)):
            collage.paste(panels[place], (SIDE * int(place), 0))
        file = root / f"{number:03}.png"
        collage.resize((SIDE, SIDE)).save(file)
        kinds = {kind for kind, _ in shown}
        rows.append({"image": file.name, **{kind: int(kind in kinds) for kind in PHOTOGRAPHS}})
    table = root.with_suffix(".csv")
    with table.open("w", newline="") as written:
        writer = csv.DictWriter(written, [*rows[0]])
        writer.writeheader()
        writer.writerows(rows)
    return table


def _part(file: Path, generator: np.random.Generator) -> Image.Image:
    """A square part of a photograph, possibly mirrored."""
    with Image.open(file) as opened:
        image = opened.convert("RGB")
    side = int(min(image.size) * generator.uniform(0.75, 1))
    left, top = (int(generator.integers(length - side + 1)) for length in image.size)
    part = image.crop((left, top, left + side, top + side)).resize((SIDE, SIDE))
    return ImageOps.mirror(part) if generator.random() < 0.5 else part
