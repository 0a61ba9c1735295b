"""Requests to the server, and how to compare its answers."""

import io
import socket
from functools import cache

import numpy as np
import pytest
from bundled_models import BREEDS
from PIL import Image

from ghostnet import kernels
from ghostnet.data.transforms import decode
from ghostnet.hub import open_model
from ghostnet.hub.catalog import assets_folder

IMAGES = sorted((assets_folder() / "images").glob("*.jpg"))
CAT = IMAGES[0].read_bytes()
MODEL = "ghostnet_v1.0_pets"
INFER = f"v2/models/{MODEL}/infer"
TOLERANCE = 1e-5
"""Largest difference of two probabilities from batches of different sizes."""


def form(*images: tuple[str, bytes]) -> list[tuple[str, tuple[str, bytes]]]:
    """The files of a multipart form, as requests takes them."""
    return [("image", image) for image in images]


def plain_image(width: int, height: int, kind: str = "PNG") -> bytes:
    """The bytes of a plain image; a large one takes long to decode and few bytes."""
    file = io.BytesIO()
    Image.new("P", (width, height), 7).save(file, kind)
    return file.getvalue()


@cache
def images_and_logits() -> tuple[np.ndarray, np.ndarray]:
    """The images of the assets, preprocessed, and what the fused network answers."""
    model = open_model(BREEDS)
    images = np.stack([model.preprocess(decode(path)) for path in IMAGES])
    return images, kernels.Session(model.architecture, model.parameters)(images)


SLOW = plain_image(3000, 3000)
"""An image that takes a good part of a tenth of a second to decode."""

HALVES = {
    "nothing": b"",
    "half a line": b"POST /pre",
    "half the headers": b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Le",
    "half the body": b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nhalf",
    "half a chunk": b"POST /predict HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nab",
}
"""Requests of which the rest never comes, by what was sent."""


def assert_same(answers: object, expected: object) -> None:
    """Two documents of answers differ at most by the tolerance of a probability."""
    for answer, other in zip(answers, expected, strict=True):
        assert answer["file"] == other["file"]
        assert answer.get("error") == other.get("error")
        for one, two in zip(
            answer.get("predictions", []), other.get("predictions", []), strict=True
        ):
            assert (one["label"], one["index"]) == (two["label"], two["index"])
            assert one["probability"] == pytest.approx(two["probability"], abs=TOLERANCE)


def ends(connection: socket.socket) -> bool:
    """Whether the server closes a connection without a word."""
    with connection:
        try:
            return connection.recv(1) == b""
        except ConnectionResetError:
            return True
