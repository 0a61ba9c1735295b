"""Pages to look at: the images with their labels, and what an evaluation found."""

import base64
import io
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from command_line import Ghostnet
from PIL import Image

import ghostnet
from ghostnet.data.transforms import decode
from ghostnet.hub.catalog import assets_folder
from ghostnet.inference import report
from ghostnet.model import ImageSource, Model

IMAGES = assets_folder() / "images"


class Page(HTMLParser):
    """Reads a page: its texts, its images, and what it would load."""

    def __init__(self, content: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []
        self.texts: list[str] = []
        self.feed(content)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [value or "" for name, value in attributes if name in ("src", "href")]

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    @property
    def text(self) -> str:
        return "".join(self.texts)

    def images(self) -> list[Image.Image]:
        contents = (base64.b64decode(link.partition(",")[2]) for link in self.links)
        return [Image.open(io.BytesIO(content)) for content in contents]


@pytest.fixture(scope="module")
def model() -> Model:
    return ghostnet.open_model()


def labeled_folder(root: Path) -> Path:
    """A folder with two mistakes: one that the model is sure about, one that it is not."""
    for label, name in (
        ("Abyssinian", "cat.jpg"),
        ("Ragdoll", "kitten.jpg"),
        ("pug", "pug.jpg"),
        ("Bengal", "cat.jpg"),
        ("beagle", "kitten.jpg"),
    ):
        (root / label).mkdir(parents=True)
        shutil.copy(IMAGES / name, root / label / name)
    (root / "pug" / "broken.jpg").write_bytes(b"\xff\xd8\xff broken")
    return root


def test_predict_writes_a_page_that_holds_everything(ghostnet: Ghostnet, tmp_path: Path) -> None:
    ghostnet("predict", IMAGES, "--report", tmp_path / "new" / "page.html", "--top-k", 2)
    content = (tmp_path / "new" / "page.html").read_text()
    page = Page(content)
    assert all(link.startswith("data:image/jpeg;base64,") for link in page.links)
    assert len(page.images()) == len([*IMAGES.glob("*.jpg")])
    assert all(max(image.size) <= 160 for image in page.images())
    assert re.search(r"cat\.jpg\s*Abyssinian72\.1%Bengal10\.9%", page.text)
    assert not {"script", "link", "iframe"} & {*page.tags}
    assert "default-src 'none'" in content


def test_names_and_errors_are_text(model: Model) -> None:
    results = model.predict(
        [
            ImageSource("<script>alert(1)</script>&amp;", b"<b>broken</b>"),
            ImageSource('"><img src=x onerror=alert(1)>\udcff', IMAGES / "cat.jpg"),
        ]
    )
    content = report.prediction_page("<i>model</i>", results, 3)
    page = Page(content)
    assert {"script", "i", "b"} & {*page.tags} == set()
    assert "<script>alert(1)</script>&amp;" in page.text
    assert "no image" in page.text
    assert len(page.links) == 1
    assert content.encode()


def test_a_page_is_bounded(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report, "MAX_SHOWN", 2)
    results = model.predict([IMAGES / "cat.jpg"] * 5)
    page = Page(report.prediction_page("model", results, 1))
    assert len(page.links) == 2
    assert "and 3 more images" in page.text


def test_eval_shows_the_worst_mistakes_first(ghostnet: Ghostnet, tmp_path: Path) -> None:
    root = labeled_folder(tmp_path / "photos")
    plain = ghostnet.json("eval", root)
    out = tmp_path / "page.html"
    assert ghostnet.json("eval", root, "--report", out) == plain
    page = Page(out.read_text())
    for expected in ("top-160.0%", "images5", "mistakes2"):
        assert expected in page.text
    sections = re.split("Worst mistakes|Accuracy by class|Confusion|Not readable", page.text)
    _, worst, classes, confusion, broken = sections
    assert worst.index("beagle/kitten.jpg") < worst.index("Bengal/cat.jpg")
    assert re.search(r"kitten\.jpg\s*Ragdoll60\.5%beagle0\.\d%", worst)
    assert classes.index("Bengal0.0%") < classes.index("Abyssinian100.0%")
    assert "Bengal taken for Abyssinian: 1" in confusion
    assert "broken.jpg" in broken
    *thumbnails, matrix = page.images()
    assert len(thumbnails) == 2
    assert matrix.size == (5, 5)


def test_a_perfect_evaluation_has_no_mistakes(ghostnet: Ghostnet, tmp_path: Path) -> None:
    (tmp_path / "photos" / "pug").mkdir(parents=True)
    shutil.copy(IMAGES / "pug.jpg", tmp_path / "photos" / "pug")
    ghostnet("eval", tmp_path / "photos", "--report", tmp_path / "page.html")
    text = Page((tmp_path / "page.html").read_text()).text
    assert "Worst mistakes" not in text
    assert "100.0%" in text


def test_a_page_that_cannot_be_written_is_an_error(ghostnet: Ghostnet, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    ghostnet("predict", IMAGES / "cat.jpg", "--report", tmp_path / "file" / "x.html", status=1)
    assert "cannot be written" in ghostnet.err
    words = ("--out", tmp_path / "x.csv", "--report", tmp_path / "x.html")
    ghostnet("predict", IMAGES, *words, status=2)


def test_the_images_are_lit_on_request(ghostnet: Ghostnet, tmp_path: Path) -> None:
    root = labeled_folder(tmp_path / "photos")
    out = tmp_path / "page.html"
    ghostnet("eval", root, "--report", out, "--explain")
    *lit, _ = Page(out.read_text()).images()
    assert [image.size for image in lit] == [(224, 224)] * 2
    ghostnet("predict", root / "pug", "--report", out, "--explain", status=1)
    page = Page(out.read_text())
    (image,) = page.images()
    plain = decode(IMAGES / "pug.jpg", 256)
    assert np.asarray(image).mean() < 0.8 * np.asarray(plain).mean()  # most of it is dim
    assert "no image" in page.text  # the broken one
    ghostnet("predict", IMAGES / "pug.jpg", "--explain", status=2)
