"""``ghostnet serve --grpc-port``: the Open Inference Protocol over gRPC."""

import json
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bundled_models import BREEDS, FLOWERS
from command_line import Ghostnet
from model_server import ModelServer, forget_peak, peak_memory, serving
from serving_requests import CAT, IMAGES, MODEL, SLOW, images_and_logits
from tls_certificate import make_certificate
from waiting import WAIT_SECONDS, wait_for

from ghostnet import kernels

grpc = pytest.importorskip("grpc", reason="needs the extra grpc")
from ghostnet.serving.rpc.messages import FIELDS, MESSAGES, SERVICE  # noqa: E402

pytestmark = pytest.mark.skipif(
    not kernels.available(), reason=f"no fused kernels here: {kernels.unavailable_reason()}"
)

BATCH, LOGITS = images_and_logits()
Call = Callable[..., Any]
OWN_CONNECTION = [("grpc.use_local_subchannel_pool", 1)]
TOKEN = (("authorization", "Bearer secret"),)
WORDS = ("--grpc-port", 0, "--max-body-mib", 4, "--max-queue", 16, "--max-arrival-s", 2)


def address(server: ModelServer) -> str:
    return re.search(r"gRPC on (\S+)\n", server.log.read_text())[1]


def begin(
    channel: "grpc.Channel",
    method: str,
    metadata: Any = None,
    timeout: float = WAIT_SECONDS,
    wait_for_ready: bool | None = None,
    **fields: Any,
) -> "grpc.Future":
    """Send a request; its answer comes later."""
    request, response = MESSAGES[f"{method}Request"], MESSAGES[f"{method}Response"]
    path = f"/{SERVICE}/{method}"
    send = channel.unary_unary(path, request.SerializeToString, response.FromString)
    settings = {"timeout": timeout, "metadata": metadata, "wait_for_ready": wait_for_ready}
    return send.future(request(**fields), **settings)


def caller(channel: "grpc.Channel") -> Call:
    """Calls a method by its name with the fields of its request."""

    def call(
        method: str, metadata: Any = None, timeout: float = WAIT_SECONDS, **fields: Any
    ) -> Any:
        return begin(channel, method, metadata, timeout, **fields).result()

    return call


@pytest.fixture(scope="module")
def rpc_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModelServer]:
    models = ("--model", BREEDS, "--model", f"flowers={FLOWERS}")
    with serving(*models, *WORDS, log=tmp_path_factory.mktemp("server") / "log") as running:
        yield running


@pytest.fixture
def call(rpc_server: ModelServer) -> Iterator[Call]:
    with grpc.insecure_channel(address(rpc_server)) as channel:
        yield caller(channel)


def encoded(*contents: bytes) -> dict[str, Any]:
    """The fields of a request with image files."""
    tensor = {"name": "encoded_images", "datatype": "BYTES", "shape": [len(contents)]}
    return {"inputs": [{**tensor, "contents": {"bytes_contents": contents}}]}


def refused(call: Call, method: str, **arguments: Any) -> tuple[Any, str]:
    with pytest.raises(grpc.RpcError) as caught:
        call(method, **arguments)
    return caught.value.code(), caught.value.details()


def test_health_and_descriptions(call: Call) -> None:
    assert call("ServerLive").live
    assert call("ServerReady").ready
    assert "binary_tensor_data" in call("ServerMetadata").extensions
    assert call("ModelReady", name="flowers", version="1").ready
    metadata = call("ModelMetadata", name=MODEL)
    assert [tensor.name for tensor in metadata.inputs] == ["images", "encoded_images"]
    assert list(metadata.outputs[0].shape) == [-1, 37]
    assert list(call("ModelConfig", name=MODEL).config.input[0].dims) == [3, 224, 224]


