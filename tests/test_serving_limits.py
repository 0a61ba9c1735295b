"""``ghostnet serve`` at its limits, and with clients that behave badly."""

import gzip
import json
import signal
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPResponse

import pytest
from model_server import ModelServer
from serving_requests import CAT, HALVES, SLOW, assert_same, ends, form, plain_image
from waiting import wait_for

from ghostnet import kernels

pytestmark = pytest.mark.skipif(
    not kernels.available(), reason=f"no fused kernels here: {kernels.unavailable_reason()}"
)


# Limits ---------------------------------------------------------------------------------------


def test_a_body_over_the_limit_is_413(server: ModelServer) -> None:
    response = server.post("predict", bytes(4 * 2**20 + 1))
    assert response.status_code == 413
    assert "the limit of 4 MiB" in response.json()["error"]


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


def test_a_body_may_be_gzip(server: ModelServer) -> None:
    expected = server.post("predict", CAT).json()
    packed = gzip.compress(CAT)
    response = server.post("predict", packed, headers={"Content-Encoding": "gzip"})
    assert_same(response.json(), expected)
    parts = gzip.compress(CAT[:100]) + gzip.compress(CAT[100:])
    response = server.post("predict", parts, headers={"Content-Encoding": "x-gzip"})
    assert response.status_code == 200
    bomb = gzip.compress(bytes(2**26))
    for body, encoding, status in (
        (bomb, "gzip", 413),
        (CAT, "gzip", 400),
        (gzip.compress(b"") * 101, "gzip", 400),
        (packed[:-20], "gzip", 400),
        (CAT, "br", 415),
    ):
        response = server.post("predict", body, headers={"Content-Encoding": encoding})
        assert response.status_code == status, response.text


def post_at_once(
    server: ModelServer, image: bytes, count: int
) -> list[tuple[HTTPResponse, object]]:
    """Send an image many times while the server stands still: it then finds all requests there.

    Returns:
        Each response and its document.
    """
    head = f"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: {len(image)}\r\n\r\n".encode()
    server.process.send_signal(signal.SIGSTOP)
    connections = [server.connect(head + image) for _ in range(count)]
    server.process.send_signal(signal.SIGCONT)
    answers = []
    for connection in connections:
        with connection:
            response = HTTPResponse(connection)
            response.begin()
            answers.append((response, json.loads(response.read())))
    return answers


def test_a_full_queue_is_503_and_recovers(server: ModelServer) -> None:
    answers = post_at_once(server, SLOW, 32)
    refused = [(response, document) for response, document in answers if response.status == 503]
    assert 0 < len(refused) <= 32 - 16
    assert {response.status for response, _ in answers} == {200, 503}
    for response, document in refused:
        assert response.headers["Retry-After"] == "1"
        assert "try again" in document["error"]
    assert server.post("predict", CAT).status_code == 200


def test_a_large_form_gets_in_beside_steady_clients(server: ModelServer) -> None:
    statuses: list[int] = []
    has_ended = threading.Event()

    def post_on() -> None:
        while not has_ended.is_set():
            statuses.append(server.post("predict", CAT).status_code)

    with ThreadPoolExecutor(6) as executor:
        for _ in range(6):
            executor.submit(post_on)
        wait_for(lambda: len(statuses) > 12)
        large = form(*[("a.png", CAT)] * 16)
        answers = [server.post("predict", files=large).status_code for _ in range(3)]
        has_ended.set()
    assert answers == [200] * 3
    assert set(statuses) == {200}


def test_broken_images_do_not_stay_in_memory(server: ModelServer) -> None:
    broken = b"no image" + bytes(3 * 2**20)
    server.post("predict", broken)
    before = server.metric("process_resident_memory_bytes")
    for _ in range(40):
        assert server.post("predict", broken).status_code == 422
    assert server.metric("process_resident_memory_bytes") < before + 10 * len(broken)


def test_requests_that_wait_together_run_together(server: ModelServer) -> None:
    images, batches = server.metric("ghostnet_batch_images_sum"), batch_count(server)
    expected = server.post("predict", CAT).json()
    for _, document in post_at_once(server, CAT, 16):
        assert_same(document, expected)
    assert server.metric("ghostnet_batch_images_sum") - images == 17
    assert batch_count(server) - batches < 17


def batch_count(server: ModelServer) -> float:
    return server.metric("ghostnet_batch_images_count")


# Clients that behave badly --------------------------------------------------------------------


def test_slow_clients_hold_up_nobody_and_are_cut_off(server: ModelServer) -> None:
    connections = [server.connect(content) for content in HALVES.values() for _ in range(60)]
    assert server.post("predict", CAT).status_code == 200
    for connection in connections:
        assert ends(connection)


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
