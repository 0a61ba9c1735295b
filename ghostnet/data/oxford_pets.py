"""The Oxford-IIIT Pet data set, and what the released checkpoints answer on it."""

from collections.abc import Sequence
from enum import Enum
from pathlib import Path

from ghostnet.data.image_folder import ImageFolder, read_folder
from ghostnet.errors import DatasetError

NAME = "Oxford-IIIT Pet"
TEST_IMAGES = 3669
CLASSES = 37

RELEASED_CORRECT = {
    "722e13be6cd6186dddcd68d5c0a50776d9a8ad8e79db3870556f68d4d2f179e4": 3025,
    "a37ea724eed747ef2f36961e1fdb0deec892643cb2b1d6826ea738539259c139": 3189,
}
"""Correct answers of each released checkpoint on the test images, by its SHA-256."""

SPLITS = ("trainval", "test")


class LabelOrder(str, Enum):
    """The two plausible orders of the released checkpoints' labels; neither is documented."""

    CLASS_ID = "class-id"
    """The data set's own: alphabetical in any case (Abyssinian, american_bulldog, …)."""

    BYTES = "bytes"
    """By the bytes of the names: capitalized cats first (Abyssinian, Bengal, …)."""


class OxfordIIITPet(ImageFolder):
    """The images of one split, with the index of their breed.

    Some files named ``.jpg`` are PNG or GIF; `ghostnet.transforms.decode` goes by their content.

    Args:
        root: Folder that holds ``annotations/`` and ``images/``.
        split: List in ``annotations/`` to read: ``trainval`` or ``test``.
        order: Order of the classes.

    Raises:
        DatasetError: A list or an image is missing, or a line is malformed.
    """

    def __init__(
        self,
        root: str | Path,
        split: str = "trainval",
        order: LabelOrder = LabelOrder.CLASS_ID,
    ) -> None:
        root = Path(root)
        if split not in SPLITS:
            raise DatasetError(f"split: there is no {split!r}; choose from {', '.join(SPLITS)}")
        entries = _read_list(root / "annotations" / f"{split}.txt")
        breed_of = {number: _breed(name) for name, number in entries}
        by_id = [breed_of[number] for number in sorted(breed_of)]
        classes = tuple(by_id if order is LabelOrder.CLASS_ID else sorted(by_id))
        place = {breed: index for index, breed in enumerate(classes)}
        files = [(root / "images" / f"{name}.jpg", place[_breed(name)]) for name, _ in entries]
        missing = [file for file, _ in files if not file.is_file()]
        if missing:
            raise DatasetError(
                f"{len(missing)} images of {split}.txt are missing, such as {missing[0]}; "
                "unpack images.tar.gz there"
            )
        super().__init__(classes, tuple(files))


def read_test_set(root: Path) -> ImageFolder:
    """List the test images of the data set as distributed, or of a folder for each breed.

    Args:
        root: Folder of ``images/`` and ``annotations/test.txt``, or of a folder for each breed.

    Raises:
        DatasetError: Neither is there, or an image on the list is missing.
    """
    if not (root / "annotations").is_dir():
        return read_folder(root)
    return OxfordIIITPet(root, "test")


def label_orders(labels: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Return the orders that a released checkpoint's outputs may have, by description."""
    return {
        "class ids": tuple(sorted(labels, key=str.lower)),
        "byte order of the folder names": tuple(sorted(labels)),
    }


def _breed(name: str) -> str:
    """Return ``american_bulldog`` for ``american_bulldog_100``."""
    return name.rpartition("_")[0]


def _read_list(path: Path) -> list[tuple[str, int]]:
    """Read names and class ids from lines such as ``american_bulldog_100 2 2 1``."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DatasetError(f"{path}: cannot be read; unpack annotations.tar.gz there") from error
    entries = []
    id_of: dict[str, int] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip() or line.startswith("#"):
            continue
        name, *rest = line.split()
        if not (_breed(name) and len(rest) == 3 and all(map(str.isdecimal, rest))):
            raise DatasetError(
                f"{path}, line {number}: {line[:80]!r} is not a name and three numbers"
            )
        if id_of.setdefault(_breed(name), int(rest[0])) != int(rest[0]):
            raise DatasetError(f"{path}, line {number}: {_breed(name)} has two class ids")
        entries.append((name, int(rest[0])))
    if not entries:
        raise DatasetError(f"{path}: the list of images is empty")
    if len(set(id_of.values())) < len(id_of):
        raise DatasetError(f"{path}: two breeds have the same class id")
    return entries
