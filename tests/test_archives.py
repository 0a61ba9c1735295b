"""Images in archives: read in place, in bounds of memory, and told by name when broken."""

import gzip
import io
import json
import random
import struct
import tarfile
import tempfile
import tracemalloc
import zipfile
from contextlib import suppress
from pathlib import Path

import pytest
from bundled_models import FLOWERS
from command_line import Ghostnet
from extras import PARQUET
from hypothesis import given, settings
from hypothesis import strategies as st
from packed import KINDS, contents, pack
from PIL import Image
from schedule import at_night
from toy_images import draw

import ghostnet as package
from ghostnet.data.archives import (
    archive,
    gzip_content,
    open_archive,
    open_image,
    sequential_archive,
)
from ghostnet.data.image_folder import walk_images
from ghostnet.data.left_out import LeftOut
from ghostnet.data.transforms import decode
from ghostnet.errors import ImageError


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Eight images of two classes, by name."""
    return contents(draw(tmp_path_factory.mktemp("images"), 4, ("one", "two")))


def found(*names: object) -> tuple[list[str], dict[str, int]]:
    """The images at some names, and what is left out there."""
    left_out = LeftOut()
    return [*walk_images(map(str, names), left_out)], left_out.counts


def error_of(path: Path) -> str:
    with pytest.raises(ImageError) as raised:
        decode(path)
    return str(raised.value)


@pytest.mark.parametrize("kind", KINDS)
def test_images_are_read_at_any_place(tmp_path: Path, images: dict[str, bytes], kind: str) -> None:
    names = [*images]
    random.Random(0).shuffle(names)
    packed = pack(tmp_path / f"a.{kind}", {f"./{name}": images[name] for name in names})
    assert found(packed) == ([f"{packed}/{name}" for name in names], {})
    for name in images:
        with open_image(packed / name) as file:
            assert file.read() == images[name]
    assert sequential_archive(packed / "one") == (None if kind in ("tar", "zip") else packed)


@pytest.mark.parametrize("kind", ["tar.gz", *at_night("zip")])
def test_rows_name_members_and_an_interrupted_run_goes_on(
    ghostnet: Ghostnet, tmp_path: Path, images: dict[str, bytes], kind: str
) -> None:
    folder = tmp_path / "photos"
    for name, content in images.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    packed = pack(folder / f"shard.{kind}", {**images, "two/broken.png": b"no image"})
    out = tmp_path / "rows.jsonl"
    words = ("--model", FLOWERS, "--out", out)
    answer = ghostnet.json("predict", folder, *words, status=1)
    assert (answer["rows"], answer["errors"]) == (17, 1)
    rows = {row["file"]: row for row in map(json.loads, out.read_text().splitlines())}
    for name in images:
        of_file, of_member = rows[str(folder / name)], rows[str(packed / name)]
        assert of_file["predictions"] == of_member["predictions"]
    assert "not an image" in rows[str(packed / "two/broken.png")]["error"]

    lines = out.read_text().splitlines(keepends=True)
    out.write_text("".join(lines[:12]))  # as if the run had been killed
    again = ghostnet.json("predict", folder, *words, "--resume", status=1)
    assert (again["rows"], again["resumed"], again["errors"]) == (17, 12, 1)
    assert out.read_text().splitlines(keepends=True) == lines


def test_a_list_and_python_name_members(
    ghostnet: Ghostnet, tmp_path: Path, images: dict[str, bytes]
) -> None:
    packed = pack(tmp_path / "a.tar", images)
    names = tmp_path / "names"
    names.write_text(f"{packed}/two/1.png\n{packed}/none.png\n{packed}\n{packed}/one/0.png\n")
    rows = ghostnet.json("predict", "--list", names, "--model", FLOWERS, status=1)
    assert rows[0]["file"] == f"{packed}/two/1.png"
    assert rows[1]["error"] == f"{packed}/none.png: there is no such file"
    assert [row["file"] for row in rows[2:-1]] == [
        f"{packed}/{name}" for name in images if name != "two/1.png"
    ]
    assert rows[-1] == {
        "left_out": {
            "listed before the folder that it is in": 1,
            "below a folder that is listed before it": 1,
        }
    }
    model = package.open_model(FLOWERS)
    assert [result.name for result in model.predict(packed)] == [
        f"{packed}/{name}" for name in images
    ]
    assert model.predict(packed / "two/1.png").label == rows[0]["predictions"][0]["label"]
    assert model.features([packed]).shape == (8, 1280)


def test_embeddings_of_a_shard(
    ghostnet: Ghostnet, tmp_path: Path, images: dict[str, bytes]
) -> None:
    out = tmp_path / f"out.{PARQUET[0] if PARQUET else 'npy'}"
    packed = pack(tmp_path / "a.tar", images)
    answer = ghostnet.json("embed", packed, "--out", out, "--model", FLOWERS)
    assert (answer["rows"], answer["errors"]) == (8, 0)


def test_what_is_no_image_is_left_out(tmp_path: Path, images: dict[str, bytes]) -> None:
    png = images["one/0.png"]
    members = {
        "0001.png": png,
        "0001.cls": b"3",
        "0001.json": b"{}",
        ".hidden.png": png,
        "__MACOSX/x/._0001.png": png,
        "a/.git/x.png": png,
        "a/Thumbs.db": png,
        "empty.png": b"",
        "unknown": png,
        "readme": b"words",
        "inner.zip": pack(tmp_path / "inner.zip", images).read_bytes(),
        "raw.nef": b"raw",
    }
    packed = pack(tmp_path / "a.tar", members)
    with tarfile.open(packed, "a") as file:
        link = tarfile.TarInfo("link.png")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        file.addfile(link)
        again = tarfile.TarInfo("0001.png")
        again.size = 3
        file.addfile(again, io.BytesIO(b"abc"))
    (tmp_path / "other.tar.xz").write_bytes(b"other")
    names, left_out = found(tmp_path / "a.tar", tmp_path)
    assert names[:2] == [f"{packed}/0001.png", f"{packed}/unknown"]
    assert left_out.pop("label or text") == 4  # the archive is met twice
    assert left_out.pop("below a folder that is listed before it") == 2
    assert left_out["archive of a kind that is not read"] == 1
    assert {reason.partition(",")[0] for reason in left_out} == {
        "hidden", "of the operating system", "empty", "not an image", "archive in an archive",
        "camera raw", "not a regular file", "named like another",
        "archive of a kind that is not read",
    }  # fmt: skip
    assert decode(packed / "0001.png").size == (44, 40)


def test_a_hard_link_is_the_image_that_it_is_a_link_to(
    tmp_path: Path, images: dict[str, bytes]
) -> None:
    packed = pack(tmp_path / "a.tar", {"one/0.png": images["one/0.png"]})
    with tarfile.open(packed, "a") as file:
        link = tarfile.TarInfo("two/again.png")
        link.type, link.linkname = tarfile.LNKTYPE, "./one/0.png"
        file.addfile(link)
        link.name, link.linkname = "two/none.png", "none.png"
        file.addfile(link)
    names, left_out = found(packed)
    assert names == [f"{packed}/one/0.png", f"{packed}/two/again.png"]
    assert left_out == {"not a regular file": 1}
    with open_image(packed / "two/again.png") as file:
        assert file.read() == images["one/0.png"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_folder_in_an_archive(tmp_path: Path, images: dict[str, bytes], kind: str) -> None:
    packed = pack(tmp_path / f"a.{kind}", images)
    assert found(f"{packed}/two/")[0] == [f"{packed}/{name}" for name in images if "two" in name]
    assert found(f"{packed}/")[0] == found(packed)[0]
    assert found(f"{packed}/none", f"{packed}/two/0.png")[0] == [
        f"{packed}/none", f"{packed}/two/0.png"
    ]  # fmt: skip


def test_names_that_lead_out_of_an_archive_are_only_names(
    tmp_path: Path, images: dict[str, bytes]
) -> None:
    (tmp_path / "secret.png").write_bytes(b"secret")
    members = {"../secret.png": images["one/0.png"], "/etc/x.png": images["one/1.png"]}
    packed = pack(tmp_path / "a.tar", members)
    assert found(packed)[0] == [f"{packed}/../secret.png", f"{packed}/etc/x.png"]
    assert decode(packed / "../secret.png").size == (44, 40)
    assert decode(packed / "etc/x.png").size == (44, 41)


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("tar", "it ends early"),
        ("tar.gz", "it ends early"),
        ("zip", "it is broken: File is not a zip file"),
    ],
)
def test_a_truncated_archive_has_a_row_that_says_so(
    ghostnet: Ghostnet, tmp_path: Path, images: dict[str, bytes], kind: str, reason: str
) -> None:
    packed = pack(tmp_path / f"a.{kind}", images)
    packed.write_bytes(packed.read_bytes()[: packed.stat().st_size // 2])
    rows = ghostnet.json("predict", packed, "--model", FLOWERS, status=1)
    assert rows[-1]["file"] == str(packed)
    assert rows[-1]["error"] == (
        f"{packed}: an archive that cannot be read to its end ({reason}); pack it again"
    )
    if kind == "tar":
        assert "predictions" in rows[0]


def test_archives_that_cannot_be_read_say_why(tmp_path: Path, images: dict[str, bytes]) -> None:
    (tmp_path / "x.tar.zst").write_bytes(b"(\xb5/\xfd")
    assert error_of(tmp_path / "x.tar.zst").endswith(
        "an archive of a kind that is not read; pack its images as .tar or .zip"
    )
    nested = pack(tmp_path / "nested.zip", {"b.tar": b"x"})
    assert "an archive in an archive, which is not opened" in error_of(nested / "b.tar")
    broken = pack(tmp_path / "middle.tar", images)
    content = bytearray(broken.read_bytes())
    second = content.index(b"one/1.png")
    content[second : second + 512] = b"\xff" * 512
    broken.write_bytes(content)
    names, _ = found(broken)
    assert names == [f"{broken}/one/0.png", str(broken)]
    assert f"there is no header at byte {second:,}" in error_of(broken)
    whole = pack(tmp_path / "whole.tar", images)
    assert error_of(whole).endswith("name its images ARCHIVE/NAME")


def test_a_zip_whose_members_cannot_be_read(tmp_path: Path, images: dict[str, bytes]) -> None:
    png = images["one/0.png"]
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("bzip2.png", png, zipfile.ZIP_BZIP2)
        file.writestr("locked.png", png)
    content = bytearray(path.read_bytes())
    content[content.index(b"locked.png") - 24] |= 1  # the flag of encryption
    path.write_bytes(content)
    assert "its method of compression (12) is not read; use Deflate" in error_of(path / "bzip2.png")
    assert "it is encrypted; pack it again" in error_of(path / "locked.png")


def test_bombs_are_refused_in_little_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive, "FREE_BYTES", 1024**2)
    monkeypatch.setattr(archive, "MAX_BYTES", 4 * 1024**2)
    monkeypatch.setattr(gzip_content, "FREE_BYTES", 8 * 1024**2)
    zeros = {"large.png": bytes(5 * 1024**2), "thin.png": bytes(3 * 1024**2)}
    packed = pack(tmp_path / "a.zip", zeros)
    assert "5,242,880 bytes are more than the 4,194,304 allowed" in error_of(packed / "large.png")
    assert "it is compressed more than 200 times" in error_of(packed / "thin.png")
    deep = tmp_path / "b.tar.gz"
    with gzip.open(deep, "wb") as file:
        header = tarfile.TarInfo("x.png")
        header.size = 64 * 1024**2
        file.write(header.tobuf() + bytes(64 * 1024**2))
    assert "it is compressed more than 200 times" in error_of(deep)
    header.type, header.size = tarfile.GNUTYPE_LONGNAME, 2**32
    claims = tmp_path / "claims.tar"
    with claims.open("wb") as file:  # has, as a sparse file, all that it claims
        file.write(header.tobuf(tarfile.GNU_FORMAT))
        file.truncate(2**32 + 10_240)
    assert "a header claims to have more than 1,048,576 bytes" in error_of(claims)


def test_a_zip_that_lies_about_a_size_is_broken(tmp_path: Path, images: dict[str, bytes]) -> None:
    packed = pack(tmp_path / "a.zip", {"a.png": images["one/0.png"]})
    content = bytearray(packed.read_bytes())
    directory = content.index(b"PK\1\2")
    struct.pack_into("<I", content, directory + 24, 10**6)
    packed.write_bytes(content)
    assert "it ends early" in error_of(packed / "a.png")


def test_memory_does_not_grow_with_members(tmp_path: Path) -> None:
    path = tmp_path / "many.tar"
    header = tarfile.TarInfo("0")
    header.size = 1
    with open(path, "wb") as file:
        for number in range(2_000):
            header.name = f"{number}.png"
            file.write(header.tobuf(tarfile.USTAR_FORMAT) + bytes(512))
        file.write(bytes(1024))
    members = open_archive(path).members()
    next(members)
    tracemalloc.start()
    try:
        assert sum(1 for _ in members) == 1_999
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept < 2_000 * 60
    assert open_archive(path).place("1999.png").size == 1


def test_gzip_goes_back_and_on_to_a_second_stream(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gzip_content, "BLOCK", 1000)
    monkeypatch.setattr(gzip_content, "KEPT_BLOCKS", 3)
    monkeypatch.setattr(gzip_content, "KEPT_STATES", 4)
    monkeypatch.setattr(gzip_content, "CHUNK", 100)
    whole = random.Random(0).randbytes(30_000)
    path = tmp_path / "a.gz"
    parts = [gzip.compress(whole[:9_999]), gzip.compress(whole[9_999:])]
    path.write_bytes(parts[0] + parts[1] + bytes(300) + b"something else")
    content = gzip_content.GzipContent(path)
    for start in random.Random(1).sample(range(30_100), 60):
        assert content.read(start, 1_500) == whole[start : start + 1_500]


def test_an_archive_that_changes_is_read_again(tmp_path: Path, images: dict[str, bytes]) -> None:
    packed = pack(tmp_path / "a.tar", {"x.png": images["one/0.png"]})
    assert decode(packed / "x.png").size == (44, 40)
    pack(packed, {"longer": bytes(9999), "x.png": images["one/3.png"]})
    assert decode(packed / "x.png").size == (44, 43)


def test_an_image_with_the_suffix_of_an_archive_is_an_image(
    tmp_path: Path, images: dict[str, bytes]
) -> None:
    (tmp_path / "photo.zip").write_bytes(images["one/0.png"])
    names, _ = found(tmp_path)
    assert [decode(Path(name)).size for name in names] == [(44, 40)]


TINY_PNG = io.BytesIO()
Image.new("RGB", (3, 2), (9, 8, 7)).save(TINY_PNG, "PNG")


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(["tar", "tar.gz", "zip"]), st.data())
def test_damage_is_only_ever_an_error_row(kind: str, data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as folder:
        members = {f"{number}.png": TINY_PNG.getvalue() for number in range(3)}
        packed = pack(Path(folder) / f"a.{kind}", members)
        content = bytearray(packed.read_bytes())
        for _ in range(data.draw(st.integers(1, 4))):
            place = data.draw(st.integers(0, len(content) - 1))
            content[place] = data.draw(st.integers(0, 255))
        packed.write_bytes(content[: data.draw(st.integers(1, len(content)))])
        for name in found(packed)[0]:
            with suppress(ImageError):
                decode(Path(name))
