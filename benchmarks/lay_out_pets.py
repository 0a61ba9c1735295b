"""Lay out a part of Oxford-IIIT Pet as a folder of links for each breed.

python benchmarks/lay_out_pets.py ../shared/data/oxford_pets trainval ../pictures/pets
"""

import argparse
from pathlib import Path

from ghostnet.data.oxford_pets import SPLITS, OxfordIIITPet


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("root", type=Path)
    parser.add_argument("split", choices=SPLITS)
    parser.add_argument("out", type=Path)
    arguments = parser.parse_args()
    images = OxfordIIITPet(arguments.root, arguments.split)
    for file, label in images.files:
        folder = arguments.out / images.classes[label]
        folder.mkdir(parents=True, exist_ok=True)
        (folder / file.name).symlink_to(file.resolve())


if __name__ == "__main__":
    main()
