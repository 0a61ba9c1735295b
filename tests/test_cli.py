"""The command as a person or a program meets it: output, JSON, exit status."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from bundled_models import FLOWERS
from command_line import Ghostnet
from extras import needs_mindspore
from PIL import Image
from timm_names import write_flowers
from toy_images import draw

from ghostnet.files import sha256_of
from ghostnet.hub.catalog import assets_folder
from ghostnet.models.registry import DEFAULT_MODEL

MODEL = ("--model", FLOWERS)
PETS = "noah-cvlab/gpu/1.0/ghostnet_v1.0_oxford_pets"
IMAGES = assets_folder() / "images"
REPOSITORY = Path(__file__).resolve().parents[1]


def test_predict_prints_a_table(ghostnet: Ghostnet) -> None:
    out = ghostnet("predict", IMAGES / "dandelion.jpg", *MODEL)
    assert "dandelion.jpg" in out
    assert "90.2%  dandelion" in out
    assert ghostnet.err == ""


def test_predict_json_has_labels_indices_and_probabilities(ghostnet: Ghostnet) -> None:
    *answers, last = ghostnet.json("predict", IMAGES, *MODEL, "--top-k", 5, "--batch-size", 3)
    assert last == {"left_out": {"not an image": 1}}
    names = [Path(answer["file"]).name for answer in answers]
    assert names == sorted(path.name for path in IMAGES.glob("*.jpg"))
    for answer in answers:
        shares = [prediction["probability"] for prediction in answer["predictions"]]
        assert sum(shares) == pytest.approx(1)
        assert shares == sorted(shares, reverse=True)
    assert answers[names.index("dandelion.jpg")]["predictions"][0] | {"probability": 0} == {
        "label": "dandelion",
        "index": 1,
        "probability": 0,
    }


def test_one_bad_image_does_not_cost_the_others_their_answer(
    ghostnet: Ghostnet, tmp_path: Path
) -> None:
    (tmp_path / "broken.jpg").write_bytes((IMAGES / "cat.jpg").read_bytes()[:5000])
    good = IMAGES / "sunflower.jpg"
    answers = ghostnet.json("predict", tmp_path / "broken.jpg", good, *MODEL, status=1)
    assert {Path(a["file"]).name: "error" in a for a in answers} == {
        "broken.jpg": True,
        "sunflower.jpg": False,
    }
    assert "broken.jpg" in ghostnet("predict", tmp_path / "broken.jpg", good, *MODEL, status=1)


def test_predict_reads_an_image_from_stdin() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "ghostnet.cli", "predict", "-", *MODEL, "--json"],
        input=(IMAGES / "dandelion.jpg").read_bytes(),
        capture_output=True,
        check=True,
        env={name: value for name, value in os.environ.items() if name != "GLOG_v"},
    )
    (answer,) = json.loads(done.stdout)
    assert answer["file"] == "-"
    assert answer["predictions"][0]["label"] == "dandelion"
    assert done.stderr == b""  # MindSpore's log stays off the terminal


@needs_mindspore
def test_fused_and_plain_and_pynative_agree(ghostnet: Ghostnet) -> None:
    image = IMAGES / "dahlia.jpg"
    fused, plain, pynative = (
        ghostnet.json("predict", image, *MODEL, *options)[0]["predictions"]
        for options in (
            (),
            ("--no-fuse",),
            ("--no-fuse", "--execution", "pynative", "--device", "cpu"),
        )
    )
    for other in (plain, pynative):
        assert [p["label"] for p in other] == [p["label"] for p in fused]
        for a, b in zip(fused, other, strict=True):
            assert a["probability"] == pytest.approx(b["probability"], abs=1e-4)


def test_a_model_that_cannot_be_had_is_never_replaced(
    ghostnet: Ghostnet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")  # nobody answers there
    words = ("predict", IMAGES / "cat.jpg", "--model", PETS, "--cache-dir", tmp_path)
    document = ghostnet.json(*words, status=1)
    assert list(document) == ["error"]
    assert "ghostnet_1x_pets.ckpt" in ghostnet.err


def test_the_default_model_is_the_one_that_ships(ghostnet: Ghostnet) -> None:
    assert DEFAULT_MODEL in ghostnet("predict", IMAGES / "cat.jpg")


@needs_mindspore
def test_a_device_that_is_not_there(ghostnet: Ghostnet) -> None:
    ghostnet("predict", IMAGES / "cat.jpg", *MODEL, "--device", "Ascend", status=1)
    assert "MindSpore cannot use the device Ascend here" in ghostnet.err


@pytest.mark.parametrize(
    "words", [("predict",), ("predict", "x", "--top-k", "0"), ("nonsense",), ("hub", "show")]
)
def test_wrong_words_exit_with_2(ghostnet: Ghostnet, words: tuple[str, ...]) -> None:
    ghostnet(*words, status=2)


def test_nothing_to_predict(ghostnet: Ghostnet, tmp_path: Path) -> None:
    ghostnet("predict", tmp_path, *MODEL, status=1)
    assert "no images in" in ghostnet.err


def folder_of_images(root: Path) -> Path:
    rng = np.random.default_rng(0)
    for label in ("roses", "tulips"):
        (root / label).mkdir(parents=True)
        for index in range(3):
            pixels = rng.integers(0, 256, (40, 50, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(root / label / f"{index}.png")
    return root


def test_eval_counts_and_draws(ghostnet: Ghostnet, tmp_path: Path) -> None:
    folder = folder_of_images(tmp_path / "images")
    (folder / "roses" / "broken.jpg").write_bytes(b"no image")
    out = tmp_path / "out"
    result = ghostnet.json("eval", folder, *MODEL, "--out", out, "--batch-size", 4)
    assert result["images"] == 6
    assert result["top1"] == result["correct"] / 6
    assert result["top5"] == 1
    assert set(result["per_class"]) == {"roses", "tulips"}
    assert np.sum(result["confusion"]) == 6
    assert [Path(entry["file"]).name for entry in result["skipped"]] == ["broken.jpg"]
    assert json.loads((out / "confusion.json").read_text()) == result
    with Image.open(out / "confusion.png") as plot:
        assert plot.size[0] > 300


def test_eval_on_the_flowers_gives_the_documented_top1(ghostnet: Ghostnet, shared: Path) -> None:
    result = ghostnet.json("eval", shared / "data/flowers/val", *MODEL)
    assert result["images"] == 370
    assert result["correct"] == 342
    log = (REPOSITORY / "benchmarks/results/flowers_second.csv").read_text().splitlines()
    assert max(row.split(",")[3] for row in log[1:]) == str(342 / 370)


def test_eval_refuses_folders_that_are_no_label(ghostnet: Ghostnet, tmp_path: Path) -> None:
    folder = folder_of_images(tmp_path)
    (folder / "roses").rename(folder / "orchids")
    ghostnet("eval", folder, *MODEL, status=1)
    assert "no classes named orchids" in ghostnet.err


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (False, "is not a folder; name one with a sub-folder for each class"),
        (True, "there is no sub-folder for any class"),
    ],
)
def test_eval_refuses_what_is_no_data_set(
    ghostnet: Ghostnet, tmp_path: Path, make: bool, message: str
) -> None:
    if make:
        (tmp_path / "data").mkdir()
    ghostnet("eval", tmp_path / "data", *MODEL, status=1)
    assert message in ghostnet.err


def test_convert_writes_a_checkpoint_that_predicts(ghostnet: Ghostnet, tmp_path: Path) -> None:
    source = write_flowers(tmp_path / "timm.safetensors")
    target = tmp_path / "flowers.ckpt"
    answer = ghostnet.json("convert", source, target)
    assert answer["sha256"] == sha256_of(target)
    assert answer["num_classes"] == 5
    assert len(answer["left_out"]) == 80
    (prediction,) = ghostnet.json("predict", IMAGES / "dandelion.jpg", "-m", target)
    assert prediction["predictions"][0]["label"] == "class 1"
    ghostnet("convert", source, target, status=1)
    assert "already exists; pass --force" in ghostnet.err
    assert "432" in ghostnet("convert", source, target, "--force")


def test_convert_says_what_is_wrong(ghostnet: Ghostnet, tmp_path: Path) -> None:
    (tmp_path / "a.safetensors").write_bytes(b"nonsense")
    ghostnet("convert", tmp_path / "a.safetensors", tmp_path / "a.ckpt", status=1)
    assert "is not a safetensors file" in ghostnet.err
    ghostnet("convert", tmp_path / "a.safetensors", tmp_path / "a.onnx", status=2)


def test_hub_list_and_show(ghostnet: Ghostnet) -> None:
    uids = [card["uid"] for card in ghostnet.json("hub", "list")]
    assert {PETS, FLOWERS} <= set(uids)
    out = ghostnet("hub", "list")
    assert all(uid in out for uid in uids)
    card = ghostnet.json("hub", "show", PETS)
    assert card["name"] == "GhostNet"
    assert len(card["labels"]) == 37
    assert "Abyssinian" in ghostnet("hub", "show", PETS)
    ghostnet("hub", "show", "nobody/gpu/1.0/nothing", status=1)
    assert FLOWERS in ghostnet.err


def test_hub_fetch_places_a_file_by_hand(ghostnet: Ghostnet, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.ckpt"
    wrong.write_bytes(b"not the weights")
    words = (
        "hub",
        "fetch",
        PETS,
        "--cache-dir",
        tmp_path / "cache",
        "--from",
        wrong,
    )
    ghostnet(*words, status=1)
    assert "722e13be6cd6186dddcd68d5c0a50776d9a8ad8e79db3870556f68d4d2f179e4" in ghostnet.err
    bundled = ghostnet.json("hub", "fetch", FLOWERS)
    assert Path(bundled["file"]).name == "ghostnet_v1.0_flowers.ckpt"


def test_hub_install_lays_card_and_entry_first(
    ghostnet: Ghostnet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")  # nobody answers there
    ghostnet("hub", "install", PETS, "--cache-dir", tmp_path, status=1)
    folder = tmp_path / "noah-cvlab/gpu/1.0"
    assert (folder / "ghostnet_v1.0_oxford_pets.md").is_file()
    assert (folder / "ghostnet/mindspore_hub_conf.py").is_file()


def test_help_names_every_verb(ghostnet: Ghostnet) -> None:
    out = ghostnet("--help")
    assert all(verb in out for verb in ("predict", "eval", "convert", "hub"))


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
@pytest.mark.parametrize("words", ["--help", "hub list", "predict $IMAGE --json"])
def test_a_closed_stream_is_no_error(closed: str, words: str) -> None:
    command = f"{sys.executable} -m ghostnet.cli {words} {closed}"
    environment = os.environ | {"IMAGE": str(IMAGES / "cat.jpg")}
    done = subprocess.run(["bash", "-c", command], capture_output=True, env=environment)
    assert done.returncode == 0, done.stderr
    assert done.stderr == b""


@pytest.mark.parametrize("locale", ["C", "en_US.ISO-8859-1"])
def test_json_is_utf_8_in_every_locale(locale: str, tmp_path: Path) -> None:
    image = tmp_path / "Kätzchen 猫.jpg"
    image.write_bytes((IMAGES / "cat.jpg").read_bytes())
    environment = os.environ | {"LC_ALL": locale, "PYTHONIOENCODING": "latin-1", "PYTHONUTF8": "0"}
    command = [sys.executable, "-m", "ghostnet.cli", "predict", tmp_path, "--json"]
    done = subprocess.run(command, capture_output=True, env=environment)
    (answer,) = json.loads(done.stdout.decode())
    assert Path(answer["file"]).parent == tmp_path
    assert locale != "C" or Path(answer["file"]) == image
    (tmp_path / os.fsdecode(b"\xff.jpg")).write_bytes(image.read_bytes())
    done = subprocess.run(command, capture_output=True, env=environment)
    assert len(json.loads(done.stdout.decode())) == 2


@pytest.mark.parametrize("columns", ["0", "1", "40", "80", None])
def test_long_names_are_told_apart_at_any_width(columns: str | None, tmp_path: Path) -> None:
    for index in (1, 2):
        path = tmp_path / f"{'x' * 120}_{index}.jpg"
        path.write_bytes((IMAGES / "dandelion.jpg").read_bytes())
    environment = {name: value for name, value in os.environ.items() if name != "COLUMNS"}
    environment |= {"COLUMNS": columns} if columns else {}
    words = ("predict", "--batch-size", "2", *MODEL, tmp_path)
    command = [sys.executable, "-m", "ghostnet.cli", *words]
    done = subprocess.run(command, capture_output=True, env=environment, text=True)
    cells = [line.split("│")[1].strip() for line in done.stdout.splitlines() if "│" in line]
    assert "".join(cells).count("x" * 120) == 2
    assert all(f"_{index}.jpg" in "".join(cells) for index in (1, 2))
    labels = [line.split("│")[2].strip() for line in done.stdout.splitlines() if "│" in line]
    assert "".join(labels).replace(" ", "").count("dandelion") == 2


@pytest.mark.parametrize("variable", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
def test_certificates_that_are_not_there_are_an_error(
    variable: str, ghostnet: Ghostnet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(variable, str(tmp_path / "none"))
    answer = ghostnet.json("hub", "fetch", PETS, "--cache-dir", tmp_path, status=1)
    assert "correct REQUESTS_CA_BUNDLE or CURL_CA_BUNDLE" in answer["error"]
    assert answer["error"] in ghostnet.err


def test_a_full_disk_is_an_error_of_one_line() -> None:
    for words in ("hub list", "hub list --json", "predict none --json"):
        command = f"{sys.executable} -m ghostnet.cli {words} >/dev/full"
        done = subprocess.run(["bash", "-c", command], capture_output=True, text=True)
        assert done.returncode == 1
        assert done.stderr == "ghostnet: output: No space left on device\n"


@pytest.mark.parametrize(
    "words",
    [
        ("predict", IMAGES / "cat.jpg"),
        ("verify", FLOWERS),
        ("hub", "fetch", FLOWERS),
        ("doctor",),
        ("finetune", "images", "--out", "out"),
    ],
    ids=lambda words: words[0],
)
def test_the_bundled_model_needs_no_home(words: tuple[object, ...], tmp_path: Path) -> None:
    draw(tmp_path / "images", 4)
    program = (
        "import os, pwd, sys\n"
        "os.environ.pop('HOME', None)\n"
        "def getpwuid(uid): raise KeyError(uid)\n"
        "pwd.getpwuid = getpwuid\n"
        "from ghostnet.cli.main import main\n"
        "main()\n"
    )
    run = [sys.executable, "-c", program]
    environment = {k: v for k, v in os.environ.items() if k not in ("GHOSTNET_CACHE", "HOME")}
    options = {"capture_output": True, "text": True, "env": environment, "cwd": tmp_path}
    done = subprocess.run([*run, *words], **options)
    assert done.returncode == 0, done.stderr
    assert "not checked" not in done.stdout.splitlines()[0]
    assert ("no features are kept" in done.stderr) == (words[0] == "finetune")
    done = subprocess.run([*run, "hub", "fetch", PETS], **options)
    assert done.stderr.startswith("ghostnet: ~/.mscache: this user has no home")
    assert done.returncode == 1
