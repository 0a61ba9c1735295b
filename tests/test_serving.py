"""``ghostnet serve``, as a process, and its clients."""

import base64
import io
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPResponse
from pathlib import Path

import numpy as np
import pytest
import requests
import tritonclient.http as triton
from bundled_models import BREEDS
from command_line import Ghostnet
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from model_server import ModelServer, children, serving, wait_for
from openapi_spec_validator import validate as validate_openapi
from PIL import Image
from tritonclient.utils import InferenceServerException

from ghostnet import kernels
from ghostnet.data.transforms import decode
from ghostnet.errors import ImageError
from ghostnet.hub import open_model
from ghostnet.hub.registry import assets_folder

pytestmark = pytest.mark.skipif(
    not kernels.available(), reason=f"no fused kernels here: {kernels.unavailable_reason()}"
)

REPOSITORY = Path(__file__).resolve().parents[1]
IMAGES = sorted((assets_folder() / "images").glob("*.jpg"))
CAT = IMAGES[0].read_bytes()
MODEL = "ghostnet_v1.0_pets"
INFER = f"v2/models/{MODEL}/infer"
TOLERANCE = 1e-5
"""Largest difference of two probabilities from batches of different sizes."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModelServer]:
    """A server with small limits, which most tests share."""
    log = tmp_path_factory.mktemp("server") / "log"
    words = ("--max-body-mib", 4, "--max-queue", 16, "--max-arrival-s", 2)
    with serving(*words, log=log) as running:
        yield running


def form(*images: tuple[str, bytes]) -> list[tuple[str, tuple[str, bytes]]]:
    """The files of a multipart form, as requests takes them."""
    return [("image", image) for image in images]


def plain_image(width: int, height: int, kind: str = "PNG") -> bytes:
    """The bytes of a plain image; a large one takes long to decode and few bytes."""
    file = io.BytesIO()
    Image.new("P", (width, height), 7).save(file, kind)
    return file.getvalue()


SLOW = plain_image(6000, 6000)
"""An image that takes a good part of a second to decode."""


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


# Images ---------------------------------------------------------------------------------------


def test_a_form_is_answered_as_predict_answers(server: ModelServer, ghostnet: Ghostnet) -> None:
    expected = ghostnet.json("predict", *IMAGES)
    sent = form(*((str(path), path.read_bytes()) for path in IMAGES))
    response = server.post("predict", files=sent)
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/json"
    assert_same(response.json(), expected)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP"])
@pytest.mark.parametrize("top_k", [1, 5, 1000])
def test_a_body_is_an_image_of_any_kind(
    server: ModelServer, ghostnet: Ghostnet, tmp_path: Path, kind: str, top_k: int
) -> None:
    path = tmp_path / f"image.{kind.lower()}"
    Image.open(IMAGES[1]).resize((300, 260)).save(path, kind)
    (expected,) = ghostnet.json("predict", path, "--top-k", top_k)
    response = server.post(f"predict?top_k={top_k}", path.read_bytes())
    assert_same(response.json(), [{**expected, "file": "-"}])


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
    assert broken["error"].startswith("these bytes: expected an image")


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
    assert response.json()["error"].startswith("top_k: expected a number above 0")


# Limits ---------------------------------------------------------------------------------------


def test_a_body_over_the_limit_is_413(server: ModelServer) -> None:
    response = server.post("predict", bytes(4 * 2**20 + 1))
    assert response.status_code == 413
    assert "at most 4 MiB" in response.json()["error"]


def test_a_body_without_length_is_cut_at_the_limit(server: ModelServer) -> None:
    response = server.post("predict", (bytes(2**20) for _ in range(5)))
    assert response.status_code == 413


def test_a_body_that_is_announced_too_large_is_not_asked_for(server: ModelServer) -> None:
    head = (
        b"POST /predict HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n"
    )
    with server.connect(head % 10**12) as connection:
        assert connection.recv(100).startswith(b"HTTP/1.1 413 ")


def test_a_form_has_at_most_as_many_images_as_the_queue_holds(server: ModelServer) -> None:
    for count, status in ((17, 400), (16, 200)):
        response = server.post("predict", files=form(*[("a.png", plain_image(40, 40))] * count))
        assert response.status_code == status, response.text


def test_a_compressed_body_is_415(server: ModelServer) -> None:
    response = server.post("predict", CAT, headers={"Content-Encoding": "gzip"})
    assert response.status_code == 415


def test_a_full_queue_is_503_and_recovers(server: ModelServer) -> None:
    with ThreadPoolExecutor(32) as executor:
        responses = list(executor.map(lambda _: server.post("predict", SLOW), range(32)))
    refused = [response for response in responses if response.status_code == 503]
    assert 0 < len(refused) <= 32 - 16
    assert {response.status_code for response in responses} == {200, 503}
    for response in refused:
        assert response.headers["Retry-After"] == "1"
        assert "try again" in response.json()["error"]
    assert server.post("predict", CAT).status_code == 200


def test_requests_that_wait_together_run_together(server: ModelServer) -> None:
    images, batches = server.metric("ghostnet_batch_images_sum"), batch_count(server)
    expected = server.post("predict", CAT).json()
    with ThreadPoolExecutor(12) as executor:
        responses = list(executor.map(lambda _: server.post("predict", CAT), range(48)))
    for response in responses:
        assert_same(response.json(), expected)
    assert server.metric("ghostnet_batch_images_sum") - images == 49
    assert batch_count(server) - batches < 49


def batch_count(server: ModelServer) -> float:
    return server.metric("ghostnet_batch_images_count")


# Clients that behave badly --------------------------------------------------------------------

HALVES = {
    "nothing": b"",
    "half a line": b"POST /pre",
    "half the headers": b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Le",
    "half the body": b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nhalf",
    "half a chunk": b"POST /predict HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nab",
}


def test_slow_clients_hold_up_nobody_and_are_cut_off(server: ModelServer) -> None:
    connections = [server.connect(content) for content in HALVES.values() for _ in range(60)]
    assert server.post("predict", CAT).status_code == 200
    for connection in connections:
        assert ends(connection)


def ends(connection: socket.socket) -> bool:
    """Whether the server closes a connection without a word."""
    with connection:
        try:
            return connection.recv(1) == b""
        except ConnectionResetError:
            return True


def test_a_client_that_drips_is_cut_off(server: ModelServer) -> None:
    with server.connect(HALVES["half the body"]) as connection:
        connection.settimeout(0.1)
        wait_for(lambda: drips_in_vain(connection))


def drips_in_vain(connection: socket.socket) -> bool:
    """Send a byte; whether the server has closed the connection."""
    try:
        connection.sendall(b".")
        return connection.recv(1) == b""
    except TimeoutError:
        return False
    except OSError:
        return True


def test_a_later_request_on_a_connection_has_to_arrive_too(server: ModelServer) -> None:
    whole = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
    with server.connect(whole) as connection:
        response = HTTPResponse(connection)
        response.begin()
        assert response.status == 200
        response.read()
        connection.sendall(whole[:10])
        assert ends(connection)


@pytest.mark.parametrize("content", [SLOW, SLOW[:100]], ids=["whole", "half"])
def test_clients_that_leave_make_room(server: ModelServer, content: bytes) -> None:
    head = f"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: {len(SLOW)}\r\n\r\n".encode()
    for _ in range(3):  # in all, more than the queue has room for
        leaving = [server.connect(head + content) for _ in range(8)]
        for connection in leaving:
            connection.close()
    wait_for(lambda: server.post("predict", CAT).status_code == 200)
    assert "Traceback" not in server.log.read_text()


@pytest.mark.parametrize(
    "content", [b"\x16\x03\x01\x02\x00" + bytes(50), b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n"]
)
def test_what_is_not_http_is_400_or_closed(server: ModelServer, content: bytes) -> None:
    with server.connect(content) as connection:
        assert connection.recv(100)[:12] in (b"HTTP/1.1 400", b"")


# The Open Inference Protocol ------------------------------------------------------------------


@pytest.fixture
def client(server: ModelServer) -> Iterator[triton.InferenceServerClient]:
    opened = triton.InferenceServerClient(f"127.0.0.1:{server.port}", network_timeout=60)
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def batch() -> np.ndarray:
    """The images of the assets, preprocessed."""
    preprocess = open_model(BREEDS).preprocess
    return np.stack([preprocess(decode(path)) for path in IMAGES])


@pytest.fixture(scope="module")
def logits(batch: np.ndarray) -> np.ndarray:
    model = open_model(BREEDS)
    return kernels.Session(model.architecture, model.parameters)(batch)


def test_triton_client_reads_health_and_metadata(client: triton.InferenceServerClient) -> None:
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready(MODEL)
    assert client.is_model_ready(MODEL, "1")
    assert not client.is_model_ready("another")
    assert "binary_tensor_data" in client.get_server_metadata()["extensions"]
    metadata = client.get_model_metadata(MODEL, "1")
    assert metadata["name"] == MODEL
    assert metadata["inputs"] == [
        {"name": "images", "datatype": "FP32", "shape": [-1, 3, 224, 224]},
        {"name": "encoded_images", "datatype": "BYTES", "shape": [-1]},
    ]
    assert metadata["outputs"][0] == {"name": "logits", "datatype": "FP32", "shape": [-1, 37]}


def tensor(values: np.ndarray, *, is_binary: bool) -> triton.InferInput:
    kind = ("images", "FP32") if values.dtype == np.float32 else ("encoded_images", "BYTES")
    made = triton.InferInput(kind[0], values.shape, kind[1])
    made.set_data_from_numpy(values, binary_data=is_binary)
    return made


@pytest.mark.parametrize(("count", "is_binary"), [(4, True), (1, True), (1, False)])
def test_triton_client_infers_from_floats(
    client: triton.InferenceServerClient,
    batch: np.ndarray,
    logits: np.ndarray,
    count: int,
    is_binary: bool,
) -> None:
    outputs = [triton.InferRequestedOutput("logits", binary_data=is_binary)]
    sent = [tensor(batch[:count], is_binary=is_binary)]
    result = client.infer(MODEL, sent, outputs=outputs, request_id="seven")
    np.testing.assert_allclose(result.as_numpy("logits"), logits[:count], atol=1e-4)
    assert result.get_response()["id"] == "seven"
    assert result.as_numpy("probabilities") is None


@pytest.mark.parametrize("is_binary", [True, False])
@pytest.mark.parametrize("columns", [(), (1,)])
def test_triton_client_infers_from_encoded_images(
    client: triton.InferenceServerClient,
    logits: np.ndarray,
    is_binary: bool,
    columns: tuple[int, ...],
) -> None:
    contents = [path.read_bytes() for path in IMAGES]
    elements = contents if is_binary else [base64.b64encode(content) for content in contents]
    values = np.array(elements, object).reshape(len(IMAGES), *columns)
    result = client.infer(MODEL, [tensor(values, is_binary=is_binary)])
    np.testing.assert_allclose(result.as_numpy("logits"), logits, atol=1e-4)
    np.testing.assert_allclose(result.as_numpy("probabilities").sum(axis=1), 1, atol=1e-5)


def test_triton_client_classifies(
    client: triton.InferenceServerClient, batch: np.ndarray, server: ModelServer
) -> None:
    output = triton.InferRequestedOutput("probabilities", class_count=2)
    result = client.infer(MODEL, [tensor(batch[:1], is_binary=True)], outputs=[output])
    ((first, second),) = result.as_numpy("probabilities")
    best, other, _ = server.post("predict", CAT).json()[0]["predictions"]
    for text, prediction in ((first, best), (second, other)):
        value, index, label = text.decode().split(":")
        assert (int(index), label) == (prediction["index"], prediction["label"])
        assert float(value) == pytest.approx(prediction["probability"], abs=1e-5)


def test_triton_client_meets_a_broken_image(client: triton.InferenceServerClient) -> None:
    sent = [tensor(np.array([CAT, b"no image"], object), is_binary=True)]
    with pytest.raises(InferenceServerException, match="image 1: these bytes: expected an image"):
        client.infer(MODEL, sent)


def test_the_snippet_of_the_page_runs(
    server: ModelServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.chdir(REPOSITORY)
    page = (REPOSITORY / "docs/serving.md").read_text()
    (snippet,) = re.findall(r"^```python\n(.*?)^```", page, re.DOTALL | re.MULTILINE)
    exec(compile(snippet.replace(":8080", f":{server.port}"), "serving.md", "exec"), {})
    (cat,) = server.post("predict?top_k=1", CAT).json()[0]["predictions"]
    assert capsys.readouterr().out.endswith(f":{cat['index']}:{cat['label']}']]\n")


FLOATS = {"name": "images", "datatype": "FP32", "shape": [1, 3, 224, 224], "data": [0.0]}
BYTES = {"name": "encoded_images", "datatype": "BYTES", "shape": [1], "data": [""]}

WRONG = {
    "no JSON": (b"{", 400),
    "no input": ({"inputs": []}, 400),
    "two inputs": ({"inputs": [BYTES, BYTES]}, 400),
    "an unknown input": ({"inputs": [{**BYTES, "name": "text"}]}, 400),
    "another datatype": ({"inputs": [{**FLOATS, "datatype": "INT8"}]}, 400),
    "too few values": ({"inputs": [FLOATS]}, 400),
    "another shape": ({"inputs": [{**FLOATS, "shape": [1, 224, 224, 3]}]}, 400),
    "a negative shape": ({"inputs": [{**FLOATS, "shape": [-1, 3, 224, 224]}]}, 400),
    "words for numbers": ({"inputs": [{**FLOATS, "data": ["a"]}]}, 400),
    "ragged lists": ({"inputs": [{**FLOATS, "data": [[1.0], [1.0, 2.0]]}]}, 400),
    "no base64": ({"inputs": [{**BYTES, "data": ["?"]}]}, 400),
    "numbers for base64": ({"inputs": [{**BYTES, "data": [7]}]}, 400),
    "an unknown output": ({"inputs": [BYTES], "outputs": [{"name": "x"}]}, 400),
    "missing binary": ({"inputs": [{**BYTES, "parameters": {"binary_data_size": 9}}]}, 400),
    "a broken image": ({"inputs": [{**BYTES, "data": ["YWJj"]}]}, 422),
    "too many images": ({"inputs": [{**BYTES, "shape": [17], "data": ["YWJj"] * 17}]}, 413),
}


@pytest.mark.parametrize(("document", "status"), WRONG.values(), ids=WRONG)
def test_a_wrong_inference_request_is_refused(
    server: ModelServer, document: dict | bytes, status: int
) -> None:
    body = document if isinstance(document, bytes) else json.dumps(document)
    response = server.post(INFER, body)
    assert response.status_code == status, response.text
    assert set(response.json()) == {"error"}


@pytest.mark.parametrize("length", ["-1", "x", "9" * 5000, "1000"])
def test_a_wrong_length_of_the_json_is_400(server: ModelServer, length: str) -> None:
    headers = {"Inference-Header-Content-Length": length}
    assert server.post(INFER, b"{}", headers=headers).status_code in (400, 431)


def test_floats_that_are_not_finite_are_refused(server: ModelServer, batch: np.ndarray) -> None:
    bad = np.full_like(batch[:1], np.nan)
    sent = {**FLOATS, "data": None, "parameters": {"binary_data_size": bad.nbytes}}
    head = json.dumps({"inputs": [sent]}).encode()
    headers = {"Inference-Header-Content-Length": str(len(head))}
    response = server.post(INFER, head + bad.tobytes(), headers=headers)
    assert response.status_code == 400
    assert "expected finite values" in response.json()["error"]


@pytest.mark.parametrize("path", ["v2/models/other/infer", f"v2/models/{MODEL}/versions/2/infer"])
def test_another_model_is_404(server: ModelServer, path: str) -> None:
    response = server.post(path, b"{}")
    assert response.status_code == 404
    assert MODEL in response.json()["error"]


# What is shown --------------------------------------------------------------------------------


def test_metrics_count_requests_errors_latency_and_batches(server: ModelServer) -> None:
    names = (
        "ghostnet_requests_total",
        "ghostnet_errors_total",
        "ghostnet_request_seconds_count",
        "ghostnet_batch_images_sum",
        "ghostnet_network_seconds_count",
    )
    before = [server.metric(name) for name in names]
    server.post("predict", CAT)
    server.post("predict", b"broken")
    server.post("nowhere", b"")
    counted = [server.metric(name) - old for name, old in zip(names, before, strict=True)]
    reads = len(names)  # each reading of a metric is a request
    assert counted == [3 + reads, 2, 3 + reads, 1, 1]
    assert 'ghostnet_requests_total{endpoint="predict",status="422"}' in server.get("metrics").text


def test_the_description_is_valid_and_lists_every_address(server: ModelServer) -> None:
    description = server.get("openapi.json").json()
    validate_openapi(description)
    for path, methods in description["paths"].items():
        for method in methods.keys() & {"get", "post"}:
            url = server.url(path[1:].replace("{name}", MODEL))
            response = requests.request(method, url, data=b"{}", timeout=60)
            assert str(response.status_code) in methods[method]["responses"], path


def test_the_pages_load_nothing_from_elsewhere(server: ModelServer) -> None:
    for path in ("", "docs/", "docs/swagger-initializer.js"):
        response = server.get(path)
        assert response.status_code == 200
        assert not re.search(r"(src|href|url)\W{1,3}(https?:)?//", response.text), path
    assert "default-src 'none'" in server.get("").headers["Content-Security-Policy"]
    assert server.get("docs/swagger-ui-bundle.js").status_code == 200


@pytest.mark.slow
def test_a_person_drops_an_image_on_the_page(server: ModelServer) -> None:
    executable = shutil.which("chromium") or shutil.which("google-chrome")
    if executable is None:
        pytest.skip("needs a browser: apt-get install chromium")
    from playwright.sync_api import expect, sync_playwright

    with sync_playwright() as playwright:
        options = ["--no-sandbox", "--disable-gpu"]
        browser = playwright.chromium.launch(executable_path=executable, args=options)
        page = browser.new_page()
        page.goto(server.url(""))
        page.set_input_files("input", IMAGES[0])
        [best, *_] = server.post("predict", CAT).json()[0]["predictions"]
        expect(page.locator("li").first).to_contain_text(best["label"], timeout=60_000)
        page.set_input_files("input", __file__)
        expect(page.get_by_role("status")).to_contain_text("expected an image", timeout=60_000)
        page.goto(server.url("docs/"))
        expect(page.get_by_text("Label an image").first).to_be_visible(timeout=60_000)
        browser.close()


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "predict", 405), ("GET", "x/../y", 404), ("PUT", "", 405)],
)
def test_what_there_is_not_is_said_in_json(
    server: ModelServer, method: str, path: str, status: int
) -> None:
    response = requests.request(method, server.url(path), timeout=60)
    assert response.status_code == status
    assert set(response.json()) == {"error"}


def test_the_server_imports_no_mindspore(server: ModelServer) -> None:
    maps = Path(f"/proc/{server.process.pid}/maps").read_text()
    assert "libghostnet_cpu" in maps
    assert "mindspore" not in maps.replace("/mindspore-ghostnet", "")


# Who may use it -------------------------------------------------------------------------------


def test_the_server_is_reached_on_loopback_only(server: ModelServer) -> None:
    assert server.host == "127.0.0.1"
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.2", server.port), timeout=5)


def test_a_token_is_asked_for_and_not_shown(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("open sesame\n")
    with serving(
        "--host", "0.0.0.0", "--token-file", file, log=tmp_path / "log", GHOSTNET_TOKEN="other"
    ) as server:
        for path in ("predict", INFER, "metrics", "v2", "nowhere"):
            for header in (None, "Bearer other", "Bearer open sesam", "Basic open sesame", "é"):
                headers = {"Authorization": header.encode()} if header else {}
                response = server.post(path, CAT, headers=headers)
                assert response.status_code == 401
                assert response.headers["WWW-Authenticate"] == "Bearer"
        for path in ("healthz", "readyz", "v2/health/live", "v2/health/ready", "", "docs/"):
            assert server.get(path).status_code == 200
        allowed = {"Authorization": "bearer open sesame"}
        assert server.post("predict", CAT, headers=allowed).status_code == 200
        assert b"sesame" not in Path(f"/proc/{server.process.pid}/cmdline").read_bytes()
        assert "whoever" not in server.log.read_text()


@pytest.mark.parametrize("content", [None, "", " \n", "naïve"])
def test_a_token_that_is_none_stops_the_start(
    ghostnet: Ghostnet, tmp_path: Path, content: str | None
) -> None:
    file = tmp_path / "token"
    if content is not None:
        file.write_text(content)
    ghostnet("serve", "--token-file", file, status=1)
    assert ghostnet.err.startswith(f"ghostnet: {file}: ")
    assert ghostnet.err.count("\n") == 1


@pytest.mark.parametrize("host", ["127.0.0.1", "no.such.host.invalid", "192.0.2.1"])
def test_an_address_that_cannot_be_had_is_an_error(ghostnet: Ghostnet, host: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ghostnet("serve", "--host", host, "--port", port, status=1)
    assert ghostnet.err.startswith("ghostnet: expected an address to listen on, found " + host)
    assert ghostnet.err.count("\n") == 1


def test_without_the_extra_the_command_names_it() -> None:
    program = (
        "import sys; sys.modules['uvicorn'] = None; from ghostnet.cli.main import main; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, "serve"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "pip install 'mindspore-ghostnet[serve]'" in done.stderr


# Starting and ending --------------------------------------------------------------------------


def test_sigterm_finishes_what_has_begun(tmp_path: Path) -> None:
    checkpoint = tmp_path / "secret folder" / "own.ckpt"
    checkpoint.parent.mkdir()
    source = next(assets_folder().rglob("ghostnet_v1.0_pets.ckpt"))
    shutil.copy(source, checkpoint)
    with serving("--model", checkpoint, "--max-arrival-s", 3, log=tmp_path / "log") as server:
        assert server.get("v2/models/own").json()["name"] == "own"
        for path in ("", "v2", "v2/models/own", "v2/models/x", "metrics", "openapi.json", "nope"):
            assert "secret folder" not in server.get(path).text
        half = [server.connect(content) for content in HALVES.values()]
        with ThreadPoolExecutor(1) as executor:
            begun = executor.submit(server.post, "predict", files=form(*[("a.png", SLOW)] * 4))
            wait_for(lambda: server.metric("ghostnet_batch_images_count") or is_busy(server))
            assert server.stop() == 0
            response = begun.result()
        assert response.status_code == 200
        assert [answer["file"] for answer in response.json()] == ["a.png"] * 4
        assert response.json()[0]["predictions"][0]["label"].startswith("class ")
        assert all(ends(connection) for connection in half)
        with pytest.raises(requests.ConnectionError):
            server.post("predict", CAT)


def is_busy(server: ModelServer) -> bool:
    """Whether the process computes now, more than a server without requests."""
    fields = Path(f"/proc/{server.process.pid}/task").iterdir()
    return any(" R " in (thread / "stat").read_text() for thread in fields)


def test_ctrl_c_ends_the_server_too(tmp_path: Path) -> None:
    server = ModelServer(log=tmp_path / "log")
    assert server.stop(signal.SIGINT) == 130
    assert "Traceback" not in server.log.read_text()


def test_a_killed_worker_loses_only_what_was_in_flight(tmp_path: Path) -> None:
    with serving("--workers", 2, log=tmp_path / "log") as server:
        workers = serving_children(server)
        assert server.post("predict", CAT).status_code == 200
        os.kill(workers[0], signal.SIGKILL)
        wait_for(lambda: len(set(serving_children(server)) - {workers[0]}) == 2)
        statuses = [try_to_post(server) for _ in range(20)]
        assert statuses.count(200) == 20
        assert server.metric("ghostnet_batch_images_sum") == 21
        assert server.metric("ghostnet_errors_total") == 0


def serving_children(server: ModelServer) -> list[int]:
    """The workers: children that have loaded the kernels."""

    def is_worker(process: int) -> bool:
        try:
            return "libghostnet_cpu" in Path(f"/proc/{process}/maps").read_text()
        except OSError:
            return False

    return [child for child in children(server.process.pid) if is_worker(child)]


def try_to_post(server: ModelServer) -> int:
    return server.post("predict", CAT).status_code
