"""Folders of images as people have them: hidden files, links, odd names, copies."""

import io
import os
import pickle
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from unicodedata import normalize

import pytest
from bundled_models import FLOWERS
from command_line import Ghostnet
from extras import PARQUET
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, features
from tiny_network import TINY_MODEL
from toy_images import draw

from ghostnet.data import camera_raw, image_formats
from ghostnet.data.copies import find_copies
from ghostnet.data.image_folder import ImageFolder, find_images, read_folder
from ghostnet.data.image_formats import FORMATS, identify
from ghostnet.data.left_out import LeftOut
from ghostnet.data.parts import Parts, find_parts, measured_part
from ghostnet.data.split import hold_out, read_split
from ghostnet.data.transforms import decode
from ghostnet.errors import DatasetError, ImageError
from ghostnet.models import MODELS
from ghostnet.training.config import DataSettings
from ghostnet.training.run.task import open_task


def encoded(format: str = "PNG", color: int = 0) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (16, 12), (color, 2 * color % 256, 9)).save(buffer, format)
    return buffer.getvalue()


def put(path: Path, content: bytes | None = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encoded() if content is None else content)
    return path


class Opened:
    """Notes the files below a folder that this process opens."""

    def __init__(self) -> None:
        self.folder: Path | None = None
        self.names: list[str] = []
        sys.addaudithook(self)  # which stays for good: idle without a folder

    def __call__(self, event: str, arguments: tuple[object, ...]) -> None:
        if self.folder and event == "open" and str(arguments[0]).startswith(str(self.folder)):
            self.names.append(str(arguments[0]))


@pytest.fixture(scope="module")
def audit() -> Opened:
    return Opened()


@pytest.fixture
def opened(audit: Opened, tmp_path: Path) -> Iterator[list[str]]:
    """The files that are opened for reading in the folder of the test, in order."""
    audit.folder, audit.names = tmp_path, []
    yield audit.names
    audit.folder = None


def search(*paths: Path) -> tuple[list[str], dict[str, int]]:
    """What is found, relative to the first path, and how much is left out for each reason."""
    left_out = LeftOut()
    found = find_images(list(paths), left_out)
    return [os.path.relpath(file, paths[0]) for file in found], left_out.counts


# What counts --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        ".x.jpg",
        "._x.jpg",
        "deep/er/._x.jpg",
        ".cache/x.jpg",
        "deep/.ipynb_checkpoints/x.jpg",
        ".DS_Store",
    ],
)
def test_hidden_names_count_at_no_depth(name: str, tmp_path: Path) -> None:
    put(tmp_path / "a.png")
    put(tmp_path / name)
    assert search(tmp_path) == (["a.png"], {"hidden": 1})


@pytest.mark.parametrize(
    "name", ["__MACOSX/x.jpg", "a/@eaDir/x.jpg/thumb.jpg", "Thumbs.db", "a/Desktop.ini"]
)
def test_what_systems_leave_behind_counts_at_no_depth(name: str, tmp_path: Path) -> None:
    put(tmp_path / "b.png")
    put(tmp_path / name)
    assert search(tmp_path) == (["b.png"], {"of the operating system": 1})


def test_a_folder_that_is_named_counts_whatever_its_name(tmp_path: Path) -> None:
    put(tmp_path / ".cache" / "x.jpg")
    assert search(tmp_path / ".cache") == (["x.jpg"], {})
    assert find_images([tmp_path / ".cache" / "x.jpg", Path("none.xyz")]) == [
        tmp_path / ".cache" / "x.jpg",
        Path("none.xyz"),
    ]


