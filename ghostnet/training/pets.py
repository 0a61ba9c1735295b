"""The Oxford-IIIT Pet data set in its own layout."""

from enum import Enum
from pathlib import Path

from ghostnet.errors import DatasetError
from ghostnet.training.folders import ImageFolder

SPLITS = ("trainval", "test")


class LabelOrder(str, Enum):
    """The two orders that the breeds of the released checkpoints may have."""

    CLASS_ID = "class-id"
    """The data set's own: alphabetical, whatever the case (Abyssinian, american_bulldog, …)."""

    BYTES = "bytes"
    """That of the names' bytes: capitals, which are cats, first (Abyssinian, Bengal, …)."""


class OxfordIIITPet(ImageFolder):
    """The pictures of one split, with the index of their breed.

    Some files named ``.jpg`` are PNG or GIF; `ghostnet.transforms.decode` reads them by content.

    Args:
        root: holds ``annotations/`` and ``images/``.
        split: ``trainval`` or ``test``: the list in ``annotations/`` to read.
        order: of ``classes``, and so of the indices.

    Raises:
        DatasetError: a list or a picture is missing, or a line is not the data set's.
    """

    def __init__(
        self,
        root: str | Path,
        split: str = "trainval",
        order: LabelOrder = LabelOrder.CLASS_ID,
    ) -> None:
        root = Path(root)
        if split not in SPLITS:
            raise DatasetError(f"split {split!r} is not one of {', '.join(SPLITS)}")
        entries = _read_list(root / "annotations" / f"{split}.txt")
        breed_of = {number: _breed(name) for name, number in entries}
        by_id = [breed_of[number] for number in sorted(breed_of)]
        classes = tuple(by_id if order is LabelOrder.CLASS_ID else sorted(by_id))
        place = {breed: index for index, breed in enumerate(classes)}
        files = [(root / "images" / f"{name}.jpg", place[_breed(name)]) for name, _ in entries]
        missing = [file for file, _ in files if not file.is_file()]
        if missing:
            raise DatasetError(
                f"{len(missing)} pictures of {split}.txt are missing, such as {missing[0]}; "
                "unpack images.tar.gz there"
            )
        super().__init__(classes, tuple(files))


def _breed(name: str) -> str:
    """``american_bulldog`` of ``american_bulldog_100``."""
    return name.rpartition("_")[0]


def _read_list(path: Path) -> list[tuple[str, int]]:
    """The pictures' names and class ids; lines are ``american_bulldog_100 2 2 1``."""
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
                f"{path}, line {number}: expected a name and three numbers, found {line[:80]!r}"
            )
        if id_of.setdefault(_breed(name), int(rest[0])) != int(rest[0]):
            raise DatasetError(f"{path}, line {number}: a second class id for {_breed(name)}")
        entries.append((name, int(rest[0])))
    if not entries:
        raise DatasetError(f"{path}: lists no pictures")
    if len(set(id_of.values())) < len(id_of):
        raise DatasetError(f"{path}: two breeds have the same class id")
    return entries
