"""Archives of labeled images: classes by folders and by labels, epochs in any order."""

from pathlib import Path

import numpy as np
import pytest
from bundled_models import FLOWERS
from command_line import Ghostnet
from extras import needs_mindspore
from packed import contents, pack
from toy_images import COLORS, draw

import ghostnet as package
from ghostnet.data.copies import find_copies
from ghostnet.data.image_folder import ImageFolder, read_folder
from ghostnet.data.parts import Parts, find_parts
from ghostnet.data.split import read_split
from ghostnet.errors import DatasetError
from ghostnet.training.augment import Augment
from ghostnet.training.head.features import View, extract

FLOWER_LABELS = ("daisy", "dandelion", "roses", "sunflowers", "tulips")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six images of each of three colors, in folders."""
    return draw(tmp_path_factory.mktemp("images") / "colors", 6)


@pytest.fixture(scope="module")
def images(folder: Path) -> dict[str, bytes]:
    return contents(folder)


def labeled(images: ImageFolder, root: Path) -> dict[str, str]:
    """The class of each image, by its name below a root."""
    return {
        file.relative_to(root).as_posix(): images.classes[index] for file, index in images.files
    }


@pytest.mark.parametrize("kind", ["tar", "tar.gz", "zip"])
@pytest.mark.parametrize("above", ["", "colors/", "data/colors/"])
def test_folders_in_an_archive_are_classes(
    tmp_path: Path, folder: Path, images: dict[str, bytes], kind: str, above: str
) -> None:
    packed = pack(tmp_path / f"a.{kind}", {above + name: images[name] for name in images})
    of_archive, of_folder = read_folder(packed), read_folder(folder)
    assert of_archive.classes == of_folder.classes
    below = packed / above if above else packed
    assert labeled(of_archive, below) == labeled(of_folder, folder)
    assert read_folder(below) == of_archive


def test_webdataset_names_classes_beside_images(tmp_path: Path, images: dict[str, bytes]) -> None:
    png = images["rot/0.png"]
    numbers = pack(
        tmp_path / "shards/s-0.tar",
        {"a/0.png": png, "a/0.cls": b"3\n", "a/1.seg.png": png, "a/1.cls": b"0", "a/2.png": png},
    )
    pack(numbers.with_name("s-1.tar"), {"b/0.png": png, "b/0.cls": b"10"})
    read = read_folder(numbers.parent)
    assert labeled(read, numbers.parent) == {
        "s-0.tar/a/0.png": "3", "s-0.tar/a/1.seg.png": "0", "s-1.tar/b/0.png": "10",
    }  # fmt: skip
    assert read.left_out.counts == {"label or text": 3, "without a class": 1}
    objects = {"0.json": b'{"label": "cat"}', "0.png": png, "1.json": b'{"cls": 7}', "1.png": png}
    assert read_folder(pack(tmp_path / "objects.tar", objects)).classes == ("7", "cat")
    metadata = {"dog/0.png": png, "dog/0.json": b"[1]", "dog/0.txt": b"a photo of a dog"}
    assert read_folder(pack(tmp_path / "metadata.tar", metadata)).classes == ("dog",)
    texts = {"0.png": png, "0.txt": b"dog"}
    assert read_folder(pack(tmp_path / "texts.tar", texts)).classes == ("dog",)


def test_an_archive_for_each_class(tmp_path: Path, images: dict[str, bytes]) -> None:
    for name in COLORS:
        own = {file: images[file] for file in images if file.startswith(name)}
        pack(tmp_path / f"{name}.tar", {Path(file).name: own[file] for file in own})
    read = read_folder(tmp_path)
    assert (read.classes, len(read.files)) == (("blue one", "Green", "rot"), 18)


def test_archives_in_the_folder_of_a_class(tmp_path: Path, images: dict[str, bytes]) -> None:
    draw(tmp_path / "data", 2, ("one", "two"))
    pack(tmp_path / "data/two/more.zip", images)
    read = read_folder(tmp_path / "data")
    assert [read.classes[index] for _, index in read.files].count("two") == 20


def test_parts_of_an_archive(tmp_path: Path, images: dict[str, bytes]) -> None:
    members = {f"data/{part}/{name}": images[name] for part in ("train", "Test") for name in images}
    packed = pack(tmp_path / "a.zip", members)
    assert find_parts(packed) == Parts(packed / "data/train", test=packed / "data/Test")
    with (
        pytest.warns(UserWarning, match="training images are taken from train, held-out images"),
        pytest.raises(DatasetError, match="18 of 18 held-out images are also training images"),
    ):
        read_split(packed)
    for part in ("train", "val"):
        pack(tmp_path / f"shards/{part}/0.tar", images)
    assert find_parts(tmp_path / "shards").val == tmp_path / "shards/val"


@pytest.mark.parametrize(
    ("members", "reason"),
    [
        (
            {"x.png": b"x"},
            "no image in it is in a folder named after its class",
        ),
        ({}, r"left out: nothing\)"),
    ],
)
def test_an_archive_without_classes(tmp_path: Path, members: dict, reason: str) -> None:
    with pytest.raises(DatasetError, match=reason):
        read_folder(pack(tmp_path / "a.tar", members))


def test_a_broken_archive_of_a_data_set_is_refused(
    ghostnet: Ghostnet, tmp_path: Path, images: dict[str, bytes]
) -> None:
    packed = pack(tmp_path / "a.tar", images)
    packed.write_bytes(packed.read_bytes()[:20_000])
    for words in (("eval", packed), ("finetune", packed, "--out", tmp_path / "out")):
        ghostnet(*words, status=1)
        assert f"{packed}: an archive that cannot be read to its end" in ghostnet.err
        assert "Traceback" not in ghostnet.err


def test_copies_are_found_across_files_and_archives(
    tmp_path: Path, folder: Path, images: dict[str, bytes]
) -> None:
    packed = pack(tmp_path / "a.zip", images)
    first = find_copies([folder / "rot/0.png", packed / "rot/0.png", packed / "rot/1.png"])
    assert first[packed / "rot/0.png"] == folder / "rot/0.png"
    assert first[packed / "rot/1.png"] == packed / "rot/1.png"


def test_accuracy_on_an_archive_is_that_on_its_files(
    ghostnet: Ghostnet, tmp_path: Path, images: dict[str, bytes]
) -> None:
    names = dict(zip(COLORS, FLOWER_LABELS, strict=False))
    named = {f"{names[Path(name).parts[0]]}/{Path(name).name}": images[name] for name in images}
    for name, content in named.items():
        (tmp_path / "files" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "files" / name).write_bytes(content)
    of_files = ghostnet.json("eval", tmp_path / "files", "--model", FLOWERS)
    packed = pack(tmp_path / "a.tar.gz", named)
    report = tmp_path / "report.html"
    assert of_files == ghostnet.json("eval", packed, "--model", FLOWERS, "--report", report)
    assert "a.tar.gz" in report.read_text()
    numbered = {}
    for number, (name, content) in enumerate(named.items()):
        label = FLOWER_LABELS.index(Path(name).parts[0])
        numbered |= {f"{number}.png": content, f"{number}.cls": str(label).encode()}
    shard = pack(tmp_path / "shard.tar", numbered)
    of_shard = ghostnet.json("eval", shard, "--model", FLOWERS, "--report", report)
    assert of_shard["confusion"] == of_files["confusion"]
    assert of_shard["left_out"] == {"label or text": 18}


def test_features_of_an_archive_are_those_of_its_files(
    tmp_path: Path, folder: Path, images: dict[str, bytes]
) -> None:
    packed = pack(tmp_path / "a.tar.gz", images)
    model, cache = package.open_model(FLOWERS), tmp_path / "cache"
    of_members, _ = extract(
        model, [View(packed / "rot/0.png"), View(packed / "x")], cache_dir=cache
    )
    assert [*of_members] == [View(packed / "rot/0.png")]
    done: list[int] = []
    of_files, _ = extract(
        model, [View(folder / "rot/0.png")], cache_dir=cache, progress=done.append
    )
    assert done == [1]  # the cache knows the image by its content
    np.testing.assert_array_equal(*of_members.values(), *of_files.values())


@pytest.mark.nightly
def test_a_classifier_is_fitted_to_an_archive(
    ghostnet: Ghostnet, tmp_path: Path, images: dict[str, bytes]
) -> None:
    packed = pack(tmp_path / "a.tar.gz", images)
    words = ("--model", FLOWERS, "--cache-dir", tmp_path / "cache", "--val", "0.34")
    answer = ghostnet.json("finetune", packed, "--out", tmp_path / "out", *words)
    assert (answer["top1"], answer["train_images"], answer["images"]) == (1.0, 12, 6)
    model = package.open_model(tmp_path / "out/card.md")
    assert model.predict(packed / "rot/0.png").label == "rot"


@needs_mindspore
@pytest.mark.parametrize("kind", ["tar", "zip"])
def test_epochs_read_an_archive_in_any_order(
    tmp_path: Path, folder: Path, images: dict[str, bytes], kind: str
) -> None:
    from ghostnet.training.run.batches import Batches
    from ghostnet.training.source import FolderSource

    packed = pack(tmp_path / f"a.{kind}", images)
    epochs = []
    for root in (folder, packed):
        files = sorted(read_folder(root).files)
        batches = Batches(FolderSource(tuple(files)), Augment(32), batch_size=6, threads=2)
        epochs.append([*batches.epoch(0)])
    for of_files, of_members in zip(*epochs, strict=True):
        np.testing.assert_array_equal(of_files.images, of_members.images)
        np.testing.assert_array_equal(of_files.labels, of_members.labels)


@needs_mindspore
def test_training_refuses_what_is_only_read_in_its_own_order(
    tmp_path: Path, images: dict[str, bytes]
) -> None:
    from ghostnet.training.source import FolderSource

    packed = pack(tmp_path / "a.tgz", images)
    with pytest.raises(DatasetError, match="decompress it first with gunzip"):
        FolderSource(read_folder(packed).files)
