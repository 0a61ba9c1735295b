"""Images of any depth: what a network sees does not depend on how wide the file's numbers are."""

import struct
import warnings
from pathlib import Path

import numpy as np
import pytest
from deep_images import chunk, png, ppm, tiff, tiff_of_colors
from PIL import Image

from ghostnet.data.transforms import decode
from ghostnet.errors import ImageError
from ghostnet.hub import open_model
from ghostnet.hub.catalog import assets_folder

CAT = assets_folder() / "images" / "cat.jpg"

RAMP = np.arange(256, dtype=np.uint8).repeat(4).reshape(32, 32)
"""Every gray value of 8 bits."""


def gray(content: bytes) -> np.ndarray:
    return np.asarray(decode(content))[..., 0]


@pytest.fixture
def no_note() -> None:
    """A file that states its depth is read without a note."""
    warnings.simplefilter("error")


# Gray -----------------------------------------------------------------------------------------


def test_all_of_sixteen_bits_are_scaled(no_note: None) -> None:
    ramp = np.arange(0, 65536, 64, dtype=np.uint16).reshape(32, 32)
    for content in (png(ramp), tiff(ramp), tiff(ramp.astype(np.int32)), ppm("P5", 65535, ramp)):
        np.testing.assert_array_equal(gray(content), ramp >> 8)


@pytest.mark.parametrize("depth", [8, 10, 12, 14])
@pytest.mark.parametrize(
    "write",
    [
        png,
        tiff,
        lambda values: tiff(values.astype(">u2")),
        lambda values: tiff(values.astype(np.int32)),
    ],
    ids=["PNG", "TIFF", "big-endian TIFF", "TIFF of 32 bits"],
)
def test_narrow_values_in_a_wide_file_are_not_dark(write: object, depth: int) -> None:
    with pytest.warns(UserWarning, match=f"hold values of {depth} bits .* read as {depth}-bit"):
        found = gray(write(RAMP.astype(np.uint16) << depth - 8))
    np.testing.assert_array_equal(found, RAMP)


@pytest.mark.parametrize(
    "content",
    [
        tiff(RAMP.astype(np.uint16) * 4, high=4095.0),
        tiff(RAMP.astype(np.int32) * 4 - 100, low=-100.0, high=3995.0),
        tiff(RAMP.astype(np.float32) * 4, high=4095.0),
        png(RAMP.astype(np.uint16) * 4, chunk(b"sBIT", b"\x0c")),
        ppm("P5", 4095, RAMP.astype(np.uint16) * 4),
        ppm("P2", 4095, RAMP.astype(np.uint16) * 4),
    ],
    ids=["TIFF", "signed TIFF", "float TIFF", "PNG", "PGM", "plain PGM"],
)
def test_a_depth_that_is_stated_is_taken(content: bytes, no_note: None) -> None:
    np.testing.assert_allclose(gray(content), RAMP / 4, atol=1)


def test_twelve_packed_bits_are_twelve_bits(no_note: None) -> None:
    values = RAMP.astype(np.uint16) * 4
    first, second = values.reshape(-1, 2).T
    packed = np.stack([first >> 4, (first & 15) << 4 | second >> 8, second & 255], 1)
    content = bytearray(tiff(np.zeros((32, 24), np.uint16)))  # of the same size in bytes
    for tag, old, new in ((256, 24, 32), (258, 16, 12)):
        entry = content.index(struct.pack("<HH", tag, 4 if tag == 256 else 3))
        assert struct.unpack_from("<I", content, entry + 8)[0] in (old, old << 16)
        struct.pack_into("<I", content, entry + 8, new)
    start = len(content) - 32 * 24 * 2
    content[start:] = packed.astype(np.uint8).tobytes()
    np.testing.assert_allclose(gray(bytes(content)), RAMP / 4, atol=1)


@pytest.mark.parametrize("high", [65535.0, float(2**31 - 1), float(2**32 - 1)])
def test_the_range_of_a_whole_type_is_no_statement(high: float) -> None:
    with pytest.warns(UserWarning, match="12 bits"):
        found = gray(tiff(RAMP.astype(np.int32) << 4, high=high))
    np.testing.assert_array_equal(found, RAMP)


def test_a_statement_that_the_values_deny_does_not_count() -> None:
    with pytest.warns(UserWarning, match="12 bits"):
        assert (gray(tiff(RAMP.astype(np.uint16) << 4, high=100.0)) == RAMP).all()
    with pytest.warns(UserWarning, match="12 bits"):
        assert (gray(png(RAMP.astype(np.uint16) << 4, chunk(b"sBIT", b"\x09"))) == RAMP).all()


def test_floats_run_to_one_or_to_255(no_note: None) -> None:
    np.testing.assert_array_equal(gray(tiff(RAMP / np.float32(255))), RAMP)
    np.testing.assert_array_equal(gray(tiff(RAMP.astype(np.float32))), RAMP)


def test_floats_of_a_camera_are_not_clipped() -> None:
    with pytest.warns(UserWarning, match="14 bits"):
        found = gray(tiff(RAMP.astype(np.float32) * 64))
    np.testing.assert_array_equal(found, RAMP)


def test_a_negative_is_shown_as_a_positive() -> None:
    content = bytearray(tiff(RAMP.astype(np.uint16) * 257))
    struct.pack_into("<H", content, content.index(struct.pack("<HHI", 262, 3, 1)) + 8, 0)
    np.testing.assert_array_equal(gray(bytes(content)), 255 - RAMP)