def test_typed_contents_have_typed_answers(call: Call) -> None:
    answer = call("ModelInfer", model_name=MODEL, id="seven", **encoded(CAT))
    assert (answer.id, answer.model_name, answer.model_version) == ("seven", MODEL, "1")
    assert [output.name for output in answer.outputs] == ["logits", "probabilities"]
    assert not answer.raw_output_contents
    tensor = {"name": "images", "datatype": "FP32", "shape": [1, 3, 224, 224]}
    floats = {**tensor, "contents": {"fp32_contents": BATCH[0].ravel()}}
    answer = call("ModelInfer", model_name=MODEL, inputs=[floats], outputs=[{"name": "logits"}])
    (output,) = answer.outputs
    np.testing.assert_allclose(output.contents.fp32_contents, LOGITS[0], atol=1e-4)
    assert call("ModelStatistics", name=MODEL).model_stats[0].inference_count >= 2


@pytest.mark.parametrize(
    ("datatype", "dtype", "atol"), [("FP32", "f4", 1e-4), ("FP16", "f2", 0.05)]
)
def test_raw_contents_have_raw_answers(call: Call, datatype: str, dtype: str, atol: float) -> None:
    images = BATCH[:2].astype(dtype)
    tensor = {"name": "images", "datatype": datatype, "shape": images.shape}
    answer = call(
        "ModelInfer", model_name=MODEL, inputs=[tensor], raw_input_contents=[images.tobytes()]
    )
    found = np.frombuffer(answer.raw_output_contents[0], "f4").reshape(answer.outputs[0].shape)
    np.testing.assert_allclose(found, LOGITS[:2], atol=atol)


def test_labels_are_the_same_as_over_http(call: Call, rpc_server: ModelServer) -> None:
    parameters = [{"key": "classification", "value": {"int64_param": 2}}]
    outputs = [{"name": "probabilities", "parameters": parameters}]
    answer = call("ModelInfer", model_name=MODEL, outputs=outputs, **encoded(CAT))
    predictions = rpc_server.post("predict", CAT).json()[0]["predictions"]
    found = answer.outputs[0].contents.bytes_contents
    for text, prediction in zip(found, predictions[:2], strict=True):
        _, index, label = text.decode().split(":")
        assert (int(index), label) == (prediction["index"], prediction["label"])


WRONG = {
    "an unknown model": ({"model_name": "cats", **encoded(CAT)}, "NOT_FOUND", "choose from"),
    "another version": ({"model_version": "2", **encoded(CAT)}, "NOT_FOUND", "version"),
    "no input": ({}, "INVALID_ARGUMENT", "inputs"),
    "a broken image": (encoded(CAT, b"no image"), "INVALID_ARGUMENT", "image 1: these bytes"),
    "no contents": (
        {"inputs": [{"name": "images", "datatype": "FP32", "shape": [1, 3, 224, 224]}]},
        "INVALID_ARGUMENT",
        "0 values",
    ),
    "typed half floats": (
        {"inputs": [{"name": "images", "datatype": "FP16", "shape": [1, 3, 224, 224]}]},
        "INVALID_ARGUMENT",
        "raw_input_contents",
    ),
    "two raw contents": (
        {**encoded(CAT), "raw_input_contents": [b"a", b"b"]},
        "INVALID_ARGUMENT",
        "for one input",
    ),
    "two inputs": ({"inputs": 2 * encoded(CAT)["inputs"]}, "INVALID_ARGUMENT", "has 2 inputs"),
    "an unknown output": (
        {**encoded(CAT), "outputs": [{"name": "x"}]},
        "INVALID_ARGUMENT",
        "no output x",
    ),
    "too many images": (encoded(*[b"x"] * 17), "RESOURCE_EXHAUSTED", "at most 16"),
    "a large message": (encoded(bytes(5 * 2**20)), "RESOURCE_EXHAUSTED", "larger than max"),
}


