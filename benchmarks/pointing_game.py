"""The pointing game: does an explanation point at what it is about?

Photographs of two classes are pasted side by side into one, and the model is asked where the
evidence for each of the two classes is. It is right if the place with the most evidence lies in the
half of that class; chance is right half the time.

    python benchmarks/pointing_game.py FOLDER [--model UID] [--pairs 200]
"""

import argparse
import random
from collections.abc import Iterable, Iterator
from pathlib import Path

from PIL import Image, ImageOps

import ghostnet
from ghostnet.data.image_folder import ImageFolder, read_folder
from ghostnet.data.transforms import decode
from ghostnet.model import Model
from ghostnet.models.registry import DEFAULT_MODEL

SIDE = 256
SEED = 0

Photograph = tuple[Path, str]
"""A file and its class."""


def pasted(left: Path, right: Path) -> Image.Image:
    """Return the middles of two photographs, side by side in a square."""
    square = Image.new("RGB", (SIDE, SIDE))
    for start, file in ((0, left), (SIDE // 2, right)):
        square.paste(ImageOps.fit(decode(file), (SIDE // 2, SIDE)), (start, 0))
    return square


def hits(model: Model, pairs: Iterable[tuple[Photograph, Photograph]]) -> list[bool]:
    """Whether the model points into the right half, for both halves of each pair."""
    found = []
    for left, right in pairs:
        explanation = model.explain(pasted(left[0], right[0]), count=model.num_classes)
        labels = [prediction.label for prediction in explanation.predictions]
        for is_right, (_, label) in ((False, left), (True, right)):
            column, _ = explanation.peak(labels.index(label))
            found.append((column >= explanation.seen.width / 2) == is_right)
    return found


def random_pairs(folder: ImageFolder, count: int) -> Iterator[tuple[Photograph, Photograph]]:
    """Yield pairs of photographs of different classes."""
    generator = random.Random(SEED)
    while count:
        left, right = generator.sample(folder.files, 2)
        if left[1] != right[1]:
            yield (left[0], folder.classes[left[1]]), (right[0], folder.classes[right[1]])
            count -= 1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="a sub-folder of images for each class")
    parser.add_argument("--model", default=DEFAULT_MODEL)
    parser.add_argument("--pairs", type=int, default=200)
    options = parser.parse_args()
    model = ghostnet.open_model(options.model)
    found = hits(model, random_pairs(read_folder(options.folder), options.pairs))
    print(f"{sum(found)} of {len(found)} right ({sum(found) / len(found):.1%})")


if __name__ == "__main__":
    main()
