"""Twenty processes at once, a clock that runs backwards, files that change, links that lie."""

import hashlib
import os
import re
import shutil
import ssl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from bundled_models import FLOWERS
from command_line import Ghostnet
from http_server import (
    MisbehavingServer,
    claiming,
    endless,
    endless_chunks,
    proxying,
    redirect,
    serving,
    slowly,
    whole,
)

from ghostnet.checkpoints import write_checkpoint
from ghostnet.checkpoints.budget import MAX_BYTES
from ghostnet.errors import FetchError, IntegrityError
from ghostnet.files import sha256_of
from ghostnet.hub import read_card
from ghostnet.hub.card import Asset
from ghostnet.hub.catalog import assets_folder
from ghostnet.hub.checkpoint_file import locate, promised
from ghostnet.web import DownloadLimits

BODY = bytes(range(256)) * 1024
SHA256 = hashlib.sha256(BODY).hexdigest()
FLOWERS_CARD = assets_folder() / f"{FLOWERS}.md"

TWENTY_AT_ONCE = """
import os, sys
from ghostnet.hub.catalog import find_card
from ghostnet.hub.checkpoint_file import locate

card, cache = sys.argv[1:]
for _ in range(20):
    if not os.fork():
        content = locate(find_card(card), cache).read()
        os._exit(len(content) != int(os.environ["LENGTH"]))
print([os.waitpid(-1, 0)[1] for _ in range(20)])
"""

BACKWARD_CLOCK = """
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

// The time of day goes back by a minute at every look at it.
static time_t late() { static time_t minutes = 0; return 60 * ++minutes; }

extern "C" int clock_gettime(clockid_t clock, timespec* now) {
  const long result = syscall(SYS_clock_gettime, clock, now);
  if (clock == CLOCK_REALTIME) now->tv_sec -= late();
  return result;
}
extern "C" int gettimeofday(timeval* now, void*) {
  timespec precise;
  clock_gettime(CLOCK_REALTIME, &precise);
  *now = {precise.tv_sec, precise.tv_nsec / 1000};
  return 0;
}
extern "C" time_t time(time_t* now) {
  timespec precise;
  clock_gettime(CLOCK_REALTIME, &precise);
  if (now) *now = precise.tv_sec;
  return precise.tv_sec;
}
"""

PUBLIC = "93.184.216.34"


@pytest.fixture
def server() -> Iterator[MisbehavingServer]:
    with serving() as running:
        yield running


def write_card(folder: Path, link: str, sha256: str = SHA256) -> Path:
    """The flowers card with another link and hash."""
    text = FLOWERS_CARD.read_text()
    text = text.replace("ghostnet_v1.0_flowers.ckpt", link)
    text = text.replace(str(read_card(FLOWERS_CARD).checkpoint.sha256), sha256)
    (folder / "card.md").write_text(text)
    return folder / "card.md"


def test_twenty_processes_loading_at_once(server: MisbehavingServer, tmp_path: Path) -> None:
    card = write_card(tmp_path, server.url("/a.ckpt", slowly(BODY, pieces=5, pause=0.1)))
    done = subprocess.run(
        [sys.executable, "-c", TWENTY_AT_ONCE, card, tmp_path],
        env=os.environ | {"LENGTH": str(len(BODY))},
        capture_output=True,
        text=True,
    )
    assert (done.stdout, done.stderr) == (f"{[0] * 20}\n", "")
    assert server.requests == ["/a.ckpt"]


@pytest.mark.skipif(shutil.which("c++") is None, reason="needs a C++ compiler")
def test_a_clock_that_runs_backwards(server: MisbehavingServer, tmp_path: Path) -> None:
    library = tmp_path / "clock.so"
    compiler = ["c++", "-shared", "-fPIC", "-x", "c++", "-", "-o", library]
    subprocess.run(compiler, input=BACKWARD_CLOCK, text=True, check=True)
    card = write_card(tmp_path, server.url("/a.ckpt", slowly(BODY, pieces=5, pause=0.1)))
    for _ in range(2):
        done = subprocess.run(
            [sys.executable, "-m", "ghostnet.cli", "hub", "fetch", card, "--cache-dir", tmp_path],
            env=os.environ | {"LD_PRELOAD": str(library)},
            capture_output=True,
            text=True,
        )
        path = tmp_path / "by-sha256" / SHA256 / "a.ckpt"
        assert (done.stdout, done.stderr) == (f"{path}\n", "")
        os.utime(path, (2**32, 2**32))  # written, as it seems, in a century to come
    assert server.requests == ["/a.ckpt"]