@pytest.mark.parametrize(("fields", "code", "message"), WRONG.values(), ids=WRONG)
def test_a_wrong_request_is_refused(
    call: Call, fields: dict[str, Any], code: str, message: str
) -> None:
    found, details = refused(call, "ModelInfer", **{"model_name": MODEL, **fields})
    assert found is grpc.StatusCode[code]
    assert message in details


def test_what_is_no_message_is_refused(rpc_server: ModelServer) -> None:
    with grpc.insecure_channel(address(rpc_server)) as channel:
        infer = channel.unary_unary(f"/{SERVICE}/ModelInfer")
        with pytest.raises(grpc.RpcError, match="not one of this method"):
            infer(b"\xff\xff\xff", timeout=WAIT_SECONDS)
        unpacked = MESSAGES["ModelInferRequest"](**encoded(bytes(2**26))).SerializeToString()
        with pytest.raises(grpc.RpcError, match="RESOURCE_EXHAUSTED"):
            infer(unpacked, compression=grpc.Compression.Gzip, timeout=WAIT_SECONDS)
        stream = channel.stream_unary(f"/{SERVICE}/ModelInfer")
        with pytest.raises(grpc.RpcError, match="has no message"):
            stream(iter([]), timeout=WAIT_SECONDS)
        ended = threading.Event()
        with pytest.raises(grpc.RpcError, match="did not arrive within 2 s"):
            stream(iter(ended.wait, True), timeout=WAIT_SECONDS)
        ended.set()


@pytest.mark.parametrize("field", ["inputs", "shape", "bytes_contents", "unknown"])
def test_messages_of_many_parts_are_refused_before_they_take_memory(
    rpc_server: ModelServer, field: str
) -> None:
    tensor = {"name": "encoded_images", "datatype": "BYTES", "shape": [1]}
    fields = {
        "inputs": {"inputs": [tensor] * 30_000},
        "shape": {"inputs": [{**tensor, "shape": [0] * 2**20}]},
        "bytes_contents": {"inputs": [{**tensor, "contents": {"bytes_contents": [b""] * 2**20}}]},
        "unknown": {},
    }
    content = MESSAGES["ModelInferRequest"](**fields[field]).SerializeToString()
    with grpc.insecure_channel(address(rpc_server)) as channel:
        infer = channel.unary_unary(f"/{SERVICE}/ModelInfer")
        with pytest.raises(grpc.RpcError, match="more than 20,000 parts"):
            infer(content or b"\xf8\x07\x00" * 2**20, timeout=WAIT_SECONDS)


def test_refused_messages_do_not_stay_in_memory(call: Call, rpc_server: ModelServer) -> None:
    broken = {"model_name": MODEL, **encoded(b"no image" + bytes(3 * 2**20))}
    for _ in range(40):
        refused(call, "ModelInfer", **broken)
    before = rpc_server.metric("process_resident_memory_bytes")
    for _ in range(80):
        refused(call, "ModelInfer", **broken)
    assert rpc_server.metric("process_resident_memory_bytes") < before + 120 * 2**20


def test_large_messages_take_no_more_than_there_is(tmp_path: Path) -> None:
    memory = 96
    words = (*WORDS[:2], "--memory-mib", memory, "--max-body-mib", 8)
    content = MESSAGES["ModelInferRequest"](model_name=MODEL, **encoded(bytes(2**23 - 2**10)))
    request = content.SerializeToString()
    with serving(*words, log=tmp_path / "log") as server:
        before = forget_peak(server)

        def send(_: int) -> set[Any]:
            """Codes of the answers on a connection of its own."""
            with grpc.insecure_channel(address(server), OWN_CONNECTION) as channel:
                infer = channel.unary_unary(f"/{SERVICE}/ModelInfer")
                calls = [infer.future(request, timeout=WAIT_SECONDS) for _ in range(4)]
                return {call.code() for call in calls}

        with ThreadPoolExecutor(16) as executor:
            codes = set().union(*executor.map(send, range(16)))
        assert codes <= {grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.UNAVAILABLE}
        assert grpc.StatusCode.INVALID_ARGUMENT in codes
        assert peak_memory(server) - before < memory
        with grpc.insecure_channel(address(server)) as channel:
            assert caller(channel)("ModelInfer", model_name=MODEL, **encoded(CAT)).outputs