def test_litter_is_no_class(tmp_path: Path) -> None:
    root = draw(tmp_path / "images", 2)
    for name in (".git", "__MACOSX", "@eaDir"):
        put(root / name / "x.png")
    put(root / "readme.txt", b"hello")
    folder = read_folder(root)
    assert folder.classes == ("blue one", "Green", "rot")
    assert len(folder.files) == 6
    assert folder.left_out.counts == {
        "of the operating system": 2,
        "hidden": 1,
        "not in the folder of a class": 1,
    }


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("suffix", ["", ".jfif", ".jpe", ".JPG", ".dat", ".x.y"])
def test_content_decides_where_the_suffix_does_not(
    format: str, suffix: str, tmp_path: Path
) -> None:
    file = put(tmp_path / f"image{suffix}", encoded(format))
    assert find_images([tmp_path]) == [file]
    assert decode(file).size == (16, 12)


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("notes", b"P1 is the first point", "not an image"),
        ("BMW.txt", b"BMW 320 in blue, four doors", "not an image"),
        ("x.json", b"{}", "not an image"),
        ("clip.mov", b"\0\0\0\x14ftypqt  \0\0\2\0qt  ", "not an image"),
        ("x.jpg", b"", "empty"),
        ("x", b"", "empty"),
        ("x.NEF", encoded("TIFF"), camera_raw.REASON),
    ],
)
def test_what_is_no_image_is_counted(
    name: str, content: bytes, reason: str, tmp_path: Path
) -> None:
    put(tmp_path / name, content)
    assert search(tmp_path) == ([], {reason: 1})


def test_pipes_and_sockets_are_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    os.mkfifo(tmp_path / "pipe")
    assert search(tmp_path) == ([], {"not a regular file": 2})


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=300))
def test_any_bytes_are_identified_or_not(head: bytes) -> None:
    assert identify(head) in (None, *image_formats.SIGNATURES)


# Links --------------------------------------------------------------------------------------


def test_links_to_files_and_folders_are_followed(tmp_path: Path) -> None:
    put(tmp_path / "elsewhere" / "sub" / "1.png")
    file = put(tmp_path / "other.png")
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "more").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "images" / "linked.png").symlink_to(file)
    (tmp_path / "root").symlink_to(tmp_path / "images")
    for root in (tmp_path / "images", tmp_path / "root"):
        assert search(root) == (["linked.png", "more/sub/1.png"], {})


@pytest.mark.parametrize("target", [".", "..", "../..", "/"])
def test_a_link_upwards_ends(target: str, tmp_path: Path) -> None:
    put(tmp_path / "images" / "a" / "1.png")
    put(tmp_path / "2.png")
    (tmp_path / "images" / "a" / "loop").symlink_to(target)
    assert search(tmp_path / "images") == (
        ["a/1.png"],
        {"link to a folder that is met elsewhere": 1},
    )


def test_links_among_many_folders_end_soon(tmp_path: Path) -> None:
    for name in "abcdefghijkl":
        put(tmp_path / name / "1.png")
        for other in "abcdefghijkl":
            (tmp_path / name / f"to {other}").symlink_to(tmp_path / other)
    files, _ = search(tmp_path)
    assert len(files) == 12


def test_ordinary_folders_with_one_inode_are_both_searched(tmp_path: Path) -> None:
    for name in ("a", "b"):
        put(tmp_path / name / "1.png")
    mount = ["mount", "--bind", tmp_path / "a", tmp_path / "b"]
    if (done := subprocess.run(mount, capture_output=True, text=True)).returncode:
        pytest.skip(f"needs the right to mount: {done.stderr.strip()}")
    try:
        assert search(tmp_path) == (["a/1.png", "b/1.png"], {})
    finally:
        subprocess.run(["umount", tmp_path / "b"], check=True)


def test_a_file_system_may_repeat_inodes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a", "b/c"):
        put(tmp_path / name / "1.png")
    (tmp_path / "link").symlink_to(tmp_path / "b")
    (tmp_path / "up").symlink_to(tmp_path)
    whole = os.stat

    def stat(*words: object, **options: object) -> os.stat_result:
        fields = [*whole(*words, **options)]
        fields[1:3] = 7, 7  # inode and device
        return os.stat_result(fields)

    monkeypatch.setattr(os, "stat", stat)
    found, reasons = search(tmp_path)
    monkeypatch.undo()
    assert found == ["a/1.png", "b/c/1.png"]
    assert reasons == {"link to a folder that is met elsewhere": 2}


def test_links_that_lead_nowhere_are_counted(tmp_path: Path) -> None:
    put(tmp_path / "1.png")
    (tmp_path / "gone.jpg").symlink_to(tmp_path / "no such file")
    (tmp_path / "gone").symlink_to(tmp_path / "no such folder")
    (tmp_path / "self.jpg").symlink_to("self.jpg")
    (tmp_path / "x").symlink_to("y")
    (tmp_path / "y").symlink_to("x")
    assert search(tmp_path) == (["1.png"], {"link to itself": 3, "dangling link": 2})


