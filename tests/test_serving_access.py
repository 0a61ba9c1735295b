"""``ghostnet serve``: websites, IDs and the log of requests, TLS."""

import json
import re
import shutil
import socket
import ssl
import subprocess
import sys
import urllib.request
from contextlib import suppress
from pathlib import Path

import pytest
import requests
from command_line import Ghostnet
from model_server import ADDRESS, ModelServer, serving
from serving_requests import CAT
from tls_certificate import make_certificate
from waiting import wait_for

from ghostnet import kernels
from ghostnet.serving import certificate

pytestmark = pytest.mark.skipif(
    not kernels.available(), reason=f"no fused kernels here: {kernels.unavailable_reason()}"
)

SITE = "https://example.org"


def test_a_website_that_is_allowed_may_ask_and_others_may_not(tmp_path: Path) -> None:
    words = ("--allow-origin", SITE, "--access-log", "json")
    log = tmp_path / "log"
    with serving(*words, log=log, GHOSTNET_TOKEN="secret") as server:
        question = {"Access-Control-Request-Method": "POST"}
        question |= {"Access-Control-Request-Headers": "authorization,content-type"}
        for origin, status in ((SITE, 200), ("https://other.org", 400)):
            answer = server.session.options(
                server.url("predict"), headers={**question, "Origin": origin}
            )
            assert answer.status_code == status
        assert "authorization" in answer.headers["Access-Control-Allow-Headers"]
        headers = {"Origin": SITE, "Authorization": "Bearer secret", "X-Request-ID": "seven"}
        answer = server.post("predict", CAT, headers=headers)
        assert answer.status_code == 200
        assert answer.headers["Access-Control-Allow-Origin"] == SITE
        assert answer.headers["X-Request-ID"] == "seven"
        refused = server.post("predict", CAT, headers={"Origin": SITE, "X-Request-ID": "x" * 200})
        assert refused.status_code == 401
        assert len(refused.headers["X-Request-ID"]) == 32
    lines = [json.loads(line) for line in log.read_text().splitlines() if line.startswith("{")]
    assert [line["status"] for line in lines if line["path"] == "/predict"] == [200, 400, 200, 401]
    assert lines[-2]["request_id"] == "seven"
    assert lines[-2]["client"] == "127.0.0.1"
    assert "secret" not in log.read_text()


def test_without_the_options_there_is_neither(server: ModelServer) -> None:
    answer = server.post("predict", CAT, headers={"Origin": SITE})
    assert "Access-Control-Allow-Origin" not in answer.headers
    assert answer.headers["X-Request-ID"]
    assert "POST" not in server.log.read_text()


def test_a_line_of_text_has_no_control_characters(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with serving("--access-log", "text", log=log) as server:
        server.get("healthz%0a%1b[31m")
        line = wait_for(lambda: [x for x in log.read_text().splitlines() if "GET" in x][1:])[0]
    assert line.split()[1:5] == ["127.0.0.1", "GET", "/healthz\\n\\u001b[31m", "404"]


def test_the_trace_of_a_client_is_in_the_log(tmp_path: Path) -> None:
    log = tmp_path / "log"
    trace = "0af7651916cd43dd8448eb211c80319c"
    cases = {
        f"00-{trace}-b7ad6b7169203331-01": trace,
        f"cc-{trace}-b7ad6b7169203331-01-what-will-be": trace,
        f"ff-{trace}-b7ad6b7169203331-01": "-",
        f"00-{trace.upper()}-b7ad6b7169203331-01": "-",
        f"00-{'0' * 32}-b7ad6b7169203331-01": "-",
        f"00-{trace}-{'0' * 16}-01": "-",
        "": "-",
    }
    with serving("--access-log", "json", log=log) as server:
        for given in cases:
            server.get("healthz", headers={"traceparent": given})
    lines = [json.loads(line) for line in log.read_text().splitlines() if "/healthz" in line]
    assert [line["trace_id"] for line in lines] == list(cases.values())


METRICS = re.compile(r"metrics on (http://\S+:\d+)/metrics\n")


@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.nightly)])
def test_metrics_have_a_port_of_their_own(tmp_path: Path, workers: int) -> None:
    log = tmp_path / "log"
    words = ("--metrics-port", 0, "--workers", workers)
    with serving(*words, log=log, GHOSTNET_TOKEN=" secret ") as server:
        url = wait_for(lambda: METRICS.search(log.read_text()))[1]
        allowed = {"Authorization": "Bearer secret"}
        assert server.post("predict", CAT, headers=allowed).status_code == 200
        answer = requests.get(f"{url}/metrics", headers={"Host": f"x:{server.port}"}, timeout=60)
        counted = 'ghostnet_requests_total{endpoint="predict",status="200"} 1.0'
        assert counted in answer.text
        for path in ("", "/predict", "/healthz", "/docs/", "/v2"):
            assert requests.get(url + path, timeout=60).status_code == 404
        here = {"Host": url.removeprefix("http://")}
        assert server.get("metrics", headers=here).status_code == 401
        assert server.get("metrics", headers=allowed).status_code == 200