def test_no_more_requests_arrive_at_a_time_than_the_queue_holds(tmp_path: Path) -> None:
    words = (*WORDS[:2], "--max-queue", 4)
    ended = threading.Event()
    with (
        serving(*words, log=tmp_path / "log") as server,
        grpc.insecure_channel(address(server)) as channel,
        grpc.insecure_channel(address(server), OWN_CONNECTION) as other,
    ):
        streams = [one.stream_unary(f"/{SERVICE}/ModelInfer") for one in (*4 * [channel], other)]
        calls = [send.future(iter(ended.wait, True), timeout=WAIT_SECONDS) for send in streams]
        (refused,) = wait_for(lambda: [call for call in calls if call.done()])
        assert "too many requests that arrive" in refused.details()
        assert caller(other)("ServerLive").live
        ended.set()
        details = [call.exception().details() for call in calls if call is not refused]
        assert [text.partition(";")[0] for text in details] == 4 * ["the request has no message"]


def test_a_silent_connection_leaves_turns_to_others(tmp_path: Path) -> None:
    words = (*WORDS[:2], "--memory-mib", 64, "--max-body-mib", 4, "--max-arrival-s", 3600)
    ended = threading.Event()
    with (
        serving(*words, log=tmp_path / "log") as server,
        grpc.insecure_channel(address(server)) as channel,
        grpc.insecure_channel(address(server), OWN_CONNECTION) as other,
    ):
        silent = channel.stream_unary(f"/{SERVICE}/ModelInfer")
        calls = [silent.future(iter(ended.wait, True), timeout=WAIT_SECONDS) for _ in range(8)]
        assert caller(channel)("ServerLive").live  # which comes after them
        assert caller(other)("ModelInfer", model_name=MODEL, **encoded(CAT)).outputs
        ended.set()
        assert all(call.exception() for call in calls)


def test_the_queue_is_that_of_http(call: Call, rpc_server: ModelServer) -> None:
    with grpc.insecure_channel(address(rpc_server)) as channel:

        def refusals() -> set[Any]:
            """Codes of what is refused when three requests arrive that take half of it each."""
            fields = {"model_name": MODEL, **encoded(*[SLOW] * 8)}
            begun = [begin(channel, "ModelInfer", **fields) for _ in range(3)]
            return {one.code() for one in begun if one.exception()}

        assert wait_for(refusals) == {grpc.StatusCode.UNAVAILABLE}
    assert call("ModelInfer", model_name=MODEL, **encoded(CAT)).outputs


def test_images_whose_deadline_is_over_leave_the_queue(call: Call, rpc_server: ModelServer) -> None:
    def left() -> int:
        pattern = r'ghostnet_requests_total\{endpoint="ModelInfer",status="499"\} (\d+)'
        found = re.search(pattern, rpc_server.get("metrics").text)
        return int(found[1]) if found else 0

    before, seconds = left(), 0.05
    while left() == before:  # the deadline may be over before the request arrives
        slow = {"model_name": MODEL, **encoded(*[SLOW] * 16)}
        code, _ = refused(call, "ModelInfer", timeout=seconds, **slow)
        assert code is grpc.StatusCode.DEADLINE_EXCEEDED
        seconds *= 1.5
    wait_for(lambda: rpc_server.post("predict", CAT).status_code == 200)


