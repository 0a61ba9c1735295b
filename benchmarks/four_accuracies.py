"""Measure the four networks of the card's table after training them by one recipe.

``python benchmarks/four_accuracies.py ../shared/data/oxford_pets FOLDER ...`` takes the results of
the recipe in `four_networks/train.yaml`, folders named after their networks. It adds them to
four_accuracies.json beside this file in ``results``: how many test images of Oxford-IIIT Pet each
network has right, with the 95 % interval of Wilson, and how many only one of two networks has
right, with the chance that equally good networks differ by so much (McNemar's exact test).
"""

import argparse
import json
from itertools import combinations
from math import comb
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pets_accuracy import summary

from ghostnet.data.oxford_pets import OxfordIIITPet
from ghostnet.hub import open_model
from ghostnet.model.evaluation import tally

NETWORKS = ("mobilenet_v2_1x", "ghostnet_nose_1x", "ghostnet_1x", "ghostnet_600m")
RESULTS = Path(__file__).with_name("results") / "four_accuracies.json"


def test_logits(card: Path, test: OxfordIIITPet) -> NDArray[np.float32]:
    """Return (images, classes): the answers of a run's model to all test images."""
    results = open_model(card).predict([file for file, _ in test.files])
    return np.stack([result.logits for result in results])


def measure(card: Path, test: OxfordIIITPet) -> dict[str, Any]:
    """Return the figures of a run, with a digit for each test image, 1 where it is right."""
    truths = np.array([index for _, index in test.files])
    logits = test_logits(card, test)
    right = "".join(str(int(hit)) for hit in logits.argmax(1) == truths)
    return {**summary(tally(test.classes, truths, logits)), "right": right}


def compare(networks: dict[str, dict[str, Any]], first: str, second: str) -> dict[str, Any]:
    """Return what tells two networks apart: images that only one of them has right."""
    pairs = list(zip(networks[first]["right"], networks[second]["right"], strict=True))
    only_first, only_second = pairs.count(("1", "0")), pairs.count(("0", "1"))
    return {
        "networks": [first, second],
        "only_right": [only_first, only_second],
        "chance": chance_of(only_first, only_second),
    }


def chance_of(only_first: int, only_second: int) -> float:
    """Return the chance that equally good networks differ by so much, on either side."""
    differing = only_first + only_second
    tail = sum(comb(differing, k) for k in range(min(only_first, only_second) + 1))
    return min(1.0, 2 * tail / 2**differing)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("root", type=Path)
    parser.add_argument("runs", type=Path, nargs="+")
    arguments = parser.parse_args()
    test = OxfordIIITPet(arguments.root, "test")
    networks = json.loads(RESULTS.read_text())["networks"] if RESULTS.exists() else {}
    for run in arguments.runs:
        networks[run.name] = measure(run / "card.md", test)
    measured = [name for name in NETWORKS if name in networks]
    pairs = [compare(networks, *pair) for pair in combinations(measured, 2)]
    result = {"networks": {name: networks[name] for name in measured}, "pairs": pairs}
    RESULTS.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(pairs, indent=1))


if __name__ == "__main__":
    main()
