"""``ghostnet serve``: the Open Inference Protocol."""

import base64
import json

import numpy as np
import pytest
import requests
from model_server import ModelServer
from serving_requests import CAT, IMAGES, INFER, MODEL, images_and_logits

from ghostnet import kernels

pytestmark = pytest.mark.skipif(
    not kernels.available(), reason=f"no fused kernels here: {kernels.unavailable_reason()}"
)

BATCH, LOGITS = images_and_logits()
FLOATS = {"name": "images", "datatype": "FP32", "shape": [1, 3, 224, 224], "data": [0.0]}
BYTES = {"name": "encoded_images", "datatype": "BYTES", "shape": [1], "data": [""]}


def infer(server: ModelServer, document: dict, binary: bytes = b"") -> requests.Response:
    """Send a document and the binary data that follows it."""
    head = json.dumps(document).encode()
    headers = {"Inference-Header-Content-Length": str(len(head))}
    return server.post(INFER, head + binary, headers=headers)


def outputs(response: requests.Response) -> dict[str, np.ndarray]:
    """The tensors of an answer in JSON."""
    assert response.status_code == 200, response.text
    return {
        output["name"]: np.reshape(output["data"], output["shape"])
        for output in response.json()["outputs"]
    }


def test_health_and_metadata(server: ModelServer) -> None:
    model = f"v2/models/{MODEL}"
    for path in (
        "v2/health/live",
        "v2/health/ready",
        f"{model}/ready",
        f"{model}/versions/1/ready",
    ):
        assert server.get(path).status_code == 200, path
    assert "binary_tensor_data" in server.get("v2").json()["extensions"]
    metadata = server.get(model).json()
    assert metadata["name"] == MODEL
    assert [tensor["name"] for tensor in metadata["inputs"]] == ["images", "encoded_images"]
    assert metadata["outputs"][0] == {"name": "logits", "datatype": "FP32", "shape": [-1, 37]}


def test_floats_in_json(server: ModelServer) -> None:
    sent = {**FLOATS, "data": BATCH[0].ravel().tolist()}
    response = infer(server, {"id": "seven", "inputs": [sent], "outputs": [{"name": "logits"}]})
    (answer,) = outputs(response).items()
    assert response.json()["id"] == "seven"
    np.testing.assert_allclose(answer[1], LOGITS[:1], atol=1e-4)


def test_floats_that_are_not_normalized_are_422(server: ModelServer) -> None:
    pixels = np.random.default_rng(1).random((1, 3, 224, 224), np.float32)
    for most in (1, 255):
        sent = {**FLOATS, "data": (pixels * most).ravel().tolist()}
        response = infer(server, {"inputs": [sent]})
        assert response.status_code == 422
        assert "seems not to be normalized" in response.json()["error"]


def test_floats_as_binary_data_both_ways(server: ModelServer) -> None:
    images = BATCH[:4]
    sent = {key: FLOATS[key] for key in ("name", "datatype")}
    sent |= {"shape": images.shape, "parameters": {"binary_data_size": images.nbytes}}
    wanted = {"name": "logits", "parameters": {"binary_data": True}}
    response = infer(server, {"inputs": [sent], "outputs": [wanted]}, images.tobytes())
    length = int(response.headers["Inference-Header-Content-Length"])
    (described,) = json.loads(response.content[:length])["outputs"]
    assert described["parameters"] == {"binary_data_size": LOGITS[:4].nbytes}
    found = np.frombuffer(response.content[length:], np.float32).reshape(described["shape"])
    np.testing.assert_allclose(found, LOGITS[:4], atol=1e-4)


def test_images_in_base64(server: ModelServer) -> None:
    data = [base64.b64encode(path.read_bytes()).decode() for path in IMAGES]
    answers = outputs(infer(server, {"inputs": [{**BYTES, "shape": [len(data)], "data": data}]}))
    np.testing.assert_allclose(answers["logits"], LOGITS, atol=1e-4)
    np.testing.assert_allclose(answers["probabilities"].sum(axis=1), 1, atol=1e-5)


