"""Assets are fetched whole and verified, from a real server, or refused with the reason."""

import gc
import hashlib
import os
import pty
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from http_server import (
    MisbehavingServer,
    claiming,
    endless,
    in_turn,
    redirect,
    serving,
    slowly,
    stalling,
    status,
    trickling,
    whole,
    without_length,
)
from waiting import wait_for

from ghostnet.errors import CardError, FetchError, IntegrityError
from ghostnet.hub.card import Asset
from ghostnet.hub.checkpoint_file import promised
from ghostnet.hub.verified_file import read_verified
from ghostnet.web import DownloadLimits, check_link, fetch_text

BODY = bytes(range(256)) * 2048
"""Its half is longer than a buffer of a file, which holds 128 KiB from Python 3.14 on."""
SHA256 = hashlib.sha256(BODY).hexdigest()
QUICK = DownloadLimits(
    connect_time=5, read_time=0.4, stall_time=0.3, attempts=3, first_wait=0.01, max_bytes=2**20
)

FETCH = """
import sys
from pathlib import Path
from ghostnet.cli.output import watch_download
from ghostnet.hub.card import Asset
from ghostnet.hub.checkpoint_file import promised

asset = Asset(format="ckpt", link=sys.argv[1], sha256=sys.argv[2])
print(promised(asset, Path(sys.argv[3])).fetch(watch=watch_download))
"""


@pytest.fixture
def server() -> Iterator[MisbehavingServer]:
    with serving() as running:
        yield running


def asset(link: str, sha256: str | None = SHA256) -> Asset:
    return Asset(format="ckpt", link=link, sha256=sha256)


def files(folder: Path) -> set[str]:
    """The names in `folder` that a user would see, and leftovers of a download."""
    return {path.name for path in folder.glob("*") if path.name != ".lock"}


def fetch_in_process(url: str, folder: Path) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", FETCH, url, SHA256, str(folder)], stdout=subprocess.PIPE, text=True
    )


def test_whole_file_arrives(server: MisbehavingServer, tmp_path: Path) -> None:
    path = promised(asset(server.url("/a.ckpt", whole(BODY))), tmp_path / "x/y").fetch(limits=QUICK)
    assert path == tmp_path / "x/y/a.ckpt"
    assert path.read_bytes() == BODY
    assert files(path.parent) == {"a.ckpt"}


def test_length_need_not_be_told(server: MisbehavingServer, tmp_path: Path) -> None:
    assert (
        promised(asset(server.url("/a.ckpt", without_length(BODY))), tmp_path).fetch().read_bytes()
        == BODY
    )


def test_right_file_is_not_fetched_again(server: MisbehavingServer, tmp_path: Path) -> None:
    wanted = asset(server.url("/a.ckpt", whole(BODY)))
    promised(wanted, tmp_path).fetch()
    promised(wanted, tmp_path).fetch()
    assert len(server.requests) == 1
    promised(wanted, tmp_path).fetch(force=True)
    assert len(server.requests) == 2