def test_a_link_from_class_to_class_brings_no_image_under_two_labels(tmp_path: Path) -> None:
    root = draw(tmp_path / "images", 2, ("rot", "Green"))
    (root / "Green" / "more").symlink_to(root / "rot")
    (root / "Green" / "up").symlink_to(root)
    folder = read_folder(root)
    assert [(file.parent.name, index) for file, index in folder.files] == [
        ("Green", 0),
        ("Green", 0),
        ("rot", 1),
        ("rot", 1),
    ]
    (root / "same").symlink_to(root / "rot")
    with pytest.raises(DatasetError, match=r"no images in same; .*met elsewhere"):
        read_folder(root)


def test_a_class_may_be_a_link(tmp_path: Path) -> None:
    real = draw(tmp_path / "real", 2)
    (tmp_path / "images").mkdir()
    for folder in real.iterdir():
        (tmp_path / "images" / folder.name).symlink_to(folder)
    assert len(read_folder(tmp_path / "images").files) == 6


def test_a_tree_deeper_than_pythons_stack_is_searched(tmp_path: Path) -> None:
    here = os.open(tmp_path, os.O_RDONLY)
    for _ in range(1500):
        os.mkdir("a", dir_fd=here)
        inner = os.open("a", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = inner
    os.close(here)
    try:
        assert search(tmp_path)[0] == []
    finally:
        subprocess.run(["rm", "-rf", tmp_path / "a"], check=True)


UNPRIVILEGED = """
import os, sys
from pathlib import Path
from ghostnet.data.image_folder import find_images
from ghostnet.data.left_out import LeftOut
if os.getuid() == 0:
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
left_out = LeftOut()
print([file.name for file in find_images([Path(sys.argv[1])], left_out)], left_out.counts)
"""


def test_what_may_not_be_read_is_counted(tmp_path: Path) -> None:
    put(tmp_path / "a.png")
    put(tmp_path / "no suffix").chmod(0)
    put(tmp_path / "closed" / "b.png")
    (tmp_path / "closed").chmod(0)
    for folder in (tmp_path, *tmp_path.parents[:3]):  # a process of xdist has one more
        if folder.owner() == tmp_path.owner() and folder.name.startswith(("pytest-", "popen-")):
            folder.chmod(0o755)
    tmp_path.chmod(0o755)
    done = subprocess.run(
        [sys.executable, "-c", UNPRIVILEGED, tmp_path], capture_output=True, text=True
    )
    (tmp_path / "closed").chmod(0o755)
    assert done.stdout == "['a.png'] {'permission denied': 2}\n", done.stderr


def test_the_order_is_that_of_the_paths(tmp_path: Path) -> None:
    for name in ("b.png", "a.png", "a/2.png", "a/10.png", "a b/1.png", "Z.png"):
        put(tmp_path / name)
    assert find_images([tmp_path]) == sorted(tmp_path.rglob("*.png"))


def test_known_suffixes_are_not_opened(tmp_path: Path, opened: list[str]) -> None:
    files = [put(tmp_path / name) for name in ("a.jpg", "b.PNG", "c.bin")]
    opened.clear()
    assert find_images([tmp_path]) == files
    assert {*opened} == {str(files[2])}


# HEIC and AVIF ------------------------------------------------------------------------------


@pytest.mark.skipif(not features.check("avif"), reason="this Pillow was built without AVIF")
def test_avif_is_read(tmp_path: Path) -> None:
    file = put(tmp_path / "x.avif", encoded("AVIF"))
    named = put(tmp_path / "y.jpg", encoded("AVIF"))
    assert find_images([tmp_path]) == [file, named]
    assert decode(file).size == decode(named).size == (16, 12)


@pytest.mark.nightly
def test_heic_is_read_where_its_package_is_installed(tmp_path: Path) -> None:
    pytest.importorskip("pillow_heif", reason="needs the extra heif").register_heif_opener()
    file = put(tmp_path / "IMG_1.HEIC", encoded("HEIF"))
    named = put(tmp_path / "IMG_2.jpg", encoded("HEIF"))
    assert find_images([tmp_path]) == [file, named]
    assert decode(file).size == decode(named).size == (16, 12)


@pytest.mark.parametrize("brand", [b"heic", b"heix", b"mif1", b"hevc"])
def test_heic_is_named_with_its_extra_where_it_is_not(
    brand: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    image_formats.missing.cache_clear()
    content = b"\0\0\0\x18ftyp" + brand + b"\0\0\0\0mif1" + brand + b"\0" * 50
    put(tmp_path / "x.heic", content)
    _, reasons = search(tmp_path)
    assert [*reasons] == ["HEIC, which needs pillow-heif: pip install 'mindspore-ghostnet[heif]'"]
    with pytest.raises(ImageError, match=r"x\.heic: HEIC, .*mindspore-ghostnet\[heif\]"):
        decode(tmp_path / "x.heic")
    image_formats.missing.cache_clear()


# Names --------------------------------------------------------------------------------------


def test_classes_are_named_in_nfc(tmp_path: Path) -> None:
    composed, decomposed = (normalize(form, "Kätzchen") for form in ("NFC", "NFD"))
    put(tmp_path / decomposed / "1.png")
    assert read_folder(tmp_path).classes == (composed,)
    put(tmp_path / composed / "1.png")
    with pytest.raises(DatasetError, match="differ only in Unicode"):
        read_folder(tmp_path)


def test_many_empty_classes_are_not_all_listed(tmp_path: Path) -> None:
    for index in range(1000):
        (tmp_path / f"class number {index:03}").mkdir()
    with pytest.raises(DatasetError, match="number 009, and 990 more") as caught:
        read_folder(tmp_path)
    assert len(str(caught.value)) < 700


def test_the_reason_stands_in_the_error(tmp_path: Path) -> None:
    put(tmp_path / "roses" / "x.jpg", b"")
    with pytest.raises(DatasetError, match=r"no images in roses; .*1 empty, such as .*x\.jpg"):
        read_folder(tmp_path)


# The command --------------------------------------------------------------------------------


@pytest.mark.nightly
def test_every_verb_counts_what_is_left_out(ghostnet: Ghostnet, tmp_path: Path) -> None:
    root = draw(tmp_path / "images", 4, ("roses", "tulips"))
    put(root / "roses" / "._0.jpg")
    put(root / "roses" / "notes.txt", b"hello")
    counts = {"hidden": 1, "not an image": 1}
    model = ("--model", FLOWERS, "--cache-dir", tmp_path / "cache")

    *answers, last = ghostnet.json("predict", root, *model)
    assert (len(answers), last) == (8, {"left_out": counts})
    assert f"ghostnet: left out: 1 hidden, such as {root / 'roses' / '._0.jpg'}" in ghostnet.err
    assert ghostnet.json("eval", root, *model)["left_out"] == counts
    assert "1 not an image, such as" in ghostnet.err
    words = ("finetune", root, "--out", tmp_path / "out", *model)
    assert ghostnet.json(*words)["left_out"] == counts
    assert "1 not an image, such as" in ghostnet.err


@pytest.mark.nightly
def test_training_counts_what_is_left_out(
    ghostnet: Ghostnet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(MODELS, "tiny", TINY_MODEL)
    root = draw(tmp_path / "images")
    put(root / "rot" / "._0.jpg")
    words = ("--architecture", "tiny", "--image-size", 32, "--batch-size", 4, "--epochs", 1)
    answer = ghostnet.json("train", "--data", root, "--out", tmp_path / "out", *words)
    assert answer["left_out"] == {"hidden": 1}
    assert "left out: 1 hidden" in ghostnet.err


def test_counting_takes_no_memory_for_each_file() -> None:
    left_out = LeftOut()
    for number in range(2):
        left_out.add(f"{number}.txt", "not an image")
    before = len(pickle.dumps(left_out))
    for number in range(10_000):
        left_out.add(f"{number}.txt", "not an image")
    assert len(pickle.dumps(left_out)) < before + 10
    assert str(left_out) == "10,002 not an image, such as 0.txt"
    assert LeftOut.joined(left_out, left_out, LeftOut()).counts == {"not an image": 10_002}


def test_a_folder_without_images_says_why(ghostnet: Ghostnet, tmp_path: Path) -> None:
    put(tmp_path / "x.jpg", b"")
    ghostnet("predict", tmp_path, status=1)
    assert "left out: 1 empty" in ghostnet.err
    assert "no images in" in ghostnet.err


# Copies -------------------------------------------------------------------------------------


def test_copies_are_found_under_any_name(tmp_path: Path) -> None:
    a = put(tmp_path / "a.png", encoded(color=1))
    copy = put(tmp_path / "b" / "copy", encoded(color=1))
    (tmp_path / "link.png").symlink_to(a)
    os.link(a, tmp_path / "hard.png")
    other = put(tmp_path / "other.png", encoded(color=2))
    gone = tmp_path / "gone.png"
    files = [a, copy, tmp_path / "link.png", tmp_path / "hard.png", other, gone]
    assert [*find_copies(files).values()] == [a, a, a, a, other, gone]


@pytest.mark.parametrize("layout", ["itself", "link", "copies", "renamed", "one", "other class"])
def test_held_out_images_are_not_trained_on(layout: str, tmp_path: Path) -> None:
    root = draw(tmp_path / "images", 4)
    val, count = tmp_path / "val", "12 of 12"
    if layout == "itself":
        val = root
    elif layout == "link":
        val.symlink_to(root)
    elif layout == "one":
        draw(val, 3)
        put(val / "rot" / "new name.png", (root / "rot" / "1.png").read_bytes())
        count = "1 of 10"
    elif layout == "other class":
        draw(val, 3)
        put(val / "rot" / "new name.png", (root / "Green" / "1.png").read_bytes())
        count = "1 of 10"
    else:
        for file in root.rglob("*.png"):
            name = f"new {file.name}" if layout == "renamed" else file.name
            put(val / file.parent.name / name, file.read_bytes())
    with pytest.raises(
        DatasetError, match=rf"{count} held-out images are also training images \(.* = "
    ):
        read_split(root, val)
    with pytest.raises(DatasetError, match=f"{count} held-out images are also training images"):
        open_task(DataSettings(root, val=str(val)))


def test_different_images_may_be_held_out(tmp_path: Path) -> None:
    train, held_out = read_split(draw(tmp_path / "images", 4), draw(tmp_path / "val", 3))
    assert (len(train.files), len(held_out.files)) == (12, 9)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 2), st.integers(0, 6)), min_size=1, max_size=25),
    st.floats(0.05, 0.95),
)
def test_copies_are_on_the_same_side(
    tmp_path_factory: pytest.TempPathFactory, images: list[tuple[int, int]], fraction: float
) -> None:
    root = tmp_path_factory.mktemp("images")
    files = []
    for place, (index, color) in enumerate(images):
        files.append((put(root / str(index) / f"{place}.bin", bytes([color]) * 9), index))
    kept, held = hold_out(ImageFolder(("0", "1", "2"), tuple(files)), fraction)
    assert sorted(kept.files + held.files) == sorted(files)
    sides = [{file.read_bytes() for file, _ in side.files} for side in (kept, held)]
    assert not sides[0] & sides[1]
    for index in {index for index, _ in images}:
        assert any(truth == index for _, truth in kept.files)