def test_requests_are_counted(call: Call, rpc_server: ModelServer) -> None:
    names = ("ghostnet_errors_total", "ghostnet_batch_images_sum")
    errors, images = map(rpc_server.metric, names)
    call("ModelInfer", model_name=MODEL, **encoded(CAT))
    refused(call, "ModelInfer", model_name="cats")
    wait_for(lambda: rpc_server.metric("ghostnet_errors_total") > errors)
    assert rpc_server.metric("ghostnet_batch_images_sum") == images + 1
    label = 'ghostnet_requests_total{endpoint="ModelInfer",status="404"}'
    assert label in rpc_server.get("metrics").text


def test_a_token_is_asked_for_and_models_are_controlled(tmp_path: Path) -> None:
    words = (*WORDS, "--control-models")
    with (
        serving(*words, log=tmp_path / "log", GHOSTNET_TOKEN="secret") as server,
        grpc.insecure_channel(address(server)) as channel,
    ):
        call = caller(channel)
        assert call("ServerLive").live
        for method in FIELDS:
            if method.endswith("Request") and not method.startswith(("ServerLive", "ServerReady")):
                code, _ = refused(call, method.removesuffix("Request"))
                assert code is grpc.StatusCode.UNAUTHENTICATED, method
        assert call("RepositoryIndex", TOKEN).models[0].state == "READY"
        call("RepositoryModelUnload", TOKEN, model_name=MODEL)
        assert not call("ModelReady", TOKEN, name=MODEL).ready
        code, _ = refused(call, "ModelInfer", metadata=TOKEN, model_name=MODEL, **encoded(CAT))
        assert code is grpc.StatusCode.UNAVAILABLE
        call("RepositoryModelLoad", TOKEN, model_name=MODEL)
        assert call("ModelInfer", TOKEN, model_name=MODEL, **encoded(CAT)).outputs


