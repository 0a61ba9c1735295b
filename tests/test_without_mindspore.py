"""Inference on a CPU never imports MindSpore, and works where it is not installed."""

import json
import os
import subprocess
import sys
import venv
from pathlib import Path

import pytest
from toy_images import draw

from ghostnet import kernels
from ghostnet.hub import open_model
from ghostnet.hub.registry import assets_folder
from ghostnet.models.registry import BUNDLED_MODEL

REPOSITORY = Path(__file__).resolve().parents[1]
IMAGE = assets_folder() / "images" / "sunflower.jpg"
REQUIREMENTS = REPOSITORY / "requirements" / "inference.txt"

WITHOUT = """
import sys
from ghostnet.cli.main import main
try:
    main()
finally:
    imported = [name for name in sys.modules if name.split(".")[0] == "mindspore"]
    assert not imported, imported
"""
"""The command, followed by a look at what it has imported."""

pytestmark = pytest.mark.skipif(
    not kernels.available(), reason=f"no fused kernels here: {kernels.unavailable_reason()}"
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Images of the bundled model's classes, and of others."""
    root = tmp_path_factory.mktemp("data")
    draw(root / "own")
    draw(root / "labeled", 2, open_model(BUNDLED_MODEL).labels)
    return root


VERBS = {
    "predict": ("predict", "{image}"),
    "eval": ("eval", "{folder}/labeled"),
    "finetune": ("finetune", "{folder}/own", "--out", "{out}", "--cache-dir", "{out}/cache"),
    "convert": ("convert", "{weights}", "{out}/converted.ckpt"),
    "verify": ("verify", BUNDLED_MODEL, "--data", "{folder}/labeled"),
    "export": ("export", "{out}/model.onnx"),
    "hub list": ("hub", "list"),
    "hub show": ("hub", "show", BUNDLED_MODEL),
    "hub fetch": ("hub", "fetch", BUNDLED_MODEL, "--cache-dir", "{out}"),
    "hub install": ("hub", "install", BUNDLED_MODEL, "--cache-dir", "{out}"),
    "doctor": ("doctor",),
    "--version": ("--version",),
    "--help": ("--help",),
}


@pytest.mark.parametrize("verb", VERBS)
def test_a_verb_does_not_import_mindspore(
    verb: str, folder: Path, tmp_path: Path, shared: Path
) -> None:
    weights = shared / "data/weights/ghostnet_100_flowers.safetensors"
    places = {"image": IMAGE, "folder": folder, "out": tmp_path, "weights": weights}
    words = [word.format(**places) for word in VERBS[verb]]
    done = run([sys.executable, "-c", WITHOUT, *words])
    assert "imported" not in done.stderr, done.stderr
    assert done.returncode == (verb == "verify"), done.stderr  # noise refutes the card's accuracy


def run(command: list[str | Path], **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, capture_output=True, text=True, env=os.environ | environment, check=False
    )


@pytest.fixture(scope="module")
def ghostnet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The command in an environment that has what requirements/inference.txt lists, and no more."""
    root = tmp_path_factory.mktemp("inference")
    venv.create(root / "venv", with_pip=True)
    pip = [root / "venv/bin/python", "-m", "pip", "install", "--quiet"]
    for what in (["--requirement", REQUIREMENTS], ["--no-deps", REPOSITORY]):
        done = run([*pip, *what])
        assert done.returncode == 0, done.stderr
    return root / "venv/bin/ghostnet"


@pytest.mark.slow
def test_an_environment_without_mindspore_predicts_evaluates_and_finetunes(
    ghostnet: Path, folder: Path, tmp_path: Path
) -> None:
    out = tmp_path / "own"
    predicted = run([ghostnet, "predict", IMAGE, "--json"])
    assert json.loads(predicted.stdout)[0]["predictions"][0]["label"] == "sunflowers"
    evaluated = run([ghostnet, "eval", folder / "labeled", "--json"])
    assert json.loads(evaluated.stdout)["images"] == 10
    tuned = run([ghostnet, "finetune", folder / "own", "--out", out, "--cache-dir", tmp_path])
    assert tuned.returncode == 0, tuned.stderr
    (blue, *_) = (folder / "own" / "blue one").iterdir()
    answer = run([ghostnet, "predict", blue, "--model", out / "card.md", "--json"])
    assert json.loads(answer.stdout)[0]["predictions"][0]["label"] == "blue one"


@pytest.mark.slow
@pytest.mark.parametrize(
    "words",
    [
        ("train", "--data", "{folder}/own", "--out", "{out}"),
        ("export", "{out}/model.mindir"),
        ("predict", "{image}", "--no-fuse"),
    ],
)
def test_what_needs_mindspore_says_so_in_one_line(
    ghostnet: Path, folder: Path, tmp_path: Path, words: tuple[str, ...]
) -> None:
    places = {"image": IMAGE, "folder": folder, "out": tmp_path}
    done = run([ghostnet, *(word.format(**places) for word in words)])
    assert done.returncode == 1
    assert done.stderr.startswith("ghostnet: this needs the package mindspore: pip install mind")
    assert done.stderr.count("\n") == 1
