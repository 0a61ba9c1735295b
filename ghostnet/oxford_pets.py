"""The test set of Oxford-IIIT Pet, and what the released checkpoints answer on it."""

from collections.abc import Sequence
from pathlib import Path

from ghostnet.training.evaluation import Evaluation
from ghostnet.training.folders import ImageFolder, read_folder
from ghostnet.training.pets import OxfordIIITPet

NAME = "Oxford-IIIT Pet"
TEST_PICTURES = 3669
CLASSES = 37

RELEASED_CORRECT = {
    "722e13be6cd6186dddcd68d5c0a50776d9a8ad8e79db3870556f68d4d2f179e4": 3025,
    "a37ea724eed747ef2f36961e1fdb0deec892643cb2b1d6826ea738539259c139": 3189,
}
"""SHA-256 of a released checkpoint to the test pictures that it gets right."""


def read_test_set(root: Path) -> ImageFolder:
    """The test pictures of the data set as it is distributed, or of a folder for each breed.

    Args:
        root: holds ``images/`` and ``annotations/test.txt``, or a sub-folder for each breed.

    Raises:
        DatasetError: neither is there, or a picture on the list is not.
    """
    if not (root / "annotations").is_dir():
        return read_folder(root)
    return OxfordIIITPet(root, "test")


def label_orders(labels: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """The orders that a released checkpoint's outputs may be in; which one is not documented."""
    return {
        "class ids": tuple(sorted(labels, key=str.lower)),
        "byte order of the folder names": tuple(sorted(labels)),
    }


def correct_in_order(evaluation: Evaluation, order: Sequence[str]) -> int:
    """Right answers if output ``i`` stands for ``order[i]``, whatever order was evaluated with."""
    return sum(
        int(evaluation.confusion[truth, order.index(label)])
        for truth, label in enumerate(evaluation.labels)
    )