class Swap:
    """Replaces a file just before it is opened for the given time, counted from 1."""

    def __init__(self) -> None:
        self.path = Path()
        self.remaining = 0
        sys.addaudithook(self)  # which stays for good: idle where nothing remains

    def __call__(self, event: str, arguments: tuple[object, ...]) -> None:
        if self.remaining and event == "open" and arguments[:2] == (str(self.path), None):
            self.remaining -= 1
            if not self.remaining:
                os.replace(self.path.with_suffix(".other"), self.path)


@pytest.fixture(scope="module")
def swap() -> Swap:
    return Swap()


def test_a_checkpoint_replaced_while_it_is_read(swap: Swap, tmp_path: Path) -> None:
    path = tmp_path / "model.ckpt"
    write_checkpoint({"w": np.zeros(3, np.float32)}, path)
    card = write_card(tmp_path, path.name, str(sha256_of(path)))
    original = path.read_bytes()
    swap.path = path
    write_checkpoint({"w": np.ones(3, np.float32)}, path.with_suffix(".other"))
    swap.remaining = 2  # the bytes that were hashed are those that are loaded: it is opened once
    assert not locate(read_card(card)).parameters()["w"].any()
    swap.remaining = 1
    with pytest.raises(IntegrityError, match=re.escape(str(path))):
        locate(read_card(card)).parameters()
    path.write_bytes(original)
    assert not locate(read_card(card)).parameters()["w"].any()


def test_a_card_that_links_to_a_file(ghostnet: Ghostnet, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(BODY)
    for link in (secret.as_uri(), f"{tmp_path}/secret", "../secret", "file:secret"):
        card = write_card(tmp_path, link)
        ghostnet("hub", "fetch", card, "--cache-dir", tmp_path / "cache", status=1)
        assert ghostnet.err.startswith("ghostnet: ")
        assert link in ghostnet.err
    assert not list(tmp_path.glob("cache/**/*secret"))


def test_a_card_that_links_to_ten_gigabytes(
    server: MisbehavingServer, ghostnet: Ghostnet, tmp_path: Path
) -> None:
    card = write_card(tmp_path, server.url("/a.ckpt", claiming(10 * 1024**3, b"")))
    ghostnet("hub", "fetch", card, "--cache-dir", tmp_path, status=1)
    assert f"10,737,418,240 bytes or more, and at most {MAX_BYTES:,} are allowed" in ghostnet.err


@pytest.mark.parametrize("body", [endless(200), endless_chunks], ids=["plain", "chunked"])
def test_a_body_that_never_ends(server: MisbehavingServer, tmp_path: Path, body: object) -> None:
    wanted = Asset(format="ckpt", link=server.url("/a.ckpt", body), sha256=SHA256)
    with pytest.raises(FetchError, match="at most 1,048,576 are allowed"):
        promised(wanted, tmp_path).fetch(limits=DownloadLimits(max_bytes=2**20))
    assert [path.name for path in tmp_path.iterdir()] == [".lock"]


@pytest.fixture
def public_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[MisbehavingServer]:
    """A server that is reached, through a proxy and with a certificate, at a public address."""
    if shutil.which("openssl") is None:
        pytest.skip("needs openssl, to make a certificate")
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj"]
        + ["/CN=test", "-addext", f"subjectAltName=IP:{PUBLIC}", "-keyout", key]
        + ["-out", certificate],
        check=True,
        capture_output=True,
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with serving(context) as running, proxying(running.server_port) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{proxy}")
        monkeypatch.setenv("NO_PROXY", "")
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
        yield running


@pytest.mark.parametrize(
    "target",
    ["https://10.0.0.1/a.ckpt", "https://localhost/a.ckpt", "https://169.254.169.254/a.ckpt"],
)
def test_a_redirect_to_a_private_address(
    public_server: MisbehavingServer, ghostnet: Ghostnet, tmp_path: Path, target: str
) -> None:
    public_server.url("/moved.ckpt", redirect(target))
    public_server.url("/a.ckpt", whole(BODY))
    link = f"https://{PUBLIC}"
    words = ("--cache-dir", tmp_path)
    ghostnet("hub", "fetch", write_card(tmp_path, f"{link}/a.ckpt"), *words)
    ghostnet("hub", "fetch", write_card(tmp_path, f"{link}/moved.ckpt"), *words, status=1)
    assert "may not lead to a private one" in ghostnet.err
    assert target in ghostnet.err
    assert public_server.requests == ["/a.ckpt", "/moved.ckpt"]