def test_only_files_of_one_size_and_ending_are_read_whole(
    tmp_path: Path, opened: list[str]
) -> None:
    contents = {"a": b"1" * 9000, "b": b"2" * 9001, "c": b"3" * 8000 + b"end", "d": b"4" * 8003}
    files = [put(tmp_path / f"{name}.jpg", content) for name, content in contents.items()]
    copy = put(tmp_path / "e.jpg", contents["c"])
    opened.clear()
    assert find_copies([*files, copy]) == {**{file: file for file in files}, copy: files[2]}
    times = [opened.count(str(file)) for file in (*files, copy)]
    once = times[3]
    assert times == [0, 0, 2 * once, once, 2 * once]


# Parts --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("train", "held_out"),
    [("train", "val"), ("Train", "VALID"), ("train", "validation"), ("train", "test")],
)
def test_parts_of_a_data_set_are_no_classes(train: str, held_out: str, tmp_path: Path) -> None:
    draw(tmp_path / train, 4)
    draw(tmp_path / held_out, 3)
    put(tmp_path / ".cache" / "x.png")
    put(tmp_path / "__MACOSX" / "x.png")
    with pytest.warns(UserWarning, match=f"from {train}, held-out images from {held_out}$"):
        learned, measured = read_split(tmp_path)
    assert learned.classes == ("blue one", "Green", "rot")
    assert (len(learned.files), len(measured.files)) == (12, 9)
    with pytest.warns(UserWarning, match=f"training images are taken from {train}$"):
        learned, measured = read_split(tmp_path, 0.5)
    assert (len(learned.files), len(measured.files)) == (6, 6)
    with pytest.warns(UserWarning, match=f"measured with {held_out}$"):
        assert measured_part(tmp_path) == tmp_path / held_out


