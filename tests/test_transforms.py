"""Preprocessing: one definition, the same from Pillow and from mindspore.dataset, and safe."""

import contextlib
import io
import os
import shutil
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import mindspore.dataset as ds
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from PIL import ExifTags, Image, ImageOps

from ghostnet.data.transforms import MAX_PIXELS, Preprocess, decode, normalize
from ghostnet.errors import ImageError
from ghostnet.hub.catalog import assets_folder

PHOTOGRAPHS = sorted((assets_folder() / "images").glob("*.jpg"))

DECODE = """
import re, sys
from pathlib import Path
from ghostnet.data.transforms import Preprocess, decode
Preprocess()(decode(Path(sys.argv[1])))
print(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1])
"""


def encoded(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def photograph(width: int = 60, height: int = 40) -> Image.Image:
    rng = np.random.default_rng(width * height)
    return Image.fromarray(rng.integers(0, 256, (height, width, 3), dtype=np.uint8))


def test_reference_images_are_met_exactly(shared: Path) -> None:
    reference = np.load(shared / "data/weights/flowers_reference.npz")
    for file, expected in zip(reference["files"], reference["pictures"], strict=False):
        ours = Preprocess()(decode(shared / "data/flowers/val" / str(file)))
        np.testing.assert_allclose(ours, expected, atol=1e-5)


def test_the_dataset_path_gives_the_same(tmp_path: Path) -> None:
    (tmp_path / "photographs").mkdir()
    for path in PHOTOGRAPHS:
        shutil.copy(path, tmp_path / "photographs")
    preprocess = Preprocess(64)
    dataset = ds.ImageFolderDataset(str(tmp_path), num_samples=6, shuffle=False, decode=False)
    mapped = dataset.map(preprocess.dataset_operation, "image").batch(3)
    batches = [row["image"] for row in mapped.create_dict_iterator(output_numpy=True)]
    assert [batch.shape for batch in batches] == [(3, 3, 64, 64)] * 2
    for got, file in zip(np.concatenate(batches), PHOTOGRAPHS[:6], strict=True):
        np.testing.assert_allclose(got, preprocess(preprocess.decode(file)), atol=1e-5)


# Large JPEG files ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("short_side", "kind", "decoded"),
    [
        (None, "JPEG", (900, 600)),
        (300, "JPEG", (900, 600)),
        (150, "JPEG", (450, 300)),
        (37, "JPEG", (113, 75)),
        (8, "JPEG", (113, 75)),
        (37, "PNG", (900, 600)),
    ],
)
def test_a_jpeg_image_is_decoded_no_larger_than_twice_what_is_needed(
    short_side: int | None, kind: str, decoded: tuple[int, int]
) -> None:
    content = encoded(Image.new("RGB", (900, 600)), kind)
    assert decode(content, short_side).size == decoded


def test_gray_and_rotated_jpeg_images_are_reduced_alike() -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    content = encoded(Image.new("L", (800, 400), 90), "JPEG", exif=exif)
    image = decode(content, 50)
    assert (image.size, image.mode) == ((100, 200), "RGB")
    assert image.getpixel((50, 100)) == (90, 90, 90)


def test_reduced_photographs_look_the_same() -> None:
    preprocess = Preprocess(56)
    for file in PHOTOGRAPHS:
        whole, small = decode(file), preprocess.decode(file)
        assert small.size != whole.size
        expected, found = (np.asarray(preprocess.crop(x), np.float32) for x in (whole, small))
        assert np.abs(found - expected).mean() < 8


# Size and values ----------------------------------------------------------------------------


@pytest.mark.parametrize(("image_size", "resize"), [(224, 256), (240, 274), (64, 73)])
def test_resize_is_eight_sevenths_of_the_crop(image_size: int, resize: int) -> None:
    preprocess = Preprocess(image_size)
    assert preprocess.resize_size == resize
    assert preprocess(photograph()).shape == (3, image_size, image_size)


def test_normalization() -> None:
    gray = Image.new("RGB", (50, 50), (124, 116, 104))  # ImageNet's mean in bytes
    assert np.abs(Preprocess(32)(gray)).max() < 0.02


@given(width=st.integers(1, 120), height=st.integers(1, 120), size=st.integers(8, 48))
@settings(max_examples=60, deadline=None)
def test_any_size_of_image_gives_the_size_asked_for(width: int, height: int, size: int) -> None:
    data = encoded(photograph(width, height))
    if max(width, height) > 50 * min(width, height):
        with pytest.raises(ImageError, match="crop the image first"):
            decode(data)
        return
    array = Preprocess(size)(decode(data))
    assert array.shape == (3, size, size)
    assert array.dtype == np.float32
    assert np.isfinite(array).all()


@given(width=st.integers(20, 120), height=st.integers(20, 120), size=st.integers(8, 48))
@settings(max_examples=60, deadline=None)
def test_the_crop_is_the_middle_of_the_resized_image(width: int, height: int, size: int) -> None:
    assume(height <= 2 * width)  # Pillow 13 does taller ones in another order
    noise = np.random.default_rng(width * height).integers(0, 256, (height, width, 3), np.uint8)
    preprocess = Preprocess(size)
    scale = preprocess.resize_size / min(width, height)
    resized = Image.fromarray(noise).resize(
        tuple(
            preprocess.resize_size if side == min(width, height) else int(side * scale)
            for side in (width, height)
        ),
        Image.Resampling.BICUBIC,
    )
    left, top = (round((side - size) / 2) for side in resized.size)
    middle = resized.crop((left, top, left + size, top + size))
    np.testing.assert_array_equal(preprocess.crop(Image.fromarray(noise)), middle)


