"""An opened model in Python: images of any kind in, results and features out."""

import io
import itertools
import pickle
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import ghostnet
from ghostnet.data.transforms import decode
from ghostnet.errors import ImageError
from ghostnet.hub.catalog import assets_folder
from ghostnet.model import ImageSource, Model, Result

IMAGES = assets_folder() / "images"
CAT = IMAGES / "cat.jpg"


@pytest.fixture(scope="module")
def model() -> Model:
    return ghostnet.open_model()


@pytest.fixture(scope="module")
def cat(model: Model) -> Result:
    return model.predict(CAT)


def pixels() -> np.ndarray:
    return np.asarray(decode(CAT))


# One image ------------------------------------------------------------------------------------


def test_the_default_model_labels_a_photograph(cat: Result) -> None:
    assert (cat.label, cat.index) == ("Abyssinian", 0)
    assert cat.probability == pytest.approx(0.721, abs=1e-3)
    assert [best.label for best in cat.top(2)] == ["Abyssinian", "Bengal"]
    assert len(cat.top()) == 5
    assert cat.probabilities.sum() == pytest.approx(1)
    assert cat.milliseconds > 0
    assert cat.error is None


@pytest.mark.parametrize(
    "image",
    [
        str(CAT),
        CAT.read_bytes(),
        bytearray(CAT.read_bytes()),
        memoryview(CAT.read_bytes()),
        io.BytesIO(CAT.read_bytes()),
        Image.open(CAT),
        Image.open(CAT).convert("RGBA"),
        pixels(),
        pixels()[:, ::-1][:, ::-1],
        ImageSource("a cat", CAT),
    ],
    ids=lambda image: type(image).__name__,
)
def test_an_image_may_be_any_of_these(image: object, model: Model, cat: Result) -> None:
    assert model.predict(image).logits == pytest.approx(cat.logits, abs=1e-4)


def test_an_array_of_floats_is_a_normalized_image(model: Model, cat: Result) -> None:
    normalized = model.preprocess(decode(CAT))
    assert (model.predict(normalized).logits == cat.logits).all()
    assert (model.predict(normalized.astype(np.float64)).logits == cat.logits).all()
    assert [result.label for result in model.predict(normalized[None])] == ["Abyssinian"]


@pytest.mark.parametrize(
    "image",
    [
        pixels().astype(np.uint16) * 257,
        pixels() / 255,
        pixels().astype(np.float32),
        np.dstack([pixels(), np.full(pixels().shape[:2], 255, np.uint8)]),
    ],
    ids=["16 bits", "0 to 1", "0 to 255", "opaque"],
)
def test_an_array_may_have_any_depth(image: np.ndarray, model: Model, cat: Result) -> None:
    assert model.predict(image).logits == pytest.approx(cat.logits, abs=1e-3)


@pytest.mark.parametrize("dtype", [np.uint16, np.int32, np.int64, np.float32])
def test_an_array_of_twelve_bits_is_not_dark(dtype: type, model: Model, cat: Result) -> None:
    with pytest.warns(UserWarning, match="12 bits"):
        found = model.predict((pixels().astype(int) * 16 + 15).astype(dtype))
    assert found.logits == pytest.approx(cat.logits, abs=0.5)
    assert found.label == cat.label


def test_a_gray_array_is_a_gray_image(model: Model) -> None:
    gray = Image.fromarray(pixels()).convert("L")
    expected = model.predict(gray).logits
    assert (model.predict(np.asarray(gray)).logits == expected).all()
    assert (model.predict(np.asarray(gray)[:, :, None]).logits == expected).all()


def test_an_image_is_turned_upright(model: Model, cat: Result, tmp_path: Path) -> None:
    image = decode(CAT).transpose(Image.Transpose.ROTATE_90)
    exif = Image.Exif()
    exif[0x0112] = 6
    image.save(tmp_path / "turned.png", exif=exif)
    with Image.open(tmp_path / "turned.png") as turned:
        assert model.predict(turned).logits == pytest.approx(cat.logits, abs=1e-4)