def test_a_model_is_measured_with_the_test_part_and_chosen_by_the_other(tmp_path: Path) -> None:
    for name in ("train", "val", "test"):
        draw(tmp_path / name, 2)
    assert find_parts(tmp_path).held_out == tmp_path / "val"
    assert find_parts(tmp_path).measured == tmp_path / "test"


def test_a_test_part_without_labels_does_not_count(tmp_path: Path) -> None:
    draw(tmp_path / "train", 4)
    put(tmp_path / "test" / "1.png")
    assert find_parts(tmp_path) == Parts(tmp_path / "train")
    assert find_parts(draw(tmp_path / "classes", 1, ("train", "bus"))).train.name == "classes"


def test_a_training_part_without_classes_is_refused(tmp_path: Path) -> None:
    for name in ("train", "val"):
        put(tmp_path / name / "1.png")
    with pytest.raises(DatasetError, match=r"train holds the training part .* no folder for each"):
        read_split(tmp_path)


@pytest.mark.parametrize("name", ["images", "rot"])
def test_images_that_are_not_sorted_are_refused(name: str, tmp_path: Path) -> None:
    put(tmp_path / name / "1.png")
    with pytest.raises(DatasetError, match=f"at least two classes, .* only {name}"):
        read_split(tmp_path)


def test_the_commands_use_the_parts(ghostnet: Ghostnet, tmp_path: Path) -> None:
    root = tmp_path / "flowers"
    draw(root / "train", 4, ("roses", "tulips"))
    draw(root / "val", 3, ("roses", "tulips"))
    model = ("--model", FLOWERS, "--cache-dir", tmp_path / "cache")
    assert ghostnet.json("eval", root, *model)["images"] == 6
    assert f"{root}: the model is measured with val" in ghostnet.err
    answer = ghostnet.json("finetune", root, "--out", root / "model", *model)
    assert (answer["train_images"], answer["images"]) == (8, 6)
    assert "training images are taken from train, held-out images from val" in ghostnet.err


