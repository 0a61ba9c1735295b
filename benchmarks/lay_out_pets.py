"""Lay out a part of Oxford-IIIT Pet as a folder of links for each breed.

python benchmarks/lay_out_pets.py ../shared/data/oxford_pets trainval ../pictures/pets
"""

import argparse
from pathlib import Path

from links import lay_out

from ghostnet.data.oxford_pets import SPLITS, OxfordIIITPet

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("root", type=Path)
    parser.add_argument("split", choices=SPLITS)
    parser.add_argument("out", type=Path)
    arguments = parser.parse_args()
    lay_out(OxfordIIITPet(arguments.root, arguments.split), arguments.out)