@pytest.mark.parametrize(
    "values",
    [
        np.full((8, 8), 1 << 20, np.int32),
        np.full((8, 8), -3, np.int32),
        np.full((8, 8), -0.5, np.float32),
        np.full((8, 8), np.nan, np.float32),
    ],
)
def test_values_of_an_unknown_range_are_refused(values: np.ndarray, tmp_path: Path) -> None:
    (tmp_path / "gray.tif").write_bytes(tiff(values))
    with pytest.raises(ImageError, match=r"gray\.tif: its values lie between .* of up to 16 bits"):
        decode(tmp_path / "gray.tif")


def test_a_black_image_stays_black() -> None:
    with pytest.warns(UserWarning, match="8 bits"):
        assert not gray(png(np.zeros((8, 8), np.uint16))).any()


def test_the_note_comes_once() -> None:
    with warnings.catch_warnings(record=True) as notes:
        warnings.simplefilter("default")
        for value in (100, 200, 100):
            decode(png(np.full((8, 8), value, np.uint16)))
    assert ["8-bit images" in str(note.message) for note in notes] == [True]


def test_what_is_stated_and_what_is_found_give_the_same_pixels() -> None:
    values = RAMP.astype(np.uint16) * 16 + 7
    with pytest.warns(UserWarning, match="12 bits"):
        found = gray(png(values))
    assert (gray(png(values, chunk(b"sBIT", b"\x0c"))) == found).all()


def test_a_layout_that_cannot_be_read_is_named() -> None:
    content = bytearray(tiff(RAMP.astype(np.float32)))
    entry = content.index(struct.pack("<HHI", 262, 3, 1))  # of a color space that Pillow lacks
    struct.pack_into("<H", content, entry + 8, 32844)
    with pytest.raises(ImageError, match="a TIFF file that is damaged, or in an unusual layout"):
        decode(bytes(content))


# Colors ---------------------------------------------------------------------------------------

COLORS = np.stack([RAMP, RAMP[::-1], RAMP.T], -1)


@pytest.mark.parametrize("depth", [8, 10, 12, 14])
@pytest.mark.parametrize(
    "write",
    [
        png,
        lambda colors: png(np.dstack([colors, np.full((32, 32), 65535)])),
        tiff_of_colors,
        lambda colors: tiff_of_colors(colors, ">"),
        lambda colors: tiff_of_colors(colors, compressed=True),
        lambda colors: tiff_of_colors(colors, ">", compressed=True),
        lambda colors: ppm("P6", 65535, colors),
    ],
    ids=["PNG", "opaque PNG", "TIFF", "big-endian TIFF", "zipped TIFF", "zipped big-endian", "PPM"],
)
def test_narrow_colors_in_a_wide_file_are_not_dark(write: object, depth: int) -> None:
    with pytest.warns(UserWarning, match=f"{depth} bits"):
        found = np.asarray(decode(write(COLORS.astype(np.uint16) << depth - 8)))
    np.testing.assert_array_equal(found, COLORS)


@pytest.mark.parametrize(
    "content",
    [
        png(COLORS.astype(np.uint16) * 4, chunk(b"sBIT", b"\x0c\x0c\x0c")),
        tiff_of_colors(COLORS.astype(np.uint16) * 4, high=4095),
        ppm("P6", 4095, COLORS.astype(np.uint16) * 4),
        ppm("P3", 4095, COLORS.astype(np.uint16) * 4),
    ],
    ids=["PNG", "TIFF", "PPM", "plain PPM"],
)
def test_a_depth_of_colors_that_is_stated_is_taken(content: bytes, no_note: None) -> None:
    np.testing.assert_allclose(np.asarray(decode(content)), COLORS / 4, atol=1)


def test_all_of_sixteen_bits_of_colors_are_scaled(no_note: None) -> None:
    whole = COLORS.astype(np.uint16) * 257
    for content in (png(whole), tiff_of_colors(whole), ppm("P6", 65535, whole)):
        np.testing.assert_array_equal(np.asarray(decode(content)), COLORS)


@pytest.mark.parametrize(
    "content",
    [
        png(np.dstack([RAMP.astype(np.uint16), np.full((32, 32), 65535)])),
        ppm("P3", 65535, COLORS.astype(np.uint16)),
    ],
    ids=["gray with opacity", "plain PPM"],
)
def test_narrow_values_that_cannot_be_read_are_refused(content: bytes) -> None:
    with pytest.raises(ImageError, match="hold 14 bits or fewer"):
        decode(content)


def test_an_image_that_pillow_opened_has_its_depth_too(tmp_path: Path) -> None:
    model = open_model("ghostnet/cpu/2.10/ghostnet_v1.0_pets")
    expected = model.predict(CAT).label
    (tmp_path / "cat.png").write_bytes(png(np.asarray(decode(CAT)).astype(np.uint16) << 4))
    with pytest.warns(UserWarning, match="12 bits"):
        results = [
            model.predict(image)
            for image in (
                tmp_path / "cat.png",
                (tmp_path / "cat.png").read_bytes(),
                Image.open(tmp_path / "cat.png"),
            )
        ]
    assert {result.label for result in results} == {expected}


@pytest.mark.parametrize("factor", [257, 16], ids=["16 bits", "12 bits"])
@pytest.mark.filterwarnings("ignore:some images hold values of 12 bits")
def test_a_color_of_sixteen_bits_can_be_transparent(factor: int) -> None:
    colors = np.full((8, 8, 3), (200, 30, 255), np.uint16) * factor
    colors[:, 4:] = (200 * factor, 30 * factor, 255 * factor - 1)
    key = struct.pack(">3H", *colors[0, 7])
    found = np.asarray(decode(png(colors, chunk(b"tRNS", key))))
    assert [found[0, x].tolist() for x in (0, 7)] == [[200, 30, 255], [255, 255, 255]]