def test_normalizing_into_an_array_is_normalizing() -> None:
    out = np.zeros((2, 3, 48, 64), np.float32)
    assert normalize(photograph(64, 48), out=out[1]) is not None
    np.testing.assert_array_equal(out[1], normalize(photograph(64, 48)))
    assert not out[0].any()


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "F"])
def test_any_mode_becomes_rgb(mode: str) -> None:
    gray = photograph().convert("L")
    assert decode(encoded(gray.convert(mode), "TIFF")).mode == "RGB"


def test_exif_orientation_turns_the_image() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by 90 degrees
    assert decode(encoded(photograph(60, 40), "JPEG", exif=exif)).size == (40, 60)


def test_a_truncated_image_is_an_error(tmp_path: Path) -> None:
    file = tmp_path / "half.jpg"
    whole = encoded(photograph(300, 300), "JPEG")
    file.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ImageError, match=r"half\.jpg: cannot be decoded"):
        decode(file)


def test_a_file_that_is_no_image_is_an_error(tmp_path: Path) -> None:
    file = tmp_path / "notes.jpg"
    file.write_text("not an image")
    with pytest.raises(ImageError, match=r"notes\.jpg: not an image"):
        decode(file)


def test_a_format_that_needs_another_program_is_an_error() -> None:
    with pytest.raises(ImageError, match=r"not an image \(BMP, GIF, JPEG"):
        decode(encoded(photograph(), "EPS"))


def test_a_missing_file_and_a_folder_are_errors(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="no such file"):
        decode(tmp_path / "none.jpg")
    with pytest.raises(ImageError, match="cannot be decoded"):
        decode(tmp_path)


def test_a_pipe_that_nobody_writes_to_is_an_error(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    with pytest.raises(ImageError, match="not a regular file"):
        decode(tmp_path / "pipe.jpg")


@pytest.mark.parametrize("factor", [1, 4])
def test_a_decompression_bomb_is_refused_before_it_is_decoded(factor: int) -> None:
    side = int((factor * MAX_PIXELS) ** 0.5) + 1
    header = encoded(Image.new("1", (1, 1)))
    start = header.index(b"IHDR") + 4
    body = side.to_bytes(4, "big") * 2 + header[start + 8 : start + 13]
    crc = zlib.crc32(b"IHDR" + body).to_bytes(4, "big")
    bomb = header[:start] + body + crc + header[start + 17 :]
    with pytest.raises(ImageError, match=r"more than 100,000,000 pixels|too large"):
        decode(bomb)


def test_the_largest_image_is_in_memory_once(tmp_path: Path) -> None:
    side = int(MAX_PIXELS**0.5)
    Image.new("RGB", (side, side)).save(tmp_path / "large.png", compress_level=1)
    done = subprocess.run(
        [sys.executable, "-c", DECODE, tmp_path / "large.png"],
        capture_output=True,
        text=True,
        check=True,
    )
    once = 4 * MAX_PIXELS  # bytes: Pillow pads a pixel to four
    assert once < int(done.stdout) * 1024 < 1.5 * once


@given(st.binary(max_size=400))
@settings(max_examples=150, deadline=None)
def test_no_bytes_raise_anything_but_our_error(data: bytes) -> None:
    with pytest.raises(ImageError):
        decode(data)


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_content_may_have_any_type_of_bytes(kind: type) -> None:
    content = encoded(photograph(32, 32), "PNG")
    assert decode(kind(content)).size == (32, 32)
    with pytest.raises(ImageError, match=r"^these bytes: cannot be decoded|^these bytes: not an"):
        decode(kind(content[:50]))


@given(position=st.integers(0, 10_000), value=st.integers(0, 255))
@settings(max_examples=150, deadline=None)
def test_a_flipped_byte_gives_an_image_or_our_error(position: int, value: int) -> None:
    data = bytearray(encoded(photograph(32, 32), "JPEG"))
    data[position % len(data)] = value
    with contextlib.suppress(ImageError):
        assert decode(bytes(data)).mode == "RGB"


def test_an_image_whose_metadata_is_odd_is_turned_all_the_same(tmp_path: Path) -> None:
    image = photograph()
    orientation = struct.pack("<HHIHH", ExifTags.Base.Orientation, 3, 1, 6, 0)
    software = struct.pack("<HHII", ExifTags.Base.Software, 5, 1, 38)  # a rational, not text
    directory = struct.pack("<H", 2) + orientation + software + bytes(4)
    exif = b"Exif\0\0II*\0\x08\0\0\0" + directory + struct.pack("<II", 7, 2)
    image.save(tmp_path / "odd.jpg", exif=exif)
    assert decode(tmp_path / "odd.jpg").size == image.size[::-1]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_is_what_pillow_makes_of_it(orientation: int, tmp_path: Path) -> None:
    image = photograph()
    exif = image.getexif()
    exif[ExifTags.Base.Orientation] = orientation
    image.save(tmp_path / "turned.png", exif=exif)
    with Image.open(tmp_path / "turned.png") as opened:
        expected = ImageOps.exif_transpose(opened)
    assert np.array_equal(decode(tmp_path / "turned.png"), expected.convert("RGB"))
