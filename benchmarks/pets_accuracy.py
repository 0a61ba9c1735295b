"""Measure a model of pets on the test images of Oxford-IIIT Pet.

``python benchmarks/pets_accuracy.py ../shared/data/oxford_pets UID`` writes results/pets.json: how
many images are right, with the 95 % interval of Wilson, the mean over the breeds, and the accuracy
of the breeds whose photographs have their own shape. Most photographs of the other breeds were
squashed to a square by their publisher, which a network might recognize.
"""

import argparse
import json
from math import sqrt
from pathlib import Path
from statistics import mean

from ghostnet.data.oxford_pets import read_test_set
from ghostnet.hub import open_model
from ghostnet.model import Evaluation

DOGS_IN_SHAPE = {"american_bulldog", "german_shorthaired", "havanese", "pomeranian"}
"""Breeds of dogs whose photographs were not squashed; those of cats were not, and have capitals."""

QUANTILE = 1.96
"""Of the normal distribution, for 95 %."""

RESULTS = Path(__file__).with_name("results") / "pets.json"


def interval(correct: int, images: int) -> tuple[float, float]:
    """Return the 95 % interval of a share (Wilson, 1927)."""
    share, squared = correct / images, QUANTILE**2 / images
    center = share + squared / 2
    reach = QUANTILE * sqrt(share * (1 - share) / images + squared / (4 * images))
    return (center - reach) / (1 + squared), (center + reach) / (1 + squared)


def summary(evaluation: Evaluation) -> dict[str, float]:
    """Return the figures of an evaluation; shares lie between 0 and 1."""
    low, high = interval(evaluation.correct, evaluation.images)
    breeds = evaluation.per_class
    in_shape = [name in DOGS_IN_SHAPE or name[0].isupper() for name in evaluation.labels]
    rows = evaluation.confusion[in_shape]
    correct = int(rows[:, in_shape].trace())
    return {
        "images": evaluation.images,
        "correct": evaluation.correct,
        "top1": evaluation.top1,
        "low": low,
        "high": high,
        "mean_of_breeds": mean(breeds.values()),
        "breeds_in_shape": sum(in_shape),
        "images_in_shape": int(rows.sum()),
        "correct_in_shape": correct,
        "top1_in_shape": correct / int(rows.sum()),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("root", type=Path)
    parser.add_argument("model")
    arguments = parser.parse_args()
    found = open_model(arguments.model).evaluate(read_test_set(arguments.root))
    result = {"model": arguments.model, **summary(found), "per_breed": found.per_class}
    RESULTS.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
