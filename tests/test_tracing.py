"""Spans of requests, as a collector of OpenTelemetry receives them."""

import json
import queue
import re
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from command_line import Ghostnet
from model_server import serving
from serving_requests import CAT, INFER
from waiting import WAIT_SECONDS

from ghostnet import kernels

collector = pytest.importorskip(
    "opentelemetry.proto.collector.trace.v1.trace_service_pb2", reason="needs the extra otel"
)
pytest.importorskip("opentelemetry.exporter.otlp.proto.http", reason="needs the extra otel")

pytestmark = pytest.mark.skipif(
    not kernels.available(), reason=f"no fused kernels here: {kernels.unavailable_reason()}"
)

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


class Receiver(ThreadingHTTPServer):
    """A server that takes spans by OTLP over HTTP."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.spans: queue.SimpleQueue = queue.SimpleQueue()


class Handler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        assert (self.path, self.headers["Content-Type"]) == ("/v1/traces", "application/x-protobuf")
        content = self.rfile.read(int(self.headers["Content-Length"]))
        request = collector.ExportTraceServiceRequest.FromString(content)
        for resource in request.resource_spans:
            for scope in resource.scope_spans:
                for span in scope.spans:
                    self.server.spans.put((values(resource.resource.attributes), span))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *words: object) -> None:
        pass


def values(attributes: Iterator) -> dict[str, object]:
    return {one.key: getattr(one.value, one.value.WhichOneof("value")) for one in attributes}


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        yield running
        running.shutdown()
        thread.join()


@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.nightly)])
def test_requests_are_spans_in_the_traces_of_their_clients(
    receiver: Receiver, tmp_path: Path, workers: int
) -> None:
    log = tmp_path / "log"
    environment = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{receiver.server_port}",
        "OTEL_BSP_SCHEDULE_DELAY": "600000",  # what the end of the server exports
    }
    words = ("--access-log", "json", "--workers", workers)
    with serving(*words, log=log, **environment) as server:
        headers = {"traceparent": f"00-{TRACE}-{PARENT}-01"}
        assert server.post("predict", CAT, headers=headers).status_code == 200
        assert server.post(INFER, b"{}").status_code == 400
        assert server.get("healthz").status_code == 200
    resource, first = receiver.spans.get(timeout=WAIT_SECONDS)
    assert resource["service.name"] == "ghostnet"
    _, second = receiver.spans.get(timeout=WAIT_SECONDS)
    spans = {span.name: span for span in (first, second)}
    assert spans.keys() == {"POST /predict", "POST /v2/models/{name}/infer"}
    predict, infer = spans.values() if first.name == "POST /predict" else (second, first)
    assert (predict.trace_id.hex(), predict.parent_span_id.hex()) == (TRACE, PARENT)
    assert values(predict.attributes) == {
        "http.request.method": "POST",
        "http.response.status_code": 200,
        "http.route": "/predict",
        "url.path": "/predict",
        "url.scheme": "http",
    }
    assert predict.start_time_unix_nano < predict.end_time_unix_nano
    assert infer.trace_id.hex() != TRACE
    assert receiver.spans.empty()
    lines = [json.loads(line) for line in log.read_text().splitlines() if line.startswith("{")]
    logged = {line["path"]: line["trace_id"] for line in lines}
    assert (logged["/predict"], logged[f"/{INFER}"]) == (TRACE, infer.trace_id.hex())


def test_requests_of_grpc_are_spans_with_the_same_attributes(
    receiver: Receiver, tmp_path: Path
) -> None:
    grpc = pytest.importorskip("grpc", reason="needs the extra grpc")
    from ghostnet.serving.rpc.messages import SERVICE

    log = tmp_path / "log"
    endpoint = f"http://127.0.0.1:{receiver.server_port}"
    words = ("--access-log", "json", "--grpc-port", 0)
    with serving(*words, log=log, OTEL_EXPORTER_OTLP_ENDPOINT=endpoint) as server:
        address = re.search(r"gRPC on (\S+)\n", log.read_text())[1]
        with grpc.insecure_channel(address) as channel:
            for method in ("ServerLive", "ServerReady", "ServerMetadata"):
                call = channel.unary_unary(f"/{SERVICE}/{method}")
                call(b"", metadata=[("traceparent", f"00-{TRACE}-{PARENT}-01")])
            with pytest.raises(grpc.RpcError):
                channel.unary_unary(f"/{SERVICE}/ModelInfer")(b"")
        assert server.stop() == 0
    spans = [receiver.spans.get(timeout=WAIT_SECONDS)[1] for _ in range(2)]
    metadata, infer = sorted(spans, key=lambda span: span.name, reverse=True)
    path = f"/{SERVICE}/ServerMetadata"
    assert metadata.name == f"POST {path}"
    assert (metadata.trace_id.hex(), metadata.parent_span_id.hex()) == (TRACE, PARENT)
    assert values(metadata.attributes) == {
        "http.request.method": "POST",
        "http.response.status_code": 200,
        "http.route": path,
        "url.path": path,
        "url.scheme": "http",
    }
    assert values(infer.attributes)["http.response.status_code"] == 404
    assert infer.trace_id.hex() != TRACE
    assert receiver.spans.empty()
    lines = [json.loads(line) for line in log.read_text().splitlines() if line.startswith("{")]
    logged = {line["path"]: line["trace_id"] for line in lines}
    assert (logged[path], logged[f"/{SERVICE}/ModelInfer"]) == (TRACE, infer.trace_id.hex())


def test_without_the_extra_the_command_names_it(
    ghostnet: Ghostnet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ghostnet.serving.tracing", None)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://127.0.0.1:9")
    ghostnet("serve", "--port", 0, status=1)
    assert "pip install 'mindspore-ghostnet[otel]'" in ghostnet.err
