"""What images take while they are decoded, measured, is at most what their headers let expect."""

import io
import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import color_profiles
import numpy as np
from deep_images import chunk, png, tiff_of_colors
from PIL import ExifTags, Image, features

from ghostnet.data.decoding_memory import FIXED, decoding_bytes
from ghostnet.data.image_formats import missing
from ghostnet.data.transforms import read_header

SIZE, SMALL = (1200, 1000), (60, 50)
SIDE = 256
"""Of the short side that images are resized to."""

# In a process for each image: what others have left behind would be taken for its own.
PROGRAM = """
import io, os, sys
from pathlib import Path
from PIL import Image
from ghostnet.data.transforms import Preprocess

def kib(name):
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name))

def prepare(content):
    preprocess.put(preprocess.decode(content), place)

preprocess = Preprocess(224)
place = preprocess.blank(1)[0]
for path in map(Path, sys.argv[1:]):
    content = path.read_bytes()
    small = path.with_suffix(".small").read_bytes()
    if os.fork() == 0:
        prepare(small)
        Path("/proc/self/clear_refs").write_text("5")
        before = kib("VmRSS")
        prepare(content)
        print(path.stem, 1024 * (kib("VmHWM") - before), flush=True)
        os._exit(0)
    os.wait()
"""


def plain(mode: str, format: str, **options: object) -> Callable[[tuple[int, int]], bytes]:
    """What makes a plain image of a size."""

    def make(size: tuple[int, int]) -> bytes:
        file = io.BytesIO()
        bands = len(Image.new(mode, (1, 1)).getbands())
        image = Image.new(mode, size, 7 if bands == 1 else (7,) * bands)
        image.save(file, format, **options)
        return file.getvalue()

    return make


def deep(*channels: int, clear: bytes = b"") -> Callable[[tuple[int, int]], bytes]:
    """What makes a PNG image of 16 bits a channel, with a transparent color or without."""

    def make(size: tuple[int, int]) -> bytes:
        values = np.full((size[1], size[0], *channels), 1023, np.uint16)
        return png(values, *([chunk(b"tRNS", clear)] if clear else []))

    return make


def deep_tiff(size: tuple[int, int]) -> bytes:
    return tiff_of_colors(np.full((size[1], size[0], 3), 1023, np.uint16), compressed=True)


def in_several_scans(size: tuple[int, int]) -> bytes:
    """A JPEG image that is not progressive, but has a scan for each layer, and no end."""
    content = plain("RGB", "JPEG", subsampling=0)(size)
    start = content.index(b"\xff\xda")
    return content[:start] + b"\xff\xda\0\x08\x01\x01\0\0\x3f\0" + content[start + 14 :]


orientation = Image.Exif()
orientation[ExifTags.Base.Orientation] = 6
TURNED = {"exif": orientation.tobytes()}
PROPHOTO = {"icc_profile": color_profiles.of_primaries(color_profiles.PROPHOTO, 1.8)}
INKS = {"icc_profile": color_profiles.of_inks()}
LZW = {"compression": "tiff_lzw"}

KINDS = {
    "jpeg": plain("RGB", "JPEG", **PROPHOTO, **TURNED),
    "progressive": plain("RGB", "JPEG", progressive=True, subsampling=0),
    "progressive inks": plain("CMYK", "JPEG", progressive=True, **INKS),
    "several scans": in_several_scans,
    "1": plain("1", "PNG", **TURNED),
    "gray": plain("L", "PNG", icc_profile=color_profiles.of_gray(1.8), **TURNED),
    "gray with alpha": plain("LA", "PNG", **TURNED),
    "palette": plain("P", "PNG", **TURNED),
    "palette in a profile": plain("P", "PNG", **PROPHOTO, **TURNED),
    "palette with a clear color": plain("P", "PNG", transparency=7, **TURNED),
    "colors": plain("RGB", "PNG", **TURNED),
    "colors in a profile": plain("RGB", "PNG", **PROPHOTO, **TURNED),
    "a clear color": plain("RGB", "PNG", transparency=(7, 7, 7), **TURNED),
    "alpha": plain("RGBA", "PNG", **TURNED),
    "alpha in a profile": plain("RGBA", "PNG", **PROPHOTO, **TURNED),
    "deep gray": deep(),
    "deep gray with a clear value": deep(clear=b"\x03\xff"),
    "deep colors": deep(3),
    "deep colors with a clear one": deep(3, clear=b"\x03\xff" * 3),
    "deep alpha": deep(4),
    "deep tiff": deep_tiff,
    "gif": plain("P", "GIF"),
    "bmp": plain("P", "BMP"),
    "ppm": plain("RGB", "PPM"),
    "tiff": plain("RGB", "TIFF", **LZW, **TURNED),
    "tiff in one strip": plain("RGB", "TIFF", strip_size=2**30, **LZW),
    "tiff of inks": plain("CMYK", "TIFF", **LZW, **TURNED),
    "tiff of lab": plain("LAB", "TIFF", **LZW, **TURNED),
    "tiff of integers": plain("I", "TIFF", strip_size=2**30, **LZW),
    "tiff of floats": plain("F", "TIFF", strip_size=2**30, **LZW),
    "webp": plain("RGB", "WEBP", method=0, **TURNED),
    "webp with alpha": plain("RGBA", "WEBP", lossless=True, method=0),
}
if features.check("avif"):
    KINDS["avif"] = plain("RGB", "AVIF", speed=10, **TURNED)
    KINDS["avif with alpha"] = plain("RGBA", "AVIF", speed=10, subsampling="4:4:4")
if find_spec("pillow_heif"):
    KINDS["heic with alpha"] = plain("RGBA", "HEIF")


def expected_bytes(content: bytes) -> int:
    with read_header(content) as image:
        return decoding_bytes(image, content, SIDE)


def test_images_take_what_their_headers_let_expect(tmp_path: Path) -> None:
    if find_spec("pillow_heif"):
        assert not missing("HEIF")
    files, expected = [], {}
    for kind, make in KINDS.items():
        content = make(SIZE)
        expected[kind] = expected_bytes(content)
        files.append(tmp_path / kind)
        files[-1].write_bytes(content)
        files[-1].with_suffix(".small").write_bytes(make(SMALL))
    command = [sys.executable, "-W", "ignore", "-c", PROGRAM, *map(str, files)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    taken = {
        kind: int(size) for kind, size in (line.rsplit(" ", 1) for line in done.stdout.splitlines())
    }
    assert taken.keys() == expected.keys(), done.stderr
    beyond = {kind for kind in KINDS if taken[kind] > expected[kind] - FIXED / 2}
    assert not beyond


def test_a_small_part_of_a_large_jpeg_image_is_decoded() -> None:
    content = plain("RGB", "JPEG")((4000, 3000))
    assert expected_bytes(content) < 2 * FIXED + 16 * SIDE * 4000