@pytest.mark.parametrize(
    ("image", "reason"),
    [
        ("nothing.jpg", "nothing.jpg: .*no such file"),
        ("file:///cat.jpg", "file:///cat.jpg: of URLs, only https://, .* are opened"),
        (b"no image", "these bytes: "),
        (None, "an object of type NoneType is not an image"),
        (pixels().transpose(2, 0, 1), r"shape \(height, width, 3\), .* shape \(3, 300, 451\)"),
        (pixels()[:, :, :2], r"shape \(300, 451, 2\)"),
        (pixels().transpose(2, 0, 1) / 255, r"a normalized image of shape \(3, 224, 224\)"),
        (np.full((3, 224, 224), 0.5), "seems not to be normalized"),
        (np.full((3, 224, 224), 128.0), "seems not to be normalized"),
        (np.full((3, 224, 224), np.nan), "seems not to be normalized"),
        (pixels().astype(np.complex64), "an array of complex64 is not an image"),
        (pixels() > 9, "an array of bool is not an image"),
        (np.zeros((0, 4, 3), np.uint8), r"shape \(0, 4, 3\)"),
    ],
    ids=str,
)
def test_what_is_no_image_is_refused_with_a_reason(
    image: object, reason: str, model: Model
) -> None:
    with pytest.raises(ImageError, match=reason):
        model.predict(image)
    with pytest.raises(ImageError, match=reason):
        model.features(image)
    (result,) = model.predict([image])
    assert re.search(reason, str(result.error))


# Several --------------------------------------------------------------------------------------


def test_a_folder_stands_for_its_images(model: Model) -> None:
    results = model.predict(IMAGES)
    assert [result.name for result in results] == [
        str(file) for file in sorted(IMAGES.glob("*.jpg"))
    ]
    assert [result.name for result in model.predict([IMAGES])] == [one.name for one in results]
    assert [result.label for result in model.predict(str(IMAGES), batch_size=4)] == [
        result.label for result in results
    ]


def test_a_broken_image_among_others_is_a_result_with_its_error(model: Model) -> None:
    first, broken, last = model.predict([CAT, b"broken", pixels()])
    assert first.label == last.label == "Abyssinian"
    assert isinstance(broken.error, ImageError)
    with pytest.raises(ImageError, match="these bytes"):
        _ = broken.label
    assert broken.to_dict() == {"file": "image 1", "error": str(broken.error)}
    assert "these bytes" in repr(broken)
    assert "these bytes" in broken._repr_html_()


def test_nothing_gives_nothing(model: Model) -> None:
    assert model.predict([]) == []
    assert model.features([]).shape == (0, 1280)


@pytest.mark.parametrize("batch_size", [1, 3])
def test_a_stream_without_end_is_read_as_its_results_are(model: Model, batch_size: int) -> None:
    taken = itertools.count()
    images = (CAT for _ in taken)
    results = model.predict(images, batch_size=batch_size)
    assert isinstance(results, Iterator)
    assert next(taken) == 0
    assert [result.label for result in itertools.islice(results, 4)] == ["Abyssinian"] * 4
    assert next(taken) <= 4 + 1 + 2 * batch_size


def test_features_of_one_of_several_and_of_a_stream(model: Model) -> None:
    one = model.features(CAT)
    several = model.features([CAT, pixels()])
    assert one.shape == (1280,)
    assert several.shape == (2, 1280)
    assert one.dtype == np.float32
    assert (next(model.features(iter([CAT]))) == one).all()
    assert (several[0] == one).all()
    with pytest.raises(ImageError):
        model.features([CAT, b"broken"])


