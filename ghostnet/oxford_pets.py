"""The test set of Oxford-IIIT Pet, and what the released checkpoints answer on it."""

from collections.abc import Sequence
from pathlib import Path

from ghostnet.errors import DatasetError
from ghostnet.training.evaluation import Evaluation
from ghostnet.training.folders import ImageFolder, read_folder

NAME = "Oxford-IIIT Pet"
TEST_PICTURES = 3669
CLASSES = 37
TEST_LIST = Path("annotations/test.txt")

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
    listing = root / TEST_LIST
    if not listing.is_file():
        return read_folder(root)
    names = [line.split()[0] for line in listing.read_text().splitlines() if line.strip()]
    breeds = sorted({breed_of(name) for name in names}, key=str.lower)
    files = [(root / "images" / f"{name}.jpg", breeds.index(breed_of(name))) for name in names]
    missing = [str(file) for file, _ in files if not file.is_file()]
    if missing:
        raise DatasetError(
            f"{listing} names {len(missing)} pictures that are not there: {missing[0]}"
        )
    return ImageFolder(tuple(breeds), tuple(files))


def breed_of(name: str) -> str:
    """``Maine_Coon`` of ``Maine_Coon_12``."""
    return name.rpartition("_")[0]


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
