"""``ghostnet serve`` at the level of bytes: what clients and proxies send beside plain requests."""

import http.client
import json
import signal
import socket
from contextlib import suppress

import pytest
from model_server import ModelServer, forget_peak, peak_memory
from serving_requests import CAT, assert_same, ends
from waiting import WAIT_SECONDS

from ghostnet import kernels

pytestmark = pytest.mark.skipif(
    not kernels.available(), reason=f"no fused kernels here: {kernels.unavailable_reason()}"
)

HEALTH = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
OFFER = (
    b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAA\r\n"
)


def request(body: bytes, *headers: bytes) -> bytes:
    lines = [b"POST /predict HTTP/1.1", b"Host: x", b"Content-Length: %d" % len(body), *headers]
    return b"\r\n".join([*lines, b"", body])


def answer(connection: socket.socket) -> tuple[int, object]:
    (only,) = answers(connection, 1)
    return only


def answers(connection: socket.socket, count: int) -> list[tuple[int, object]]:
    """The status and the document of each response, of which several may arrive together."""
    with connection.makefile("rb") as file:
        found = []
        for _ in range(count):
            status = int(file.readline().split()[1])
            headers = http.client.parse_headers(file)
            found.append((status, json.loads(file.read(int(headers["Content-Length"])))))
        return found


@pytest.mark.parametrize("pieces", [1, 3, 40])
def test_an_offer_of_another_protocol_is_ignored(server: ModelServer, pieces: int) -> None:
    expected = server.post("predict", CAT).json()
    content = request(CAT, OFFER.removesuffix(b"\r\n"))
    size = -(-len(content) // pieces)
    with server.connect() as connection:
        for start in range(0, len(content), size):
            connection.sendall(content[start : start + size])
        status, document = answer(connection)
        assert status == 200
        assert_same(document, expected)
        connection.sendall(HEALTH)
        assert answer(connection)[0] == 200


def test_offers_come_in_chunks_with_get_and_with_close(server: ModelServer) -> None:
    chunked = b"%x\r\n%b\r\n0\r\n\r\n" % (len(CAT), CAT)
    head = b"POST /predict HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n"
    with server.connect(head + OFFER + b"\r\n" + chunked) as connection:
        assert answer(connection)[0] == 200
    websocket = b"Upgrade: websocket\r\nConnection: close, Upgrade\r\n\r\n"
    with server.connect(HEALTH[:-2] + websocket) as connection:
        assert answer(connection)[0] == 200
        assert ends(connection)
    with server.connect(b"CONNECT x:443 HTTP/1.1\r\nHost: x:443\r\n\r\n") as connection:
        status, document = answer(connection)
        assert (status, document) == (501, {"error": "this server is no proxy; send POST or GET"})


@pytest.mark.parametrize(
    "headers",
    [
        b"X: " + b"y" * 2**20 + b"\r\n",
        b"X: y\r\n" * 101,
        b"".join(b"X-%d: %s\r\n" % (n, b"y" * 4000) for n in range(20)),
    ],
    ids=["one long", "many", "large in all"],
)
def test_headers_are_limited(server: ModelServer, headers: bytes) -> None:
    with server.connect() as connection:
        try:
            connection.sendall(HEALTH[:-2] + headers + b"\r\n")
        except ConnectionError:
            return
        try:
            status, document = answer(connection)
        except ConnectionError:  # reset: the server closed while more was on its way
            return
        assert status == 431
        assert "64 KiB" in document["error"]


def test_a_head_without_end_is_cut_off_before_it_fills_memory(server: ModelServer) -> None:
    with server.connect(HEALTH[:-2] + b"X: ") as connection, pytest.raises(ConnectionError):
        connection.sendall(b"y" * 2**26)
    assert server.get("healthz").status_code == 200


def test_a_pipelined_request_has_to_arrive_too(server: ModelServer) -> None:
    with server.connect(HEALTH + HEALTH[:20]) as connection:
        assert answer(connection)[0] == 200
        assert ends(connection)


def test_pipelined_requests_are_answered_in_order(server: ModelServer) -> None:
    with server.connect(request(CAT) + HEALTH + request(b"no image")) as connection:
        assert [status for status, _ in answers(connection, 3)] == [200, 200, 422]


def test_many_pipelined_requests_are_not_one_large_head(server: ModelServer) -> None:
    one = HEALTH[:-2] + b"X: " + b"y" * 1000 + b"\r\n\r\n"
    with server.connect(one * 99 + one[:9]) as connection:
        connection.sendall(one[9:])
        assert {status for status, _ in answers(connection, 100)} == {200}


def test_a_client_that_leaves_pipelined_requests_leaves_no_trace(server: ModelServer) -> None:
    for _ in range(5):
        server.connect(request(CAT) * 4).close()
    assert server.post("predict", CAT).status_code == 200
    assert "Traceback" not in server.log.read_text()


def test_a_half_closed_client_gets_its_answer(server: ModelServer) -> None:
    with server.connect(request(CAT)) as connection:
        connection.shutdown(socket.SHUT_WR)
        assert answer(connection)[0] == 200
        assert ends(connection)
    with server.connect(request(CAT)[:-5]) as connection:
        connection.shutdown(socket.SHUT_WR)
        assert ends(connection)


def test_what_is_not_http_is_answered_in_json(server: ModelServer) -> None:
    with server.connect(b"GET / HTTP/1.1\r\nno header\r\n\r\n") as connection:
        status, document = answer(connection)
        assert status == 400
        assert "not valid HTTP" in document["error"]


def test_idle_connections_stay_open_longer_than_pools_keep_them(server: ModelServer) -> None:
    with server.connect(HEALTH) as connection:
        assert answer(connection)[0] == 200
        connection.settimeout(min(6, WAIT_SECONDS))
        with pytest.raises(TimeoutError):  # uvicorn closes after 5 seconds
            connection.recv(1)


@pytest.mark.parametrize("target", [b"/\xff", b"http://[/", b"//"])
def test_an_address_that_cannot_be_read_is_400_or_404(server: ModelServer, target: bytes) -> None:
    with server.connect(b"GET " + target + b" HTTP/1.1\r\nHost: x\r\n\r\n") as connection:
        status, document = answer(connection)
    assert status in (400, 404)
    assert document["error"]


def test_what_follows_a_body_in_chunks_takes_no_memory(server: ModelServer) -> None:
    head = b"POST /predict HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    body = head + b"%x\r\n%b\r\n0\r\n" % (len(CAT), CAT)
    server.post("predict", CAT)
    before = forget_peak(server)
    with server.connect(body + b"A: b\r\n" * 10**6 + b"\r\n") as connection:
        assert answer(connection)[0] == 200
        connection.sendall(HEALTH)
        assert answer(connection)[0] == 200
    assert peak_memory(server) - before < 64


def test_a_client_that_never_waits_for_answers_is_left(server: ModelServer) -> None:
    server.process.send_signal(signal.SIGSTOP)
    with server.connect(2000 * HEALTH) as connection:
        server.process.send_signal(signal.SIGCONT)
        connection.shutdown(socket.SHUT_WR)
        with suppress(ConnectionResetError):
            assert connection.makefile("rb").read().count(b"HTTP/1.1") < 2000
    with server.connect(50 * HEALTH) as connection:
        assert [status for status, _ in answers(connection, 50)] == 50 * [200]