def test_wrong_file_is_set_aside_and_fetched_anew(
    server: MisbehavingServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    flipped = bytes([BODY[0] ^ 1]) + BODY[1:]
    (tmp_path / "a.ckpt").write_bytes(flipped)
    path = promised(asset(server.url("/a.ckpt", whole(BODY))), tmp_path).fetch()
    assert path.read_bytes() == BODY
    aside = tmp_path / f"a.ckpt.wrong-{hashlib.sha256(flipped).hexdigest()[:12]}"
    assert aside.read_bytes() == flipped
    assert SHA256 in caplog.text
    assert aside.name in caplog.text


def test_offline_says_what_is_wrong_and_what_to_do(
    server: MisbehavingServer, tmp_path: Path
) -> None:
    wanted = asset(server.url("/a.ckpt", status(404)))
    (tmp_path / "a.ckpt").write_bytes(b"wrong")
    with pytest.raises(FetchError) as caught:
        promised(wanted, tmp_path, "u/1/m").fetch(limits=QUICK)
    message = str(caught.value)
    assert SHA256 in message
    assert hashlib.sha256(b"wrong").hexdigest() in message
    assert "ghostnet hub fetch u/1/m --from FILE" in message
    assert not (tmp_path / "a.ckpt").exists()


def test_nobody_answers(tmp_path: Path) -> None:
    with serving() as gone:
        url = gone.url("/a.ckpt", whole(BODY))
    with pytest.raises(FetchError, match="refused"):
        promised(asset(url), tmp_path).fetch(limits=QUICK)
    assert files(tmp_path) == set()


@pytest.mark.parametrize(
    "passing",
    [
        status(500),
        status(503, Retry_After="0"),
        status(429),
        claiming(len(BODY), BODY[:1000]),
        claiming(len(BODY) + 1, BODY),
        stalling(BODY),
    ],
    ids=["500", "503", "429", "truncated", "length too large", "stall"],
)
def test_passing_trouble_is_tried_again(
    server: MisbehavingServer, tmp_path: Path, passing: object
) -> None:
    url = server.url("/a.ckpt", in_turn(passing, passing, whole(BODY)))
    assert promised(asset(url), tmp_path).fetch(limits=QUICK).read_bytes() == BODY
    assert len(server.requests) == 3


@pytest.mark.parametrize(
    ("trouble", "error", "reason"),
    [
        (status(500), FetchError, "500"),
        (status(429, Retry_After="0"), FetchError, "429"),
        (status(404), FetchError, "404"),
        (status(206), FetchError, "206"),
        (status(302), FetchError, "302"),
        (claiming(len(BODY), BODY[:1000]), FetchError, "3 attempts"),
        (claiming(len(BODY) - 1, BODY), IntegrityError, SHA256),
        (claiming(2**30, BODY), FetchError, "at most 1,048,576 are allowed"),
        (without_length(bytes(2**21)), FetchError, "at most 1,048,576 are allowed"),
        (whole(BODY[:-1] + b"x"), IntegrityError, SHA256),
        (whole(b""), IntegrityError, SHA256),
        (stalling(BODY), FetchError, "stalls"),
        (slowly(BODY[:40], pieces=40, pause=0.05), FetchError, "stalls"),
        (redirect("file:///etc/hostname"), FetchError, "https"),
        (redirect("http://example.com/a.ckpt"), FetchError, "https"),
        (redirect("ftp://example.com/a.ckpt"), FetchError, "https"),
        (redirect("/a.ckpt"), FetchError, "more than 5 redirects"),
        (redirect("http://["), FetchError, "not a link"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_trouble_ends_in_an_error_and_an_empty_cache(
    server: MisbehavingServer,
    tmp_path: Path,
    trouble: object,
    error: type[Exception],
    reason: str,
) -> None:
    with pytest.raises(error, match=reason):
        promised(asset(server.url("/a.ckpt", trouble)), tmp_path).fetch(limits=QUICK)
    assert files(tmp_path) == set()


OK, CHUNKED = b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
REST = b"\r\nContent-Length: %d\r\n\r\n" % len(BODY) + BODY
CHUNK = b"\r\n" + BODY + b"\r\n0\r\n"
TRICKLES = {
    "status line": (b"HTTP/1.1 200 ", b"O", REST),
    "header": (OK + b"X: ", b"x", REST),
    "continue": (b"", b"HTTP/1.1 100 Continue\r\n\r\n", OK[:-2] + REST),
    "chunk extension": (CHUNKED + b"%x;" % len(BODY), b"x", CHUNK + b"\r\n"),
    "trailer": (CHUNKED + b"%x" % len(BODY) + CHUNK, b"X: x\r\n", b"\r\n"),
    "body": (OK[:-2] + REST[: -len(BODY)], BODY[:1], BODY[1000:]),
}


@pytest.mark.parametrize("part", TRICKLES)
@pytest.mark.parametrize("redirected", [False, True])
def test_a_part_of_an_answer_that_trickles(
    server: MisbehavingServer, tmp_path: Path, part: str, redirected: bool
) -> None:
    url = server.url("/a.ckpt", trickling(*TRICKLES[part]))
    if redirected:
        url = server.url("/moved.ckpt", redirect(url))
    limits = replace(QUICK, head_time=0.5, attempts=2)
    with pytest.raises(FetchError, match=r"(no whole answer within|stalls).*\(2 attempts\)"):
        promised(asset(url), tmp_path).fetch(limits=limits)
    assert files(tmp_path) == set()


def test_a_redirect_that_trickles(server: MisbehavingServer, tmp_path: Path) -> None:
    target = server.url("/b.ckpt", whole(BODY)).encode()
    url = server.url("/a.ckpt", trickling(b"HTTP/1.1 302 ", b"x", b"\r\nLocation: " + target))
    with pytest.raises(FetchError, match=r"no whole answer within 0\.5 s"):
        promised(asset(url), tmp_path).fetch(limits=replace(QUICK, head_time=0.5))
    assert "/b.ckpt" not in server.requests


# Where no handshake can begin, Python's ssl leaves the socket to the garbage collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_proxy_that_trickles(
    server: MisbehavingServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = server.url("", status(200)).rstrip("/")
    monkeypatch.setenv("HTTPS_PROXY", url)
    monkeypatch.setenv("NO_PROXY", "")
    server.url("93.184.216.34:443", trickling(OK + b"X: ", b"x", b"\r\n\r\n"))
    with pytest.raises(FetchError, match=r"no whole answer within 0\.5 s"):
        promised(asset("https://93.184.216.34/a.ckpt"), tmp_path).fetch(
            limits=replace(QUICK, head_time=0.5)
        )
    assert server.requests[0] == "93.184.216.34:443"
    gc.collect()


def test_redirect_on_this_machine_is_followed(server: MisbehavingServer, tmp_path: Path) -> None:
    target = server.url("/b.ckpt", whole(BODY))
    path = promised(asset(server.url("/a.ckpt", redirect(target))), tmp_path).fetch()
    assert path.name == "a.ckpt"
    assert path.read_bytes() == BODY


def test_redirect_is_followed_before_its_endless_body(
    server: MisbehavingServer, tmp_path: Path
) -> None:
    target = server.url("/b.ckpt", whole(BODY))
    url = server.url("/a.ckpt", endless(302, Location=target))
    assert promised(asset(url), tmp_path).fetch().read_bytes() == BODY


@pytest.mark.parametrize(
    ("url", "came_from"),
    [
        ("http://example.com/a", None),
        ("http://localhost.example.com/a", None),
        ("http://10.0.0.1/a", None),
        ("file:///etc/passwd", None),
        ("ftp://127.0.0.1/a", None),
        ("https:///a", None),
        ("https://user:secret@example.com/a", None),
        ("http://127.0.0.1/a", "https://127.0.0.1/b"),
        ("https://127.0.0.1/a", "https://93.184.216.34/b"),
        ("https://10.1.2.3/a", "https://93.184.216.34/b"),
        ("https://169.254.169.254/a", "https://93.184.216.34/b"),
        ("https://[::1]/a", "https://93.184.216.34/b"),
        ("https://[::ffff:127.0.0.1]/a", "https://93.184.216.34/b"),
        ("https://localhost/a", "https://93.184.216.34/b"),
        ("https://2130706433/a", "https://93.184.216.34/b"),
    ],
)
def test_link_is_refused(url: str, came_from: str | None) -> None:
    with pytest.raises(FetchError):
        check_link(url, came_from)


@pytest.mark.parametrize(
    ("url", "came_from"),
    [
        ("https://93.184.216.34/a", None),
        ("https://10.0.0.1/a", None),
        ("http://localhost:8000/a", None),
        ("http://[::1]:8000/a", "http://127.0.0.1/b"),
        ("https://93.184.216.34/a", "https://93.184.216.34/b"),
        ("https://10.1.2.3/a", "https://10.0.0.1/b"),
    ],
)
def test_link_is_allowed(url: str, came_from: str | None) -> None:
    check_link(url, came_from)


@pytest.mark.parametrize("sha256", [None, "ae7771cb", SHA256[:-1]])
def test_asset_without_a_whole_hash_is_refused(
    server: MisbehavingServer, tmp_path: Path, sha256: str | None
) -> None:
    with pytest.raises(IntegrityError, match="cannot be verified"):
        promised(asset(server.url("/a.ckpt", whole(BODY)), sha256), tmp_path).fetch()
    assert server.requests == []


@pytest.mark.parametrize("ending", ["", "..", ".hidden", "a%2fb", "a b", "a\\b"])
def test_link_without_a_plain_file_name_is_refused(tmp_path: Path, ending: str) -> None:
    with pytest.raises(FetchError, match="file name"):
        promised(asset(f"https://example.com/{ending}"), tmp_path).fetch()


def test_relative_link_is_verified_beside_the_card(tmp_path: Path) -> None:
    local = asset("a.ckpt").model_copy(update={"folder": tmp_path})
    with pytest.raises(FetchError, match=r"a\.ckpt"):
        promised(local, tmp_path / "cache").fetch()
    (tmp_path / "a.ckpt").write_bytes(b"wrong")
    with pytest.raises(IntegrityError, match=SHA256):
        promised(local, tmp_path / "cache").fetch()
    (tmp_path / "a.ckpt").write_bytes(BODY)
    assert promised(local, tmp_path / "cache").fetch() == tmp_path / "a.ckpt"
    with pytest.raises(CardError, match="not a local file"):
        promised(asset("a.ckpt"), tmp_path).fetch()


def test_planted_symlink_is_not_written_through(server: MisbehavingServer, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    cache = tmp_path / "cache"
    cache.mkdir()
    (cache / "a.ckpt").symlink_to(victim)
    path = promised(asset(server.url("/a.ckpt", whole(BODY))), cache).fetch()
    assert victim.read_bytes() == b"precious"
    assert not path.is_symlink()
    assert path.read_bytes() == BODY


def test_planted_lock_symlink_and_pipe_and_folder(
    server: MisbehavingServer, tmp_path: Path
) -> None:
    wanted = asset(server.url("/a.ckpt", whole(BODY)))
    for name, plant in {"pipe": os.mkfifo, "folder": os.mkdir}.items():
        (tmp_path / name).mkdir()
        plant(tmp_path / name / "a.ckpt")
        assert promised(wanted, tmp_path / name).fetch().read_bytes() == BODY
    (tmp_path / "lock").mkdir()
    (tmp_path / "lock/.lock").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(FetchError, match="cannot be written"):
        promised(wanted, tmp_path / "lock").fetch()
    assert not (tmp_path / "elsewhere").exists()


def test_cache_that_cannot_be_written(server: MisbehavingServer, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(FetchError, match="GHOSTNET_CACHE"):
        promised(asset(server.url("/a.ckpt", whole(BODY))), tmp_path / "file/cache").fetch()


def test_killed_fetch_leaves_nothing_wrong(server: MisbehavingServer, tmp_path: Path) -> None:
    url = server.url("/a.ckpt", stalling(BODY))
    process = fetch_in_process(url, tmp_path)
    wait_for(lambda: any(part.stat().st_size for part in tmp_path.glob("*.part")))
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert not (tmp_path / "a.ckpt").exists()
    server.answers["/a.ckpt"] = whole(BODY)
    assert promised(asset(url), tmp_path).fetch().read_bytes() == BODY
    assert files(tmp_path) == {"a.ckpt"}


def test_processes_fetching_at_once_all_succeed(server: MisbehavingServer, tmp_path: Path) -> None:
    (tmp_path / "a.ckpt").write_bytes(b"wrong")
    url = server.url("/a.ckpt", slowly(BODY, pieces=4, pause=0.1))
    processes = [fetch_in_process(url, tmp_path) for _ in range(4)]
    answers = [process.communicate()[0].strip() for process in processes]
    assert answers == [str(tmp_path / "a.ckpt")] * 4
    assert (tmp_path / "a.ckpt").read_bytes() == BODY
    assert len(server.requests) == 1


def test_place_takes_the_right_file_only(tmp_path: Path) -> None:
    wanted = asset("https://example.com/a.ckpt")
    source = tmp_path / "download (1).ckpt"
    source.write_bytes(BODY[:-1])
    with pytest.raises(IntegrityError, match=SHA256):
        promised(wanted, tmp_path / "cache").place(source)
    with pytest.raises(FetchError, match="cannot be read"):
        promised(wanted, tmp_path / "cache").place(tmp_path)
    source.write_bytes(BODY)
    path = promised(wanted, tmp_path / "cache").place(source)
    assert promised(wanted, tmp_path / "cache").fetch() == path == tmp_path / "cache/a.ckpt"


def test_read_verified_gives_the_bytes_that_it_hashed(tmp_path: Path) -> None:
    path = tmp_path / "a.ckpt"
    path.write_bytes(BODY)
    assert read_verified(path, SHA256) == BODY
    path.write_bytes(BODY[1:])
    with pytest.raises(IntegrityError, match=SHA256):
        read_verified(path, SHA256)
    with pytest.raises(FetchError, match="cannot be read"):
        read_verified(tmp_path / "none", SHA256)


def test_text_is_fetched_with_a_limit(server: MisbehavingServer) -> None:
    assert fetch_text(server.url("/card.md", whole("# GhöstNet".encode()))) == "# GhöstNet"
    with pytest.raises(FetchError, match="at most"):
        fetch_text(server.url("/large.md", without_length(bytes(2**20 + 1))))
    with pytest.raises(FetchError, match="UTF-8"):
        fetch_text(server.url("/odd.md", whole(b"\xff")))


def test_progress_is_shown_on_a_terminal_only(server: MisbehavingServer, tmp_path: Path) -> None:
    url = server.url("/a.ckpt", slowly(BODY, pieces=5, pause=0.05))
    main, terminal = pty.openpty()
    command = [sys.executable, "-c", FETCH, url, SHA256]
    environment = os.environ | {"TERM": "xterm", "COLUMNS": "80"}
    with open(main, "rb", buffering=0) as screen:
        subprocess.run(
            [*command, str(tmp_path / "1")],
            stderr=terminal,
            stdout=subprocess.DEVNULL,
            env=environment,
            check=True,
        )
        assert b"a.ckpt" in screen.read(65536)
    os.close(terminal)
    silent = subprocess.run([*command, str(tmp_path / "2")], capture_output=True, check=True)
    assert silent.stderr == b""