@pytest.mark.skipif(not PARQUET, reason="needs the extra parquet")
@pytest.mark.nightly
def test_results_among_the_images_are_no_class(ghostnet: Ghostnet, tmp_path: Path) -> None:
    root = draw(tmp_path / "flowers", 2, ("roses", "tulips"))
    model = ("--model", FLOWERS, "--cache-dir", tmp_path / "cache")
    ghostnet("predict", root, *model, "--out", root / "rows.parquet")
    first = ghostnet.json("eval", root, *model, "--out", root / "out")
    again = ghostnet.json("eval", root, *model, "--out", root / "out")
    assert first["images"] == again["images"] == 4
    assert again["left_out"] == {"result of a prediction": 1, "result of an evaluation": 1}
    assert len(find_images([root])) == 4


@pytest.mark.parametrize("file", ["ghostnet.ckpt", "state.ckpt"])
def test_the_result_of_a_training_is_no_class(file: str, tmp_path: Path) -> None:
    root = draw(tmp_path / "images", 4)
    for out in (root / "out", root / "rot" / "out"):
        out.mkdir()
        (out / file).write_bytes(b"weights")
        put(out / "curve.png")
    learned, _ = read_split(root)
    assert learned.classes == ("blue one", "Green", "rot")
    assert learned.left_out.counts == {"result of a training": 2}
    assert len(find_images([root])) == 12
    assert len(find_images([root / "out"])) == 1
