"""Images at URLs: several at once, in their order, within bounds, and never from a local file."""

import json
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from bundled_models import FLOWERS
from command_line import FROM_A_TERMINAL, Ghostnet
from http_server import (
    Handler,
    MisbehavingServer,
    claiming,
    endless,
    in_turn,
    redirect,
    serving,
    stalling,
    status,
    whole,
)
from packed import contents
from toy_images import draw
from waiting import wait_for

import ghostnet as package
from ghostnet.data import remote
from ghostnet.data.image_folder import walk_images
from ghostnet.data.left_out import LeftOut
from ghostnet.errors import FetchError, ImageError
from ghostnet.model import ImageSource, Model
from ghostnet.model.downloads import AT_ONCE, downloaded
from ghostnet.web import check_link


@pytest.fixture
def server() -> Iterator[MisbehavingServer]:
    with serving() as running:
        yield running


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw(tmp_path_factory.mktemp("images"), 4, ("one",))


@pytest.fixture(scope="module")
def model() -> Model:
    return package.open_model(FLOWERS)


@pytest.fixture(scope="module")
def images(folder: Path) -> list[bytes]:
    return [*contents(folder).values()]


def test_rows_of_a_list_of_urls_and_files(
    ghostnet: Ghostnet,
    server: MisbehavingServer,
    folder: Path,
    images: list[bytes],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(remote, "MAX_BYTES", 2**20)
    there = whole(images[1])
    answers = {
        "/0.png": whole(images[0]),
        "/busy.png": in_turn(status(503), there),
        "/moved.png": redirect("/busy.png"),
        "/gone.png": in_turn(status(404), there),
        "/page.png": whole(b"<html>"),
        "/claims.png": claiming(2**21, b""),
        "/endless.png": endless(200),
    }
    urls = [server.url(path, answer) for path, answer in answers.items()]
    names = [str(folder / "one/2.png"), *urls, "file:///etc/hostname", str(folder / "one/3.png")]
    out, listed = tmp_path / "rows.jsonl", tmp_path / "list"
    listed.write_text("\n".join(names))
    words = ("predict", "--list", listed, "--model", FLOWERS, "--out", out)
    assert ghostnet.json(*words, status=1)["errors"] == 5
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert [row["file"] for row in rows] == names
    errors = {row["file"].rpartition("/")[2]: row["error"] for row in rows if "error" in row}
    assert [*errors] == ["gone.png", "page.png", "claims.png", "endless.png", "hostname"]
    assert "the server answers 404" in errors["gone.png"]
    assert errors["page.png"].startswith(f"{urls[4]}: not an image")
    assert "2,097,152 bytes or more, and at most 1,048,576 are allowed" in errors["claims.png"]
    assert "at most 1,048,576 are allowed" in errors["endless.png"]
    assert "of URLs, only https://, http://, s3://" in errors["hostname"]
    of_file = ghostnet.json("predict", folder / "one/1.png", "--model", FLOWERS)[0]
    assert rows[2]["predictions"] == rows[3]["predictions"] == of_file["predictions"]

    assert ghostnet.json(*words, "--resume", status=1)["errors"] == 4
    assert "predictions" in json.loads(out.read_text().splitlines()[4])


def test_urls_in_python(
    server: MisbehavingServer, model: Model, folder: Path, images: list[bytes]
) -> None:
    url = server.url("/0.png", whole(images[0]))
    result = model.predict(url)
    assert (result.name, result.label) == (url, model.predict(folder / "one/0.png").label)
    assert [each.name for each in model.predict([url, folder / "one/0.png"])] == [
        url, str(folder / "one/0.png")
    ]  # fmt: skip
    assert model.explain(url).result.label == result.label
    assert result.image.thumbnail() == ImageSource(url, url).thumbnail()
    with pytest.raises(ImageError, match="the server answers 404"):
        model.predict(server.url("/none.png", status(404)))


def test_several_are_downloaded_at_once_and_come_in_order(
    server: MisbehavingServer, images: list[bytes]
) -> None:
    together = threading.Barrier(AT_ONCE)

    def answer(handler: Handler) -> None:
        together.wait(timeout=60)  # for as many requests as are under way at a time
        whole(images[0])(handler)

    urls = [server.url(f"/{number}", answer) for number in range(2 * AT_ONCE)]
    sources = [*downloaded(ImageSource(url, url) for url in urls)]
    assert [image.name for image in sources] == urls
    assert {image.source.result() for image in sources} == {images[0]}


def test_an_interrupted_run_does_not_wait_for_downloads(
    server: MisbehavingServer, tmp_path: Path
) -> None:
    urls = [server.url(f"/{number}", stalling(bytes(999))) for number in range(AT_ONCE + 1)]
    (tmp_path / "list").write_text("\n".join(urls))
    words = ["predict", "--list", "list", "--model", FLOWERS, "--out", "rows.csv"]
    command = [sys.executable, "-c", FROM_A_TERMINAL, *map(str, words)]
    with subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True) as process:
        wait_for(lambda: len(server.requests) == AT_ONCE)
        process.send_signal(signal.SIGINT)
        assert process.communicate(timeout=60)[1] == "ghostnet: interrupted\n"
    assert process.returncode == 130


@pytest.mark.parametrize(
    "url",
    ["file:///etc/passwd", "FILE:///etc/passwd", "ftp://host/x", "s3::file:///etc/passwd",
     "simplecache::file:///etc/passwd", "s3://a::file:///etc/passwd", "github://a/b", "https://[bad"],
)  # fmt: skip
def test_other_urls_are_refused(model: Model, url: str) -> None:
    with pytest.raises(ImageError, match=r"of URLs, only .* are opened|no such file|not a link"):
        model.predict(url)


def test_archives_at_urls_are_refused_before_they_are_downloaded() -> None:
    with pytest.raises(ImageError, match="an archive is read from a disk only; download it"):
        remote.read_remote("https://host/shards/0000.tar?signature=a.b")


def test_plain_http_is_for_images_only() -> None:
    check_link("http://example.com/x.jpg", https_only=False)
    with pytest.raises(FetchError, match="plain http is allowed only to this machine"):
        check_link("http://example.com/x.ckpt")


def test_a_url_is_never_below_a_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    assert [*walk_images([".", "s3://a/x", "https://b/y"], LeftOut())][4:] == [
        "s3://a/x", "https://b/y"
    ]  # fmt: skip


def test_object_stores_are_read_through_fsspec(
    images: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    fsspec = pytest.importorskip("fsspec", reason="needs the extra cloud")
    monkeypatch.setattr(remote, "MAX_BYTES", 100_000)
    store = fsspec.filesystem("memory")
    store.pipe({"/photos/0.png": images[0], "/photos/large.png": bytes(100_001)})
    assert remote.read_remote("memory://photos/0.png") == images[0]
    with pytest.raises(ImageError, match=r"memory://photos/none\.png: .*there is no such file"):
        remote.read_remote("memory://photos/none.png")
    with pytest.raises(ImageError, match="more than the 100,000 bytes that are allowed"):
        remote.read_remote("memory://photos/large.png")


def test_the_package_of_an_object_store_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "fsspec", None)
    with pytest.raises(ImageError, match=r"needs the package s3fs: pip install .*\[cloud\]"):
        remote.read_remote("s3://bucket/x.png")
