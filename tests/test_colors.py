"""Colors as a screen shows them: profiles, and what is transparent."""

import io
import struct
import warnings

import numpy as np
import pytest
from color_profiles import PROPHOTO, SRGB, of_gray, of_inks, of_primaries
from deep_images import chunk, png
from PIL import Image, ImageCms

from ghostnet.data.transforms import Preprocess, decode
from ghostnet.hub import open_model
from ghostnet.hub.catalog import assets_folder

IMAGES = sorted((assets_folder() / "images").glob("*.jpg"))

WIDE = of_primaries(PROPHOTO, 1.8)
"""A profile with a much wider gamut than sRGB's."""


def encoded(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def in_prophoto(image: Image.Image) -> Image.Image:
    """The same colors as other numbers, computed here."""
    to_xyz = np.array(SRGB).reshape(3, 3).T
    from_xyz = np.linalg.inv(np.array(PROPHOTO).reshape(3, 3).T)
    values = np.asarray(image) / 255
    linear = np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)
    wide = (linear @ to_xyz.T @ from_xyz.T).clip(0, 1) ** (1 / 1.8)
    return Image.fromarray(np.rint(wide * 255).astype(np.uint8))


def difference(found: Image.Image, expected: Image.Image) -> float:
    return float(np.abs(np.asarray(found, float) - np.asarray(expected, float)).max())


# Profiles -------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP"])
def test_colors_with_a_profile_are_converted(kind: str) -> None:
    photograph = decode(IMAGES[0]).resize((60, 40))
    options = {"lossless": True} if kind == "WEBP" else {}
    content = encoded(in_prophoto(photograph), kind, icc_profile=WIDE, **options)
    assert difference(decode(content), photograph) <= 6
    with Image.open(io.BytesIO(content)) as opened:
        assert difference(opened, photograph) > 40


def test_a_photograph_in_another_color_space_has_its_logits() -> None:
    model = open_model("ghostnet/cpu/2.10/ghostnet_v1.0_pets")
    for file in IMAGES[:3]:
        photograph = decode(file)
        wide = encoded(in_prophoto(photograph), icc_profile=WIDE)
        expected = model.predict(photograph).logits
        assert np.abs(model.predict(wide).logits - expected).max() < 0.5
        with Image.open(io.BytesIO(wide)) as image:
            assert np.abs(model.predict(image).logits - expected).max() < 0.5


def test_a_profile_of_srgb_changes_nothing() -> None:
    photograph = decode(IMAGES[0])
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    plain, profiled = (
        decode(encoded(photograph, "JPEG", **options)) for options in ({}, {"icc_profile": srgb})
    )
    assert difference(profiled, plain) == 0


def test_gray_images_have_profiles_too() -> None:
    ramp = Image.fromarray(np.arange(256, dtype=np.uint8).reshape(16, 16))
    found = np.asarray(decode(encoded(ramp, icc_profile=of_gray(1.0))))
    assert found[8, 0].tolist() == pytest.approx([188] * 3, abs=1)  # sRGB of one half
    deep = Image.fromarray(np.asarray(ramp).astype(np.uint16) * 257)
    assert (np.asarray(decode(encoded(deep, icc_profile=of_gray(1.0)))) == found).all()


def test_inks_are_what_their_profile_says() -> None:
    inks = Image.new("CMYK", (16, 16), (255, 0, 0, 0))
    plain, profiled = (
        np.asarray(decode(encoded(inks, "TIFF", **options)))[8, 8]
        for options in ({}, {"icc_profile": of_inks()})
    )
    assert plain.tolist() == [0, 255, 255]
    assert np.ptp(profiled) < 4  # in the test's profile, cyan is a gray
    assert 150 < profiled.mean() < 220


def test_the_colors_of_a_palette_have_a_profile(recwarn: pytest.WarningsRecorder) -> None:
    image = Image.new("P", (16, 16), 0)
    image.putpalette([40, 200, 40] * 256)
    found = decode(encoded(image, icc_profile=WIDE)).getpixel((8, 8))
    assert found == decode(encoded(image.convert("RGB"), icc_profile=WIDE)).getpixel((8, 8))
    assert found != (40, 200, 40)


def with_gamma(content: bytes, gamma: float, *others: bytes) -> bytes:
    """A PNG file that states a gamma."""
    stated = chunk(b"gAMA", struct.pack(">I", round(gamma * 100_000)))
    return content[:33] + b"".join((stated, *others)) + content[33:]


def test_the_gamma_of_a_png_file_is_applied() -> None:
    light = Image.new("RGB", (16, 16), (55, 128, 255))
    expected = (128, 188, 255)
    assert decode(with_gamma(encoded(light), 1)).getpixel((8, 8)) == pytest.approx(expected, abs=1)
    deep = np.asarray(light).astype(np.uint16) * 257
    for content in (png(deep), png(deep[..., 1])):
        found = decode(with_gamma(content, 1)).getpixel((8, 8))
        assert found[1] == pytest.approx(188, abs=1)
    for content in (
        with_gamma(encoded(light), 1 / 2.2),
        with_gamma(encoded(light), 1, chunk(b"sRGB", b"\0")),
    ):
        assert difference(decode(content), light) == 0


