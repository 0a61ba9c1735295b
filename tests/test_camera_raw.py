"""Camera raw files begin with a thumbnail, by which they are never labeled."""

import io
import json
import struct
from pathlib import Path

import numpy as np
import pytest
from command_line import Ghostnet
from extras import cases_with
from PIL import Image, TiffImagePlugin, features

from ghostnet.data.camera_raw import REASON, SUFFIXES
from ghostnet.data.image_folder import find_images
from ghostnet.data.left_out import LeftOut
from ghostnet.data.transforms import decode
from ghostnet.errors import ImageError
from ghostnet.hub.catalog import assets_folder

CAT = assets_folder() / "images" / "cat.jpg"
SUBFILE_TYPE, SUB_IFDS, CFA_PATTERN, TIFF_EP, DNG_VERSION = 254, 330, 33422, 37398, 50706


def raw(**fields: object) -> bytes:
    """A TIFF file whose first image is a thumbnail, as cameras write them."""
    info = TiffImagePlugin.ImageFileDirectory_v2()
    tags = {"reduced": SUBFILE_TYPE, "others": SUB_IFDS, "version": DNG_VERSION}
    tags |= {"standard": TIFF_EP, "pattern": CFA_PATTERN}
    for name, value in fields.items():
        info[tags[name]] = value
        if name != "reduced":
            info.tagtype[tags[name]] = 13 if name == "others" else 1
    with Image.open(CAT) as image:
        buffer = io.BytesIO()
        image.resize((160, 120)).save(buffer, "TIFF", tiffinfo=info)
    return buffer.getvalue()


RAWS = {
    "DNG": raw(reduced=1, version=b"\1\4\0\0"),
    "NEF": raw(reduced=1, standard=b"\1\0\0\0"),
    "mosaic": raw(pattern=b"\0\1\1\2"),
    "CR2": b"II*\0\x10\0\0\0CR\2\0" + bytes(300),
    "CR3": b"\0\0\0\x18ftypcrx \0\0\0\1crx isom" + bytes(300),
    "RAF": b"FUJIFILMCCD-RAW 0201" + bytes(300),
    "RW2": b"IIU\0\x18\0\0\0" + bytes(300),
    "ORF": b"IIRO\x08\0\0\0" + bytes(300),
}


@pytest.mark.parametrize("kind", RAWS)
def test_a_raw_file_is_known_by_its_content(kind: str, tmp_path: Path) -> None:
    (tmp_path / "photo.tif").write_bytes(RAWS[kind])
    for source in (tmp_path / "photo.tif", RAWS[kind]):
        with pytest.raises(ImageError, match=r"camera raw, .* export it as JPEG"):
            decode(source)


@pytest.mark.parametrize("suffix", sorted({s.upper() for s in SUFFIXES} | {".dng"}))
def test_a_raw_file_is_known_by_its_suffix(suffix: str, tmp_path: Path) -> None:
    file = tmp_path / f"photo{suffix}"
    file.write_bytes(raw())
    with pytest.raises(ImageError, match=rf"photo\{suffix}: camera raw"):
        decode(file)
    left_out = LeftOut()
    assert find_images([tmp_path], left_out) == []
    assert left_out.counts == {REASON: 1}


def test_one_rule_for_folders_lists_and_arguments(ghostnet: Ghostnet, tmp_path: Path) -> None:
    file = tmp_path / "photos" / "IMG_1.dng"
    file.parent.mkdir()
    file.write_bytes(RAWS["DNG"])
    (file.parent / "cat.jpg").write_bytes(CAT.read_bytes())
    (tmp_path / "names.txt").write_text(f"{file}\n")
    for words in ([file], ["--list", tmp_path / "names.txt"]):
        (answer,) = json.loads(ghostnet("predict", *words, "--json", status=1))
        assert REASON in answer["error"]
    image, rest = json.loads(ghostnet("predict", file.parent, "--json"))
    assert image["file"].endswith("cat.jpg")
    assert rest == {"left_out": {REASON: 1}}


def test_a_tiff_file_that_begins_with_a_thumbnail_is_refused(tmp_path: Path) -> None:
    small, large = (Image.new("RGB", size, "red") for size in ((16, 12), (160, 120)))
    small.encoderinfo = {"tiffinfo": {SUBFILE_TYPE: 1}}
    buffer = io.BytesIO()
    small.save(buffer, "TIFF", save_all=True, append_images=[large], tiffinfo={SUBFILE_TYPE: 1})
    with pytest.raises(ImageError, match="begins with a thumbnail"):
        decode(buffer.getvalue())
    with pytest.raises(ImageError, match="begins with a thumbnail"):
        decode(raw(reduced=1, others=8))