def test_requests_are_logged_with_their_ids(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with (
        serving("--access-log", "json", *WORDS, log=log) as server,
        grpc.insecure_channel(address(server)) as channel,
    ):
        answer = begin(channel, "ServerMetadata", metadata=(("x-request-id", "seven"),))
        assert answer.result().name == "ghostnet"
        assert dict(answer.trailing_metadata())["x-request-id"] == "seven"
        line = wait_for(lambda: re.search(r"^{.*seven.*}$", log.read_text(), re.MULTILINE))
        found = json.loads(line[0])
    assert found["path"] == f"/{SERVICE}/ServerMetadata"
    assert (found["client"], found["status"]) == ("127.0.0.1", 200)


def test_without_the_option_models_are_not_controlled(call: Call) -> None:
    code, _ = refused(call, "RepositoryModelUnload", model_name=MODEL)
    assert code is grpc.StatusCode.UNIMPLEMENTED


def test_workers_share_the_port_and_finish_what_has_begun(tmp_path: Path) -> None:
    with (
        serving("--workers", 2, *WORDS, log=tmp_path / "log") as server,
        grpc.insecure_channel(address(server)) as channel,
    ):
        call = caller(channel)
        assert call("ModelInfer", model_name=MODEL, **encoded(CAT)).outputs
        images = server.metric("ghostnet_batch_images_sum")
        begun = begin(channel, "ModelInfer", model_name=MODEL, **encoded(*[SLOW] * 16))
        wait_for(lambda: server.metric("ghostnet_batch_images_sum") > images)
        assert server.stop() == 0
        assert begun.result().outputs


def test_tls_is_that_of_http(tmp_path: Path) -> None:
    chain, key = make_certificate(tmp_path)
    words = ("--tls-cert", chain, "--tls-key", key, "--tls-client-ca", chain, "--grpc-port", 0)
    log = tmp_path / "log"
    command = [sys.executable, "-m", "ghostnet.cli", "serve", "--port", "0", *map(str, words)]
    with log.open("w") as file:
        process = subprocess.Popen(command, stderr=file)
    try:
        found = wait_for(lambda: re.search(r"gRPC on (\S+)\n(.*\n)+", log.read_text()))
        roots, private = chain.read_bytes(), key.read_bytes()
        for certificate, is_let_in in (((private, roots), True), ((None, None), False)):
            credentials = grpc.ssl_channel_credentials(roots, *certificate)
            with grpc.secure_channel(found[1], credentials) as channel:
                answer = begin(channel, "ServerLive", wait_for_ready=is_let_in)
                assert (answer.exception() is None) == is_let_in
    finally:
        process.terminate()
        assert process.wait(WAIT_SECONDS) == 0


def test_a_port_that_is_taken_is_an_error(ghostnet: Ghostnet) -> None:
    with socket.create_server(("127.0.0.1", 0), reuse_port=True) as taken:
        port = taken.getsockname()[1]
        ghostnet("serve", "--port", 0, "--grpc-port", port, status=1)
    assert f"cannot listen on 127.0.0.1:{port}" in ghostnet.err


def test_without_the_extra_the_option_names_it() -> None:
    program = "import sys; sys.modules['grpc'] = None; from ghostnet.cli.main import main; main()"
    words = [sys.executable, "-c", program, "serve", "--grpc-port", "0"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "pip install 'mindspore-ghostnet[grpc]'" in done.stderr


# Triton's client ------------------------------------------------------------------------------


@pytest.fixture
def client(rpc_server: ModelServer) -> Iterator[Any]:
    triton = pytest.importorskip("tritonclient.grpc", reason="needs the extra dev")
    opened = triton.InferenceServerClient(address(rpc_server))
    yield opened
    opened.close()


def test_triton_client_reads_what_the_server_says(client: Any) -> None:
    triton = pytest.importorskip("tritonclient.grpc")
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("flowers")
    assert client.get_server_metadata().name == "ghostnet"
    metadata = client.get_model_metadata(MODEL, as_json=True)
    assert [tensor["name"] for tensor in metadata["inputs"]] == ["images", "encoded_images"]
    config = client.get_model_config(MODEL).config
    assert [(tensor.name, tensor.data_type) for tensor in config.input] == [
        ("images", triton.model_config_pb2.TYPE_FP32),
        ("encoded_images", triton.model_config_pb2.TYPE_STRING),
    ]
    (statistics,) = client.get_inference_statistics(MODEL).model_stats
    assert statistics.name == MODEL
    names = [counted.name for counted in client.get_inference_statistics().model_stats]
    assert names == [MODEL, "flowers"]
    assert not client.is_model_ready("cats")
    with pytest.raises(triton.InferenceServerException, match="choose from"):
        client.get_model_metadata("cats")


def test_triton_client_infers(client: Any) -> None:
    triton = pytest.importorskip("tritonclient.grpc")
    contents = np.array([path.read_bytes() for path in IMAGES[:4]], object)
    for name, kind, values in (
        ("images", "FP32", BATCH[:4]),
        ("encoded_images", "BYTES", contents),
    ):
        sent = triton.InferInput(name, values.shape, kind)
        sent.set_data_from_numpy(values)
        result = client.infer(MODEL, [sent], request_id="seven")
        np.testing.assert_allclose(result.as_numpy("logits"), LOGITS[:4], atol=1e-4)
        assert result.get_response().id == "seven"
        output = triton.InferRequestedOutput("probabilities", class_count=1)
        (best, *_) = client.infer(MODEL, [sent], outputs=[output]).as_numpy("probabilities")
        assert best[0].endswith(b":Abyssinian")
        assert result.as_numpy("probabilities").shape == LOGITS[:4].shape


def test_messages_are_those_of_triton() -> None:
    theirs = pytest.importorskip("tritonclient.grpc", reason="needs the extra dev").service_pb2
    for name, message in MESSAGES.items():
        if (known := getattr(theirs, name, None)) is None:
            continue
        for field in message.DESCRIPTOR.fields:
            other = known.DESCRIPTOR.fields_by_number[field.number]
            assert (field.name, field.type) == (other.name, other.type), name
