"""The try-it page in headless Chromium: its answers are those of `ghostnet predict`."""

import base64
import re
import shutil
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import numpy as np
import pytest
from bundled_models import BREEDS
from command_line import Ghostnet
from PIL import Image

from ghostnet.data.transforms import Preprocess

pytest.importorskip("playwright", reason="needs the extra dev")

from playwright.sync_api import Browser, Page, expect, sync_playwright

pytestmark = pytest.mark.slow

IMAGES = Path(__file__).resolve().parents[1] / "assets/images"
TOLERANCE = 1e-4
"""Largest difference of two probabilities; the page promises it."""

REDUCED_TOLERANCE = 0.1
"""The same for a JPEG that `ghostnet predict` decodes at a reduced size."""

WAIT_MS = 120_000
MILLISECONDS = re.compile(r"The network took \d+ ms, decoding and resizing \d+ ms\.")

OPTIONS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
)


class QuietHandler(SimpleHTTPRequestHandler):
    """Serves a folder without a log."""

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def address(site: Path) -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(QuietHandler, directory=site)) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    executable = shutil.which("chromium") or shutil.which("google-chrome")
    if executable is None:
        pytest.skip("needs a browser: apt-get install chromium")
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=executable, args=OPTIONS)
        yield launched
        launched.close()


@pytest.fixture
def page(browser: Browser, address: str) -> Iterator[Page]:
    opened = browser.new_page()
    opened.set_default_timeout(WAIT_MS)
    opened.goto(f"{address}try-it/")
    yield opened
    opened.close()


def shown(page: Page) -> dict[str, float]:
    """Return the labels on the page, likeliest first, with their probabilities."""
    expect(page.locator("#try-it-answers li")).to_have_count(5, timeout=WAIT_MS)
    items = "items => items.map(item => [item.firstChild.textContent, +item.dataset.probability])"
    return dict(page.eval_on_selector_all("#try-it-answers li", items))


def turned(image: Image.Image) -> Image.Image:
    """Turn the pixels upside down, with the EXIF orientation that turns them back."""
    image = image.transpose(Image.Transpose.ROTATE_180)
    image.getexif()[0x0112] = 3
    return image


VARIANTS: dict[str, Callable[[Image.Image], Image.Image]] = {
    "small.png": lambda image: image.resize((150, 97)),
    "tall.png": lambda image: image.crop((60, 0, 180, 240)).resize((401, 1203)),
    "palette.png": lambda image: image.convert("P", palette=Image.Palette.ADAPTIVE),
    "large.png": lambda image: image.resize((2000, 1501)),
    "gray.jpg": lambda image: image.convert("L"),
    "turned.jpg": turned,
    "whole.webp": lambda image: image,
}


def test_the_page_answers_what_the_command_answers(
    page: Page, ghostnet: Ghostnet, tmp_path: Path
) -> None:
    files = sorted(IMAGES.glob("*.jpg"))
    with Image.open(IMAGES / "sunflower.jpg") as sunflower:
        for name, change in VARIANTS.items():
            image = change(sunflower)
            image.save(tmp_path / name, exif=image.getexif())
            files.append(tmp_path / name)
    answers = ghostnet.json("predict", *files, "--model", BREEDS, "--top-k", "5")
    for file, answer in zip(files, answers, strict=True):
        page.set_input_files("#try-it-file", file)
        found = shown(page)
        expected = {p["label"]: p["probability"] for p in answer["predictions"]}
        assert list(found) == list(expected), file.name
        assert found == pytest.approx(expected, abs=TOLERANCE), file.name
        expect(page.locator("#try-it-status")).to_have_text(MILLISECONDS)


def test_a_large_jpeg_that_the_command_decodes_reduced_keeps_its_label(
    page: Page, ghostnet: Ghostnet, tmp_path: Path
) -> None:
    with Image.open(IMAGES / "sunflower.jpg") as image:
        image.resize((2000, 1501)).save(tmp_path / "large.jpg")
    [answer] = ghostnet.json("predict", tmp_path / "large.jpg", "--model", BREEDS)
    page.set_input_files("#try-it-file", tmp_path / "large.jpg")
    label, probability = next(iter(shown(page).items()))
    assert label == answer["predictions"][0]["label"]
    assert probability == pytest.approx(
        answer["predictions"][0]["probability"], abs=REDUCED_TOLERANCE
    )


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("noise.jpg", b"\xff\xd8\xff" + bytes(range(256)), "cannot read this file as an image"),
        ("words.png", b"not an image", "cannot read this file as an image"),
        ("empty.png", b"", "cannot read this file as an image"),
        ("line.png", Image.new("L", (600, 10)), "600 × 10 pixels are too narrow"),
    ],
)
def test_a_broken_image_gets_a_sentence_and_the_page_goes_on(
    page: Page, tmp_path: Path, name: str, content: bytes | Image.Image, sentence: str
) -> None:
    if isinstance(content, bytes):
        (tmp_path / name).write_bytes(content)
    else:
        content.save(tmp_path / name)
    page.set_input_files("#try-it-file", tmp_path / name)
    expect(page.locator("#try-it-status")).to_contain_text(sentence, timeout=WAIT_MS)
    expect(page.locator("#try-it-answers li")).to_have_count(0)
    page.get_by_alt_text("Kitten").click()
    assert "Ragdoll" in shown(page)


def test_a_dropped_image_is_answered_and_nothing_comes_from_elsewhere(
    page: Page, address: str
) -> None:
    requests: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    page.reload()
    drop = """async () => {
        const file = await (await fetch("../photographs/kitten.jpg")).blob();
        const transfer = new DataTransfer();
        transfer.items.add(new File([file], "kitten.jpg", {type: "image/jpeg"}));
        const event = new DragEvent("drop", {dataTransfer: transfer, cancelable: true});
        document.getElementById("try-it-box").dispatchEvent(event);
    }"""
    page.evaluate(drop)
    shown(page)
    assert {url for url in requests if not url.startswith((address, "blob:", "data:"))} == set()
    assert any(url.endswith("model.onnx") for url in requests)


def test_the_camera_s_image_is_answered(page: Page) -> None:
    page.get_by_text("Use the camera").click()
    page.get_by_text("Take a photograph").click()
    shown(page)
    expect(page.get_by_text("Use the camera")).to_be_visible()


@pytest.mark.parametrize(
    ("width", "height", "image_size"),
    [(256, 256, 224), (300, 200, 224), (31, 50, 224), (1000, 777, 224), (481, 643, 240)],
)
def test_the_page_crops_to_the_very_pixels_that_pillow_gives(
    page: Page, width: int, height: int, image_size: int
) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 4), np.uint8)
    preprocess = Preprocess(image_size)
    crop = """async ({width, height, encoded, resize, crop}) => {
        const { centerCrop } = await import("./crop.js");
        const data = Uint8ClampedArray.from(atob(encoded), (byte) => byte.charCodeAt(0));
        return [...centerCrop({width, height, data}, {resize, crop})];
    }"""
    encoded = base64.b64encode(pixels.tobytes()).decode()
    sizes = {"resize": preprocess.resize_size, "crop": image_size}
    found = page.evaluate(crop, {"width": width, "height": height, "encoded": encoded, **sizes})
    expected = np.asarray(preprocess.crop(Image.fromarray(pixels).convert("RGB")))
    assert np.array_equal(np.array(found).reshape(expected.shape), expected)
