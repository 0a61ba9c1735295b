"""``ghostnet serve``: the Open Inference Protocol, with Triton's client."""

import base64
import json
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import tritonclient.http as triton
from bundled_models import BREEDS
from model_server import ModelServer
from serving_requests import CAT, IMAGES, INFER, MODEL
from tritonclient.utils import InferenceServerException

from ghostnet import kernels
from ghostnet.data.transforms import decode
from ghostnet.hub import open_model

pytestmark = pytest.mark.skipif(
    not kernels.available(), reason=f"no fused kernels here: {kernels.unavailable_reason()}"
)

REPOSITORY = Path(__file__).resolve().parents[1]


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
