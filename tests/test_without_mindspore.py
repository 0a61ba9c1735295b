"""Inference on a CPU never imports MindSpore; tests/test_wheel.py runs it where there is none."""

import subprocess
import sys
from pathlib import Path

import pytest
from bundled_models import FLOWERS
from schedule import at_night
from timm_names import write_flowers
from toy_images import draw

from ghostnet import kernels
from ghostnet.hub import open_model
from ghostnet.hub.catalog import assets_folder

IMAGE = assets_folder() / "images" / "sunflower.jpg"

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
    """Images of the flowers model's classes, and of others; its weights as timm writes them."""
    root = tmp_path_factory.mktemp("data")
    draw(root / "own")
    write_flowers(root / "timm.safetensors")
    draw(root / "labeled", 2, open_model(FLOWERS).labels)
    return root


VERBS = {
    "predict": ("predict", "{image}"),
    "eval": ("eval", "{folder}/labeled", "--model", FLOWERS),
    "finetune": ("finetune", "{folder}/own", "--out", "{out}", "--cache-dir", "{out}/cache"),
    "convert": ("convert", "{folder}/timm.safetensors", "{out}/converted.ckpt"),
    "verify": ("verify", FLOWERS, "--data", "{folder}/labeled"),
    "export": ("export", "{out}/model.onnx"),
    "hub list": ("hub", "list"),
    "hub show": ("hub", "show", FLOWERS),
    "hub fetch": ("hub", "fetch", FLOWERS, "--cache-dir", "{out}"),
    "hub install": ("hub", "install", FLOWERS, "--cache-dir", "{out}"),
    "doctor": ("doctor",),
    "--version": ("--version",),
    "--help": ("--help",),
}


BY_DAY = ("predict", "finetune", "export", "hub list", "--help")


@pytest.mark.parametrize("verb", [*BY_DAY, *at_night(*sorted(VERBS.keys() - BY_DAY))])
def test_a_verb_does_not_import_mindspore(verb: str, folder: Path, tmp_path: Path) -> None:
    if verb == "export":
        pytest.importorskip("onnx", reason="needs the extra export")
    places = {"image": IMAGE, "folder": folder, "out": tmp_path}
    words = [word.format(**places) for word in VERBS[verb]]
    command = [sys.executable, "-c", WITHOUT, *words]
    done = subprocess.run(command, capture_output=True, text=True)
    assert "imported" not in done.stderr, done.stderr
    assert done.returncode == 0, done.stderr
