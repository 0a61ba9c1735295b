"""``ghostnet serve``: images, and what is refused as one."""

import io
import json
from pathlib import Path

import numpy as np
import pytest
from command_line import Ghostnet
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from model_server import ModelServer
from PIL import Image
from serving_requests import CAT, IMAGES, INFER, assert_same, form, plain_image

from ghostnet import kernels
from ghostnet.data.transforms import decode
from ghostnet.errors import ImageError

pytestmark = pytest.mark.skipif(
    not kernels.available(), reason=f"no fused kernels here: {kernels.unavailable_reason()}"
)


def test_a_form_is_answered_as_predict_answers(server: ModelServer, ghostnet: Ghostnet) -> None:
    expected = ghostnet.json("predict", *IMAGES)
    sent = form(*((str(path), path.read_bytes()) for path in IMAGES))
    response = server.post("predict", files=sent)
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/json"
    assert_same(response.json(), expected)


@pytest.mark.parametrize("layer", ["head", "pooled"])
def test_embeddings_are_those_of_the_command(
    server: ModelServer, ghostnet: Ghostnet, tmp_path: Path, layer: str
) -> None:
    sent = form(*((str(path), path.read_bytes()) for path in IMAGES[:2]), ("broken", b"no image"))
    ghostnet("embed", *IMAGES[:2], "--out", tmp_path / "out.npy", "--layer", layer)
    expected = np.load(tmp_path / "out.npy")
    response = server.post(f"embed?layer={layer}", files=sent)
    assert response.status_code == 422
    *answers, broken = response.json()
    assert [answer["file"] for answer in answers] == [str(path) for path in IMAGES[:2]]
    assert "not an image" in broken["error"]
    vectors = np.array([answer["embedding"] for answer in answers])
    np.testing.assert_allclose(vectors, expected, rtol=1e-4, atol=1e-5)
    response = server.post(f"embed?layer={layer}&normalize=true", CAT)
    assert response.status_code == 200
    (scaled,) = response.json()
    length = np.linalg.norm(expected[0])
    np.testing.assert_allclose(scaled["embedding"], expected[0] / length, rtol=1e-4, atol=1e-5)
    for query in ("layer=last", "normalize=1"):
        assert server.post(f"embed?{query}", CAT).status_code == 400


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP"])
@pytest.mark.parametrize("top_k", [1, 5, 1000])
def test_a_body_is_an_image_of_any_kind(
    server: ModelServer, ghostnet: Ghostnet, tmp_path: Path, kind: str, top_k: int
) -> None:
    path = tmp_path / f"image.{kind.lower()}"
    decode(IMAGES[1]).resize((300, 260)).save(path, kind)
    (expected,) = ghostnet.json("predict", path, "--top-k", top_k)
    response = server.post(f"predict?top_k={top_k}", path.read_bytes())
    assert_same(response.json(), [{**expected, "file": "-"}])


def test_narrow_values_in_a_wide_file_are_not_dark(server: ModelServer) -> None:
    gray = decode(IMAGES[0]).convert("L")
    answers = []
    for image in (gray, Image.fromarray(np.asarray(gray).astype(np.uint16) << 4)):
        content = io.BytesIO()
        image.save(content, "PNG")
        answers.append(server.post("predict", content.getvalue()).json())
    assert_same(*answers)


BROKEN = {
    "empty": b"",
    "text": b"this is no image",
    "cut": CAT[: len(CAT) // 2],
    "header alone": plain_image(40, 40)[:40],
    "too narrow": plain_image(2, 3000),
    "a program": b"\x7fELF" + bytes(100),
}


@pytest.mark.parametrize("content", BROKEN.values(), ids=BROKEN)
def test_a_broken_image_is_422_with_our_sentence(server: ModelServer, content: bytes) -> None:
    with pytest.raises(ImageError) as sentence:
        decode(content)
    response = server.post("predict", content)
    assert response.status_code == 422
    assert response.json() == [{"file": "-", "error": str(sentence.value)}]


def test_a_broken_image_in_a_form_leaves_the_others_their_labels(server: ModelServer) -> None:
    response = server.post("predict", files=form(("a.jpg", CAT), ("b", b"no"), ("c.jpg", CAT)))
    assert response.status_code == 422
    first, broken, last = response.json()
    assert first["predictions"] == last["predictions"]
    assert (first["file"], broken["file"], last["file"]) == ("a.jpg", "b", "c.jpg")
    assert broken["error"].startswith("these bytes: not an image")


MULTIPART = {"Content-Type": "multipart/form-data; boundary=x"}

MALFORMED = {
    "no boundary": ({"Content-Type": "multipart/form-data"}, b"--x\r\n"),
    "empty": (MULTIPART, b""),
    "no file": (
        MULTIPART,
        b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n--x--\r\n',
    ),
    "no name": (MULTIPART, b"--x\r\nContent-Type: image/png\r\n\r\n1\r\n--x--\r\n"),
    "another boundary": (MULTIPART, b"--y\r\n\r\n\r\n--y--\r\n"),
}


@pytest.mark.parametrize(("headers", "body"), MALFORMED.values(), ids=MALFORMED)
def test_a_malformed_form_is_400(server: ModelServer, headers: dict, body: bytes) -> None:
    response = server.post("predict", body, headers=headers)
    assert response.status_code == 400
    assert "multipart form" in response.json()["error"]


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    path=st.sampled_from(["predict", INFER]),
    body=st.one_of(
        st.binary(max_size=300),
        st.binary(max_size=300).map(lambda content: b"--x\r\nContent-Disposition: " + content),
        st.recursive(
            st.none() | st.floats(allow_nan=True) | st.text(max_size=9) | st.integers(),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(st.sampled_from(["inputs", "name", "shape", "data"]), inner)
            ),
        ).map(lambda value: json.dumps(value).encode()),
    ),
    headers=st.sampled_from([{}, MULTIPART, {"Inference-Header-Content-Length": "2"}]),
)
def test_wild_bodies_are_refused_with_a_sentence(
    server: ModelServer, path: str, body: bytes, headers: dict[str, str]
) -> None:
    response = server.session.post(server.url(path), body, headers=headers, timeout=60)
    assert response.status_code in (400, 422)
    assert "error" in str(response.json())


@pytest.mark.parametrize("top_k", ["0", "-1", "many", "", "²"])
def test_a_wrong_number_of_labels_is_400(server: ModelServer, top_k: str) -> None:
    response = server.post(f"predict?top_k={top_k}", CAT)
    assert response.status_code == 400
    assert response.json()["error"].endswith("it must be a number above 0")