def test_a_model_is_evaluated_on_a_folder(model: Model, tmp_path: Path) -> None:
    for label, image in (
        ("Abyssinian", "cat.jpg"),
        ("Ragdoll", "kitten.jpg"),
        ("beagle", "cat.jpg"),
    ):
        (tmp_path / label).mkdir()
        shutil.copy(IMAGES / image, tmp_path / label / image)
    found = model.evaluate(tmp_path)
    assert (found.correct, found.images) == (2, 3)
    assert model.evaluate(str(tmp_path), forward=model.session(), batch_size=2).correct == 2


def test_threads_share_a_model(model: Model, cat: Result) -> None:
    image = Image.open(CAT)
    with ThreadPoolExecutor(8) as executor:
        results = list(executor.map(model.predict, [image, CAT] * 8))
    assert {result.label for result in results} == {"Abyssinian"}
    assert (results[-1].logits == cat.logits).all()


# The rest -------------------------------------------------------------------------------------


def test_a_session_maps_arrays_to_logits(model: Model, cat: Result) -> None:
    before = ghostnet.kernels.threads()
    session = model.session(threads=1)
    try:
        assert ghostnet.kernels.threads() == 1
        assert (session(model.preprocess(decode(CAT))[None])[0] == cat.logits).all()
        assert model.predict(CAT, forward=session).label == "Abyssinian"
    finally:
        ghostnet.kernels.set_threads(before)
    with pytest.raises(ghostnet.KernelError, match="float16"):
        model.session(dtype="float16")  # type: ignore[arg-type]


def test_what_is_shown_is_worth_reading(model: Model, cat: Result) -> None:
    assert re.fullmatch(r"Result\('.*cat.jpg': Abyssinian 72\.1%, Bengal .*%, .*%\)", repr(cat))
    assert "ghostnet_v1.0_pets" in repr(model)
    assert "37 classes: Abyssinian" in repr(model)
    assert {"predict", "features", "evaluate", "session", "network"} <= set(dir(model))
    assert {"label", "probability", "top", "to_dict", "error"} <= set(dir(cat))


def test_a_notebook_shows_a_thumbnail_and_the_labels(model: Model, cat: Result) -> None:
    for result in (cat, *model.predict([pixels(), model.preprocess(decode(CAT))])):
        html = result._repr_html_()
        assert "Abyssinian" in html
        assert 'src="data:image/jpeg;base64,' in html
        assert len(html) < 16 * 1024
    (named,) = model.predict([ImageSource("<script>", b"")])
    assert "<script>" not in named._repr_html_()


def test_a_result_is_json(cat: Result) -> None:
    answer = cat.to_dict(2)
    assert answer["file"] == str(CAT)
    assert [one["label"] for one in answer["predictions"]] == ["Abyssinian", "Bengal"]


def test_a_model_travels_to_other_processes_without_its_caches(model: Model, cat: Result) -> None:
    small = pickle.dumps(model)
    weights = sum(values.nbytes for values in model.parameters.values())
    assert len(small) < 1.1 * weights
    assert (pickle.loads(small).predict(CAT).logits == cat.logits).all()


def test_prediction_imports_no_mindspore() -> None:
    program = (
        "import sys, ghostnet\n"
        "model = ghostnet.open_model()\n"
        f"model.predict({str(CAT)!r})\n"
        f"model.features({str(CAT)!r})\n"
        "assert 'mindspore' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


TYPED = """
from collections.abc import Iterator
from pathlib import Path
import ghostnet
from ghostnet.model import Result
from PIL import Image
model = ghostnet.open_model()
one: Result = model.predict("a.jpg")
path: Result = model.predict(Path("a.jpg"))
content: Result = model.predict(b"")
image: Result = model.predict(Image.new("RGB", (9, 9)))
several: list[Result] = model.predict(["a.jpg", "b.jpg"])
stream: Iterator[Result] = model.predict(path for path in Path().iterdir())
"""


def test_a_type_checker_knows_what_comes_out(tmp_path: Path) -> None:
    pytest.importorskip("mypy")
    (tmp_path / "program.py").write_text(TYPED)
    command = [sys.executable, "-m", "mypy", "--strict", "--follow-imports=silent", "program.py"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
