"""Data sets in their own layouts."""

from pathlib import Path

import pytest
from PIL import Image

from ghostnet.data.oxford_pets import LabelOrder, OxfordIIITPet
from ghostnet.data.split import hold_out
from ghostnet.data.transforms import decode
from ghostnet.errors import DatasetError

LIST = """\
#Image CLASS-ID SPECIES BREED ID
#ID: 1:37 Class ids
Abyssinian_100 1 1 1
american_bulldog_100 2 2 1
american_bulldog_101 2 2 1
Bengal_5 6 1 2
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A small data set with the flaws of the real one: files that are not really JPEG."""
    (tmp_path / "annotations").mkdir()
    (tmp_path / "images").mkdir()
    (tmp_path / "annotations" / "trainval.txt").write_text(LIST)
    (tmp_path / "annotations" / "test.txt").write_text("Bengal_5 6 1 2\n")
    image = Image.new("RGB", (20, 30), (90, 60, 30))
    for name, kind in {
        "Abyssinian_100": "JPEG",
        "american_bulldog_100": "PNG",
        "american_bulldog_101": "GIF",
        "Bengal_5": "JPEG",
    }.items():
        image.save(tmp_path / "images" / f"{name}.jpg", kind)
    (tmp_path / "images" / "Abyssinian_100.mat").write_bytes(b"not listed")
    return tmp_path


@pytest.mark.parametrize(
    ("order", "classes", "indices"),
    [
        (LabelOrder.CLASS_ID, ("Abyssinian", "american_bulldog", "Bengal"), [0, 1, 1, 2]),
        (LabelOrder.BYTES, ("Abyssinian", "Bengal", "american_bulldog"), [0, 2, 2, 1]),
    ],
)
def test_pets_have_labels_in_either_order(
    order: LabelOrder, classes: tuple[str, ...], indices: list[int], root: Path
) -> None:
    pets = OxfordIIITPet(root, "trainval", order)
    assert pets.classes == classes
    assert [index for _, index in pets.files] == indices


def test_pets_that_are_not_really_jpeg_are_read(root: Path) -> None:
    for file, _ in OxfordIIITPet(root).files:
        assert decode(file).size == (20, 30)


def test_a_part_of_the_pets_is_held_out(root: Path) -> None:
    lines = []
    for number in range(1, 38):
        breed = f"breed{number:02}"
        for index in range(10):
            lines.append(f"{breed}_{index} {number} 1 1\n")
            (root / "images" / f"{breed}_{index}.jpg").write_text(f"{breed} {index}")
    (root / "annotations" / "trainval.txt").write_text("".join(lines))
    pets = OxfordIIITPet(root)
    kept, held = hold_out(pets, 0.1)
    assert kept.classes == held.classes == pets.classes
    assert sorted((*kept.files, *held.files)) == sorted(pets.files)
    assert {index for _, index in held.files} == set(range(37))


def test_pets_splits(root: Path) -> None:
    assert [file.name for file, _ in OxfordIIITPet(root, "test").files] == ["Bengal_5.jpg"]
    with pytest.raises(DatasetError, match="trainval, test"):
        OxfordIIITPet(root, "train")


def test_the_breeds_beside_the_repository_are_in_the_order_of_the_class_ids(
    shared: Path, tmp_path: Path
) -> None:
    breeds = sorted((entry.name for entry in (shared / "data/pets").iterdir()), key=str.lower)
    assert len(breeds) == 37
    (tmp_path / "annotations").mkdir()
    (tmp_path / "images").mkdir()
    lines = [f"{breed}_1 {number} 1 1\n" for number, breed in enumerate(breeds, start=1)]
    (tmp_path / "annotations" / "test.txt").write_text("".join(reversed(lines)))
    for breed in breeds:
        (file, *_) = (shared / "data/pets" / breed).iterdir()
        (tmp_path / "images" / f"{breed}_1.jpg").symlink_to(file)
    assert OxfordIIITPet(tmp_path, "test").classes == tuple(breeds)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("Abyssinian_100 1 1\n", "line 1: .* is not a name and three numbers"),
        ("# comment\nAbyssinian 1 1 1\n", "line 2"),
        ("Abyssinian_100 one 1 1\n", "line 1"),
        ("Abyssinian_100 1 1 1\nAbyssinian_100 2 1 1\n", "Abyssinian has two class ids"),
        ("Abyssinian_100 1 1 1\nBengal_5 1 1 1\n", "two breeds have the same class id"),
        ("# nothing\n", "the list of images is empty"),
        ("Abyssinian_7 1 1 1\nBengal_5 2 1 1\n", "1 images of .* missing, .*Abyssinian_7.jpg"),
    ],
)
def test_a_bad_list_of_pets_is_refused(text: str, message: str, root: Path) -> None:
    (root / "annotations" / "trainval.txt").write_text(text)
    with pytest.raises(DatasetError, match=message):
        OxfordIIITPet(root)


def test_a_missing_list_of_pets_says_what_to_unpack(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"unpack annotations\.tar\.gz"):
        OxfordIIITPet(tmp_path)