def test_lab_is_decoded() -> None:
    content = encoded(Image.new("LAB", (16, 16), (255, 128, 128)), "TIFF")
    assert min(decode(content).getpixel((8, 8))) >= 254


@pytest.mark.parametrize("profile", [b"no profile", WIDE[:200], of_inks(), of_gray(1.0)])
def test_a_profile_that_does_not_apply_is_ignored_with_one_note(profile: bytes) -> None:
    content = encoded(Image.new("RGB", (16, 16), (9, 99, 199)), icc_profile=profile + b"once")
    with pytest.warns(UserWarning, match="profile does not apply and is ignored") as notes:
        found = [decode(content).getpixel((8, 8)) for _ in range(3)]
    assert found == [(9, 99, 199)] * 3
    assert len(notes) == 1


# Transparency ---------------------------------------------------------------------------------

RED, CLEAR = (200, 30, 30), (0, 0, 200)


def half_clear() -> Image.Image:
    """Red, and to the right something blue that is transparent."""
    image = Image.new("RGBA", (16, 16), (*RED, 255))
    image.paste((*CLEAR, 0), (8, 0, 16, 16))
    return image


def palette_image(**options: object) -> bytes:
    image = Image.new("P", (16, 16), 0)
    image.paste(1, (8, 0, 16, 16))
    image.putpalette([*RED, *CLEAR])
    return encoded(image, **options)


def keyed_image() -> bytes:
    return encoded(half_clear().convert("RGB"), transparency=CLEAR)


@pytest.mark.parametrize(
    "content",
    [
        encoded(half_clear()),
        encoded(half_clear(), "TIFF"),
        encoded(half_clear(), "WEBP", lossless=True),
        palette_image(transparency=1),
        palette_image(transparency=bytes([255, 0])),
        palette_image(kind="GIF", transparency=1),
        keyed_image(),
    ],
    ids=["PNG", "TIFF", "WebP", "palette", "palette with opacities", "GIF", "color key"],
)
def test_what_is_transparent_is_white(content: bytes) -> None:
    image = decode(content)
    assert image.mode == "RGB"
    assert image.getpixel((2, 8)) == pytest.approx(RED, abs=3)
    assert image.getpixel((13, 8)) == (255, 255, 255)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_gray_key_is_white(dtype: type) -> None:
    values = np.full((16, 16), 100, dtype) * (257 if dtype == np.uint16 else 1)
    values[:, 8:] = 7
    image = decode(encoded(Image.fromarray(values), transparency=7))
    assert [image.getpixel((x, 8)) for x in (2, 13)] == [(100,) * 3, (255,) * 3]


def test_gray_with_opacity_is_on_white() -> None:
    image = Image.new("LA", (16, 16), (100, 255))
    image.paste((0, 51), (8, 0, 16, 16))
    found = decode(encoded(image))
    assert [found.getpixel((x, 8)) for x in (2, 13)] == [(100,) * 3, (204,) * 3]


def test_images_and_arrays_that_are_passed_are_on_white_too() -> None:
    model = open_model("ghostnet/cpu/2.10/ghostnet_v1.0_pets")
    image = half_clear().resize((256, 256))
    expected = model.predict(encoded(image)).logits
    assert (model.predict(image).logits == expected).all()
    assert (model.predict(np.asarray(image)).logits == expected).all()
    deep = np.asarray(image).astype(np.uint16) * 257
    assert (model.predict(deep).logits == expected).all()


def test_an_opaque_image_is_what_it_was() -> None:
    photograph = decode(IMAGES[0])
    assert difference(decode(encoded(photograph.convert("RGBA"))), photograph) == 0


def test_what_lies_under_transparency_decides_nothing() -> None:
    preprocess = Preprocess(64)
    rng = np.random.default_rng(5)
    seen = []
    for _ in range(2):
        pixels = rng.integers(0, 256, (64, 64, 4), dtype=np.uint8)
        pixels[..., 3] = 0
        pixels[20:40, 20:40] = (*RED, 255)
        seen.append(preprocess(decode(encoded(Image.fromarray(pixels)))))
    assert (seen[0] == seen[1]).all()


def test_a_profile_and_transparency_go_together() -> None:
    content = encoded(half_clear(), icc_profile=WIDE)
    expected = decode(encoded(Image.new("RGB", (16, 16), RED), icc_profile=WIDE))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = decode(content)
    assert found.getpixel((2, 8)) == expected.getpixel((2, 8)) != RED
    assert found.getpixel((13, 8)) == (255, 255, 255)