def test_classes_are_named(server: ModelServer) -> None:
    sent = {**BYTES, "data": [base64.b64encode(CAT).decode()]}
    wanted = {"name": "probabilities", "parameters": {"classification": 2}}
    response = infer(server, {"inputs": [sent], "outputs": [wanted]})
    predictions = server.post("predict", CAT).json()[0]["predictions"]
    for text, prediction in zip(
        outputs(response)["probabilities"].ravel(), predictions[:2], strict=True
    ):
        value, index, label = text.split(":")
        assert (int(index), label) == (prediction["index"], prediction["label"])
        assert float(value) == pytest.approx(prediction["probability"], abs=1e-5)


def test_nulls_are_as_if_they_were_not_there(server: ModelServer) -> None:
    sent = {**BYTES, "parameters": None, "data": [base64.b64encode(CAT).decode()]}
    document = {"id": None, "parameters": None, "outputs": None, "inputs": [sent]}
    assert set(outputs(infer(server, document))) == {"logits", "probabilities"}
    wanted = [{"name": "logits", "parameters": {"binary_data": None, "classification": None}}]
    assert set(outputs(infer(server, {"inputs": [sent], "outputs": wanted}))) == {"logits"}


def test_half_floats_and_raw_images(server: ModelServer) -> None:
    half = BATCH[:1].astype(np.float16)
    sent = {**FLOATS, "datatype": "FP16", "parameters": {"binary_data_size": half.nbytes}}
    sent.pop("data", None)
    found = outputs(infer(server, {"inputs": [sent]}, half.tobytes()))["logits"]
    np.testing.assert_allclose(found, LOGITS[:1], atol=0.05)
    raw = server.post(INFER, CAT, headers={"Inference-Header-Content-Length": "0"})
    as_bytes = {**BYTES, "data": [base64.b64encode(CAT).decode()]}
    expected = outputs(infer(server, {"inputs": [as_bytes]}))["logits"]
    np.testing.assert_allclose(outputs(raw)["logits"], expected, atol=1e-5)


def test_configuration_and_statistics(server: ModelServer) -> None:
    configuration = server.get(f"v2/models/{MODEL}/config").json()
    assert configuration["input"][0]["dims"] == [3, 224, 224]
    assert server.post("predict", CAT).status_code == 200
    (statistics,) = server.get(f"v2/models/{MODEL}/versions/1/stats").json()["model_stats"]
    assert statistics["inference_count"] >= statistics["execution_count"] >= 1


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


def test_floats_that_are_not_finite_are_refused(server: ModelServer) -> None:
    bad = np.full_like(BATCH[:1], np.nan)
    sent = {**FLOATS, "data": None, "parameters": {"binary_data_size": bad.nbytes}}
    head = json.dumps({"inputs": [sent]}).encode()
    headers = {"Inference-Header-Content-Length": str(len(head))}
    response = server.post(INFER, head + bad.tobytes(), headers=headers)
    assert response.status_code == 400
    assert "send finite values" in response.json()["error"]


@pytest.mark.parametrize("count", [1, 10**6])
def test_elements_are_counted_before_they_take_memory(server: ModelServer, count: int) -> None:
    size = 3 * 2**20
    sent = {**BYTES, "shape": [count], "parameters": {"binary_data_size": size}}
    sent.pop("data")
    before = server.metric("process_resident_memory_bytes")
    response = infer(server, {"inputs": [sent]}, bytes(size))  # 786,432 empty elements
    assert response.status_code == 400
    assert "send fewer images" in response.json()["error"]
    assert server.metric("process_resident_memory_bytes") < before + 10 * size


@pytest.mark.parametrize("path", ["v2/models/other/infer", f"v2/models/{MODEL}/versions/2/infer"])
def test_another_model_is_404(server: ModelServer, path: str) -> None:
    response = server.post(path, b"{}")
    assert response.status_code == 404
    assert MODEL in response.json()["error"]