def test_other_tiff_files_are_read(tmp_path: Path) -> None:
    pages = [Image.new("RGB", (16, 12), color) for color in ("red", "blue")]
    buffer = io.BytesIO()
    pages[0].save(buffer, "TIFF", save_all=True, append_images=pages[1:])
    assert decode(buffer.getvalue()).getpixel((0, 0)) == (255, 0, 0)
    assert decode(raw(reduced=1)).size == (160, 120)  # the only image, whatever it says


# HEIC and AVIF --------------------------------------------------------------------------------


def heic(orientation: int, height: int = 64) -> bytes:
    """A HEIC file whose EXIF data has an orientation that its decoder does not apply."""
    pytest.importorskip("pillow_heif", reason="needs the extra heif").register_heif_opener()
    pixels = np.zeros((64, 64, 3), np.uint8)
    pixels[:32, :32] = (250, 20, 20)
    pixels[:32, 32:] = (20, 250, 20)
    exif = Image.Exif()
    exif[0x0112] = orientation
    buffer = io.BytesIO()
    Image.fromarray(pixels[:height]).save(buffer, "HEIF", exif=exif, quality=95)
    return buffer.getvalue()


def corners(image: Image.Image) -> list[int]:
    """Which channel is bright in each corner, in reading order; -1 where none is."""
    colors = [image.getpixel(place) for place in ((8, 8), (56, 8), (8, 56), (56, 56))]
    return [int(np.argmax(color)) if max(color) > 128 else -1 for color in colors]


@pytest.mark.parametrize(
    ("orientation", "expected"),
    cases_with(
        "pillow_heif",
        [
            (1, [0, 1, -1, -1]),
            (2, [1, 0, -1, -1]),
            (3, [-1, -1, 1, 0]),
            (4, [-1, -1, 0, 1]),
            (5, [0, -1, 1, -1]),
            (6, [-1, 0, -1, 1]),
            (7, [-1, 1, -1, 0]),
            (8, [1, -1, 0, -1]),
        ],
    ),
)
@pytest.mark.nightly
def test_heic_is_turned_by_exif_where_nothing_else_turns_it(
    orientation: int, expected: list[int]
) -> None:
    content = heic(orientation)
    assert b"irot" not in content
    assert corners(decode(content)) == expected


def avif(orientation: int) -> bytes:
    """An AVIF file with an orientation in EXIF alone, where Pillow states it for the decoder."""
    pixels = np.zeros((64, 64, 3), np.uint8)
    pixels[:32, :32] = (250, 20, 20)
    pixels[:32, 32:] = (20, 250, 20)
    exif = Image.Exif()
    exif[0x0128] = 2  # a unit, in whose place an orientation fits
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "AVIF", exif=exif, quality=95)
    unit, turned = struct.pack(">HHIH", 0x0128, 3, 1, 2), (0x0112, 3, 1, orientation)
    assert unit in buffer.getvalue()
    return buffer.getvalue().replace(unit, struct.pack(">HHIH", *turned))


@pytest.mark.skipif(not features.check("avif"), reason="this Pillow was built without AVIF")
def test_avif_is_turned_once() -> None:
    assert corners(decode(avif(1))) == [0, 1, -1, -1]
    assert corners(decode(avif(6))) == [-1, 0, -1, 1]
    exif = Image.Exif()
    exif[0x0112] = 6
    buffer = io.BytesIO()
    decode(avif(1)).save(buffer, "AVIF", exif=exif, quality=95)
    assert b"irot" in buffer.getvalue()
    assert corners(decode(buffer.getvalue())) == [-1, 0, -1, 1]


@pytest.mark.nightly
def test_heic_is_not_turned_twice() -> None:
    turned = bytearray(heic(6, height=32))
    start = turned.index(b"clap")  # the crop of 64 rows to 32, in whose place a rotation fits
    turned[start : start + 5] = b"irot\3"
    _, top_right, _, bottom_right = corners(decode(bytes(turned)))
    assert [top_right, bottom_right] == [0, 1]
