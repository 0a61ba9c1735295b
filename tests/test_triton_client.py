"""``ghostnet serve`` as Triton's client uses it."""

import base64
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from model_server import ModelServer
from serving_requests import CAT, IMAGES, MODEL, images_and_logits

from ghostnet import kernels

triton = pytest.importorskip("tritonclient.http", reason="needs the extra dev")

pytestmark = pytest.mark.skipif(
    not kernels.available(), reason=f"no fused kernels here: {kernels.unavailable_reason()}"
)

REPOSITORY = Path(__file__).resolve().parents[1]
BATCH, LOGITS = images_and_logits()


@pytest.fixture
def client(server: ModelServer) -> "Iterator[triton.InferenceServerClient]":
    opened = triton.InferenceServerClient(f"127.0.0.1:{server.port}", network_timeout=60)
    yield opened
    opened.close()


def test_triton_client_reads_health_and_metadata(client: "triton.InferenceServerClient") -> None:
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


def test_triton_client_reads_configuration_and_statistics(
    client: "triton.InferenceServerClient",
) -> None:
    assert client.get_model_config(MODEL)["input"][0]["name"] == "images"
    (statistics,) = client.get_inference_statistics(MODEL)["model_stats"]
    assert statistics["name"] == MODEL
    assert client.get_inference_statistics()["model_stats"][0]["name"] == MODEL


def tensor(values: np.ndarray, *, is_binary: bool) -> "triton.InferInput":
    kind = ("images", "FP32") if values.dtype == np.float32 else ("encoded_images", "BYTES")
    made = triton.InferInput(kind[0], values.shape, kind[1])
    made.set_data_from_numpy(values, binary_data=is_binary)
    return made


@pytest.mark.parametrize(("count", "is_binary"), [(4, True), (1, True), (1, False)])
def test_triton_client_infers_from_floats(
    client: "triton.InferenceServerClient",
    count: int,
    is_binary: bool,
) -> None:
    outputs = [triton.InferRequestedOutput("logits", binary_data=is_binary)]
    sent = [tensor(BATCH[:count], is_binary=is_binary)]
    result = client.infer(MODEL, sent, outputs=outputs, request_id="seven")
    np.testing.assert_allclose(result.as_numpy("logits"), LOGITS[:count], atol=1e-4)
    assert result.get_response()["id"] == "seven"
    assert result.as_numpy("probabilities") is None


@pytest.mark.parametrize("is_binary", [True, False])
@pytest.mark.parametrize("columns", [(), (1,)])
def test_triton_client_infers_from_encoded_images(
    client: "triton.InferenceServerClient",
    is_binary: bool,
    columns: tuple[int, ...],
) -> None:
    contents = [path.read_bytes() for path in IMAGES]
    elements = contents if is_binary else [base64.b64encode(content) for content in contents]
    values = np.array(elements, object).reshape(len(IMAGES), *columns)
    result = client.infer(MODEL, [tensor(values, is_binary=is_binary)])
    np.testing.assert_allclose(result.as_numpy("logits"), LOGITS, atol=1e-4)
    np.testing.assert_allclose(result.as_numpy("probabilities").sum(axis=1), 1, atol=1e-5)


def test_triton_client_classifies(
    client: "triton.InferenceServerClient", server: ModelServer
) -> None:
    output = triton.InferRequestedOutput("probabilities", class_count=2)
    result = client.infer(MODEL, [tensor(BATCH[:1], is_binary=True)], outputs=[output])
    ((first, second),) = result.as_numpy("probabilities")
    best, other, _ = server.post("predict", CAT).json()[0]["predictions"]
    for text, prediction in ((first, best), (second, other)):
        value, index, label = text.decode().split(":")
        assert (int(index), label) == (prediction["index"], prediction["label"])
        assert float(value) == pytest.approx(prediction["probability"], abs=1e-5)


def test_triton_client_meets_a_broken_image(client: "triton.InferenceServerClient") -> None:
    sent = [tensor(np.array([CAT, b"no image"], object), is_binary=True)]
    with pytest.raises(triton.InferenceServerException, match="image 1: these bytes: not an image"):
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