def test_a_port_that_is_taken_is_an_error(ghostnet: Ghostnet) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ghostnet("serve", "--port", 0, "--metrics-port", port, status=1)
    assert (
        "choose another address with --host, --port, --metrics-port or --grpc-port" in ghostnet.err
    )


@pytest.mark.parametrize(
    ("path", "location"),
    [
        ("docs", "docs/"),
        ("predict/?top_k=2", "../predict?top_k=2"),
        ("v2/models/x:y/", "../x%3Ay"),
        ("metrics/", "../metrics"),
    ],
)
def test_redirects_hold_behind_a_proxy(server: ModelServer, path: str, location: str) -> None:
    proxy = {"Host": "elsewhere", "X-Forwarded-Prefix": "/ghost"}
    answer = server.get(path, headers=proxy, allow_redirects=False)
    assert answer.status_code == 307
    assert answer.headers["Location"] == location
    assert server.get("docs").url == server.url("docs/")


def offered(context: ssl.SSLContext) -> bytes | None:
    """The certificate that a client gets."""
    to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
    server = context.wrap_bio(to_server, to_client, server_side=True)
    trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    trusting.check_hostname = False
    trusting.verify_mode = ssl.CERT_NONE
    client = trusting.wrap_bio(to_client, to_server)
    for side in (client, server, client):
        with suppress(ssl.SSLWantReadError):
            side.do_handshake()
    return client.getpeercert(binary_form=True)


def test_a_renewed_certificate_is_loaded_once_it_is_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(certificate, "RENEWAL_SECONDS", 0.01)
    chain, key = make_certificate(tmp_path)
    context = certificate.Certificate(chain, key).renewing_context()
    first = offered(context)
    new_chain, new_key = make_certificate(Path(shutil.copytree(tmp_path, tmp_path / "new")))
    new_chain.replace(chain)
    assert offered(context) == first  # its key is not there yet
    new_key.replace(key)
    wait_for(lambda: offered(context) not in (None, first))


def test_tls(ghostnet: Ghostnet, tmp_path: Path) -> None:
    chain, key = make_certificate(tmp_path)
    words = ("--tls-cert", chain, "--tls-key", key, "--tls-client-ca", chain)
    log = tmp_path / "log"
    command = [sys.executable, "-m", "ghostnet.cli", "serve", "--port", "0", *map(str, words)]
    with log.open("w") as file:
        process = subprocess.Popen(command, stderr=file)
    try:
        found = wait_for(lambda: ADDRESS.search(log.read_text()))
        url = f"https://{found[1]}:{found[2]}/healthz"
        context = ssl.create_default_context(cafile=chain)
        with pytest.raises(OSError, match=r"certificate required|closed|reset|EOF"):
            urllib.request.urlopen(url, context=context).read()
        context.load_cert_chain(chain, key)
        assert json.load(urllib.request.urlopen(url, context=context)) == {"live": True}
    finally:
        process.terminate()
        assert process.wait(60) == 0
    ghostnet("serve", "--tls-cert", chain, status=2)
    key.write_text("no key")
    ghostnet("serve", "--port", 0, "--tls-cert", chain, "--tls-key", key, status=1)
    assert "give PEM files with --tls-cert and --tls-key" in ghostnet.err
