"""The server refuses images that are slow to decode by their headers."""

import io
import struct

import numpy as np
import pytest
from deep_images import ppm
from model_server import ModelServer
from PIL import Image

from ghostnet import kernels
from ghostnet.data.decoding_time import refuse_slow
from ghostnet.data.transforms import decode, read_header
from ghostnet.errors import ImageError

SMALL, LARGE = (48, 64), (481, 640)


def run_length_bitmap(height: int, width: int) -> bytes:
    """A BMP file whose rows are runs of one color each."""
    data = height * (width // 64 * b"\x40\x07" + b"\0\0") + b"\0\1"
    start = 14 + 40 + 1024
    head = struct.pack("<IHHI", start + len(data), 0, 0, start)
    sizes = (40, width, height, 1, 8, 1, len(data), 0, 0, 256, 0)
    return b"BM" + head + struct.pack("<IiiHHIIiiII", *sizes) + bytes(1024) + data


def gray(height: int, width: int) -> np.ndarray:
    return np.full((height, width), 1000, np.uint16)


def color(height: int, width: int) -> np.ndarray:
    return np.full((height, width, 3), 1000, np.uint16)


def progressive(*size: int) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", size).save(file, "JPEG", progressive=True)
    return file.getvalue()


IN_PYTHON = {
    "color of 16 bits": lambda size: ppm("P6", 4095, color(*size)),
    "gray of 12 bits": lambda size: ppm("P5", 4095, gray(*size)),
    "plain color": lambda size: ppm("P3", 4095, color(*size)),
    "plain gray": lambda size: ppm("P2", 4095, gray(*size)),
    "BMP in runs": lambda size: run_length_bitmap(*size),
}


def check(content: bytes) -> None:
    with read_header(content) as image:
        refuse_slow(image, content)


@pytest.mark.parametrize("make", IN_PYTHON.values(), ids=IN_PYTHON)
def test_what_pillow_decodes_in_python_has_few_pixels(make: object) -> None:
    check(make(SMALL))
    assert decode(make(SMALL)).size == SMALL[::-1]
    with pytest.raises(ImageError, match=r"at most 307,200 pixels, and this one has 640×481"):
        check(make(LARGE))


def test_what_is_decoded_in_c_has_more() -> None:
    for kind in ("PPM", "BMP", "PNG", "TIFF", "GIF", "WEBP"):
        file = io.BytesIO()
        Image.new("RGB", (2000, 2000)).save(file, kind)
        check(file.getvalue())
    check(ppm("P5", 65535, gray(*LARGE)))


def test_an_image_of_many_scans_is_refused() -> None:
    content = progressive(2000, 2000)
    check(content)
    scan = content[content.rindex(b"\xff\xda") : -2]
    with pytest.raises(ImageError, match=r"scans of 2000×2000 pixels are slow to decode"):
        check(content[:-2] + 300 * scan + content[-2:])


@pytest.mark.skipif(not kernels.available(), reason="needs the fused kernels")
def test_the_server_answers_at_once(server: ModelServer) -> None:
    response = server.post("predict", ppm("P6", 4095, color(*LARGE)))
    assert response.status_code == 422
    assert "slow to decode" in response.json()[0]["error"]
