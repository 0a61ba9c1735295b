"""``ghostnet serve``: its pages and metrics, who may use it, how it starts and ends."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from http.client import HTTPResponse
from pathlib import Path

import pytest
import read_only_root
import requests
from command_line import Ghostnet
from model_server import ModelServer, children, serving, serving_children
from serving_requests import CAT, HALVES, IMAGES, INFER, MODEL, SLOW, ends, form
from waiting import WAIT_SECONDS, wait_for

from ghostnet import kernels
from ghostnet.hub.catalog import assets_folder

pytestmark = pytest.mark.skipif(
    not kernels.available(), reason=f"no fused kernels here: {kernels.unavailable_reason()}"
)


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


def test_the_description_is_valid(server: ModelServer) -> None:
    validator = pytest.importorskip("openapi_spec_validator", reason="needs the extra dev")
    validator.validate(server.get("openapi.json").json())


def test_the_description_lists_what_each_address_answers(server: ModelServer) -> None:
    description = server.get("openapi.json").json()
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
    browsers = pytest.importorskip("playwright.sync_api", reason="needs the extra dev")
    expect = browsers.expect

    with browsers.sync_playwright() as playwright:
        options = ["--no-sandbox", "--disable-gpu"]
        browser = playwright.chromium.launch(executable_path=executable, args=options)
        page = browser.new_page()
        page.goto(server.url(""))
        page.set_input_files("input", IMAGES[0])
        [best, *_] = server.post("predict", CAT).json()[0]["predictions"]
        expect(page.locator("li").first).to_contain_text(best["label"], timeout=60_000)
        page.set_input_files("input", __file__)
        expect(page.get_by_role("status")).to_contain_text("not an image", timeout=60_000)
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
    assert ghostnet.err.startswith("ghostnet: cannot listen on " + host)
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
        files = form(*[("a.png", SLOW)] * 4)
        sent = requests.Request("POST", server.url("predict"), files=files).prepare()
        head = "".join(f"{name}: {text}\r\n" for name, text in sent.headers.items())
        with server.connect(b"POST /predict HTTP/1.1\r\nHost: x\r\n") as connection:
            connection.sendall(head.encode() + b"\r\n" + sent.body)
            for _ in range(2):  # the server has read what came before an answered request
                assert requests.get(server.url("healthz"), timeout=WAIT_SECONDS).ok
            assert server.stop() == 0
            response = HTTPResponse(connection)
            response.begin()
            answers = json.loads(response.read())
        assert response.status == 200
        assert [answer["file"] for answer in answers] == ["a.png"] * 4
        assert answers[0]["predictions"][0]["label"].startswith("class ")
        assert all(ends(connection) for connection in half)
        with pytest.raises(requests.ConnectionError):
            server.post("predict", CAT)


def test_ctrl_c_ends_the_server_too(tmp_path: Path) -> None:
    server = ModelServer(log=tmp_path / "log")
    assert server.stop(signal.SIGINT) == 130
    assert "Traceback" not in server.log.read_text()


def test_one_worker_counts_its_process_whatever_the_environment_says(tmp_path: Path) -> None:
    folder = str(tmp_path / "none")
    with serving(log=tmp_path / "log", PROMETHEUS_MULTIPROC_DIR=folder) as server:
        assert server.metric("process_open_fds") > 0


def test_workers_end_with_the_process_that_started_them(tmp_path: Path) -> None:
    server = ModelServer("--workers", 2, log=tmp_path / "log")
    wait_for(lambda: len(serving_children(server)) == 2)
    workers = serving_children(server)
    server.process.kill()
    server.process.wait()
    wait_for(lambda: not any(Path(f"/proc/{worker}/exe").exists() for worker in workers))


NO_COVERAGE = {"COVERAGE_PROCESS_CONFIG": "", "COVERAGE_PROCESS_START": ""}
"""What keeps a process from measuring coverage, for which it would write a file."""


@pytest.mark.skipif(not read_only_root.is_possible(), reason="needs Landlock: Linux 5.13")
def test_workers_need_no_file_that_can_be_written(tmp_path: Path) -> None:
    under = (sys.executable, read_only_root.__file__)
    with serving("--workers", 2, log=tmp_path / "log", under=under, **NO_COVERAGE) as server:
        assert server.post("predict", CAT).status_code == 200
        assert server.post("predict", files=form(("a.jpg", CAT))).status_code == 200
        assert server.metric("ghostnet_batch_images_sum") == 2


def test_workers_without_a_folder_for_metrics_are_an_error(
    ghostnet: Ghostnet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("ghostnet.system.memory.FOLDER", str(tmp_path / "none"))
        patch.setattr("tempfile.tempdir", str(tmp_path / "none"))
        ghostnet("serve", "--port", 0, "--workers", 2, status=1)
    assert "mount one at /tmp, or use --workers 1" in ghostnet.err


def test_a_worker_that_dies_as_it_starts_holds_up_nothing(tmp_path: Path) -> None:
    with serving("--workers", 2, log=tmp_path / "log") as server:
        for _ in range(3):
            for child in children(server.process.pid):
                os.kill(child, signal.SIGKILL)
        wait_for(lambda: len(serving_children(server)) == 2)
        assert server.post("predict", CAT).status_code == 200


def test_workers_that_cannot_start_are_one_line(ghostnet: Ghostnet) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "ghostnet.cli", "serve", "--port", "0", "--workers", "2"],
        env=os.environ | {"GHOSTNET_INSTRUCTION_SET": "nonsense"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 1
    assert "nonsense" in done.stderr.splitlines()[-1]


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="there is no IPv6 here")
def test_every_address_is_ipv4_and_ipv6(tmp_path: Path) -> None:
    with serving("--host", "::", log=tmp_path / "log") as server:
        for address in ("127.0.0.1", "::1"):
            socket.create_connection((address, server.port)).close()


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


def try_to_post(server: ModelServer) -> int:
    return server.post("predict", CAT).status_code
