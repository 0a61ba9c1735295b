"""Files of GhostNetV2, V3 and RepGhost, by anyone's names, wherever a network is read."""

import re
import shutil
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_line import Ghostnet
from family import authors_name, merged_name, timm_name, tiny
from pytorch_files import a_pickle, tensor, zip_file
from random_parameters import random_parameters
from safetensors.numpy import save_file
from toy_images import draw

import ghostnet as package
from ghostnet.checkpoints import (
    Parameters,
    form_of,
    merged_parameters,
    read_checkpoint,
    write_checkpoint,
)
from ghostnet.data.transforms import Preprocess
from ghostnet.errors import CardError, CheckpointError, ModelError, TrainingError
from ghostnet.hub.card import read_card
from ghostnet.hub.card_writer import write_converted_card
from ghostnet.model import Model
from ghostnet.model.forward import open_forward
from ghostnet.models import MODELS, Architecture, ModelEntry
from ghostnet.training.config import Recipe
from ghostnet.training.run.task import start

IMAGES = Path(__file__).resolve().parents[1] / "assets/images"
CLASSES = ("ash", "birch", "cedar")
NETWORKS = ("ghostnetv2_100", "ghostnetv2_1x", "ghostnetv3_100", "repghostnet_100")
BRANCHED = NETWORKS[2:]


@pytest.fixture(autouse=True)
def _small_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put a small network in the place of each registered one."""
    for name in NETWORKS:
        table = replace(tiny(name), image_size=64)
        monkeypatch.setitem(MODELS, name, ModelEntry(name, f"Small-{name}", table))


def table_of(name: str) -> Architecture:
    return MODELS[name].architecture


def torch_file(path: Path, content: Mapping[str, Any]) -> None:
    """Write nested dicts of arrays and texts as ``torch.save`` does."""
    keys, storages = count(), {}

    def stored(value: Any) -> Any:
        if isinstance(value, Mapping):
            return {name: stored(inner) for name, inner in value.items()}
        if not isinstance(value, np.ndarray):
            return value
        key = str(next(keys))
        storages[key] = value.tobytes()
        return tensor(key, value.shape, str(value.dtype))

    path.write_bytes(zip_file(a_pickle(stored(content)), storages))


def counted(tensors: Parameters) -> Parameters:
    """Add what thop and batch norms count to the tensors of a file."""
    counts = {name.replace("running_mean", "num_batches_tracked") for name in tensors}
    thop = {"total_ops", "total_params", "blocks.3.0.ghost1.total_ops", "conv_stem.total_params"}
    added = {name: np.zeros(1, np.int64) for name in (counts | thop) - tensors.keys()}
    return {**tensors, **added}


@dataclass(frozen=True)
class Source:
    """One kind of file: whose names, which form of the network, and what lies around it."""

    network: str
    name: Callable[[str], str]
    suffix: str = ".pth"
    merged: bool = False
    around: Callable[[Parameters], Mapping[str, Any]] = lambda tensors: tensors

    def write(self, path: Path) -> Parameters:
        """Write such a file; returns its parameters by released name."""
        table = table_of(self.network)
        parameters = random_parameters(table.merged if self.merged else table, len(CLASSES))
        tensors = {self.name(key): array for key, array in parameters.items()}
        assert len(tensors) == len(parameters)
        if self.suffix == ".safetensors":
            save_file(tensors, path)
        elif self.suffix == ".ckpt":
            write_checkpoint(tensors, path)
        else:
            torch_file(path, self.around(tensors))
        return parameters


def in_training_run(tensors: Parameters) -> Mapping[str, Any]:
    """Huawei-noah's file of GhostNetV3: another network's weights beside the average."""
    raw = {name: array + 1 for name, array in tensors.items()}
    return {"epoch": 7, "arch": "ghostnetv3", "state_dict": raw, "state_dict_ema": tensors}


def in_data_parallel(tensors: Parameters) -> Mapping[str, Any]:
    return {f"module.{name}": array for name, array in counted(tensors).items()}


SOURCES = {
    "timm, V2": Source("ghostnetv2_100", timm_name, ".safetensors"),
    "timm, V3 in training": Source("ghostnetv3_100", timm_name, ".bin"),
    "timm, V3 merged": Source("ghostnetv3_100", timm_name, merged=True),
    "timm, RepGhost in training": Source("repghostnet_100", timm_name, ".safetensors"),
    "timm, RepGhost merged": Source("repghostnet_100", merged_name, merged=True),
    "huawei-noah, V2": Source("ghostnetv2_100", authors_name, ".pth.tar", around=counted),
    "huawei-noah, V3": Source("ghostnetv3_100", authors_name, ".pth.tar", around=in_training_run),
    "huawei-noah, V3 merged": Source("ghostnetv3_100", authors_name, merged=True),
    "RepGhost": Source("repghostnet_100", authors_name, ".pth.tar", around=in_data_parallel),
    "the zoo, V2": Source("ghostnetv2_1x", str, ".ckpt"),
}


@pytest.mark.parametrize("name", SOURCES)
def test_a_file_is_recognized_and_merged(name: str, ghostnet: Ghostnet, tmp_path: Path) -> None:
    source = SOURCES[name]
    file = tmp_path / f"file{source.suffix}"
    parameters = source.write(file)
    table = table_of(source.network)
    has_branches = table.form == "branched" and not source.merged

    kept = ghostnet.json("convert", file, tmp_path / "kept.ckpt", "--keep-branches")
    assert kept["network"].startswith(source.network)
    assert_same(read_checkpoint(tmp_path / "kept.ckpt"), parameters)

    merged = merged_parameters(table, parameters) if has_branches else parameters
    answer = ghostnet.json("convert", file, tmp_path / "merged.ckpt")
    assert_same(read_checkpoint(tmp_path / "merged.ckpt"), merged)
    assert answer["network"].endswith("merged") == (table.form == "branched")

    with warned(name):
        opened = package.open_model(file)
    assert opened.architecture == table.merged
    assert_same(opened.parameters, merged)


def assert_same(found: Parameters, expected: Parameters) -> None:
    assert found.keys() == expected.keys()
    for key, array in expected.items():
        assert found[key].tobytes() == array.tobytes(), key


def warned(name: str) -> Any:
    """Expect the warning about a file that holds two networks or leaves a doubt."""
    warnings = {
        "huawei-noah, V3": "took the average of the weights",
        "the zoo, V2": "the gates of its attention are interpolated",
    }
    return pytest.warns(match=warnings[name]) if name in warnings else nullcontext()


def test_the_weights_beside_the_average_are_taken_if_asked_for(
    ghostnet: Ghostnet, tmp_path: Path
) -> None:
    average = SOURCES["huawei-noah, V3"].write(tmp_path / "v3.pth.tar")
    words = ("--keep-branches", "--use", "raw")
    answer = ghostnet.json("convert", tmp_path / "v3.pth.tar", tmp_path / "v3.ckpt", *words)
    assert (answer["use"], answer["prefix"]) == ("raw", "state_dict/")
    raw = {key: array + 1 for key, array in average.items()}
    assert_same(read_checkpoint(tmp_path / "v3.ckpt"), raw)


@pytest.mark.parametrize(("variance", "gamma"), [(-1, 1), (0, 3e38)])
def test_branches_that_merge_into_no_numbers_are_refused(
    variance: float, gamma: float, ghostnet: Ghostnet, tmp_path: Path
) -> None:
    table = table_of("ghostnetv3_100")
    parameters = random_parameters(table, len(CLASSES))
    parameters["blocks.1.dw.branches.1.bn.moving_variance"][:] = variance
    parameters["blocks.1.dw.branches.1.bn.gamma"][:] = gamma
    write_checkpoint(parameters, tmp_path / "v3.ckpt")
    with pytest.raises(CheckpointError, match=r"merged: blocks\.1\.dw.* NaN or infinity"):
        package.open_model(tmp_path / "v3.ckpt")
    error = ghostnet.json("convert", tmp_path / "v3.ckpt", tmp_path / "new.ckpt", status=1)["error"]
    assert "contains NaN or infinity" in error
    assert ghostnet.err.count("\n") == 1


def test_the_way_that_gates_grow_can_be_chosen(ghostnet: Ghostnet, tmp_path: Path) -> None:
    zoo, nearest = tmp_path / "zoo.ckpt", tmp_path / "nearest.ckpt"
    parameters = SOURCES["the zoo, V2"].write(zoo)
    words = ("--upsampling", "nearest")
    assert ghostnet.json("convert", zoo, nearest, *words)["network"] == "ghostnetv2_100"
    opened = package.open_model(nearest)
    assert opened.architecture == table_of("ghostnetv2_100")
    renamed = {key.replace(".short_conv.", ".gates."): array for key, array in parameters.items()}
    assert_same(opened.parameters, renamed)
    back = ghostnet.json("convert", nearest, tmp_path / "x.ckpt", "--upsampling", "bilinear")
    assert (back["network"], back["upsampling"]) == ("ghostnetv2_1x", "bilinear")
    SOURCES["RepGhost"].write(tmp_path / "rep.pth")
    error = ghostnet.json("convert", tmp_path / "rep.pth", nearest, *words, "--force", status=1)
    assert "has no attention; leave out --upsampling" in error["error"]


@pytest.mark.parametrize("name", ["timm, V3 in training", "huawei-noah, V2", "RepGhost"])
def test_commands_read_a_file(name: str, ghostnet: Ghostnet, tmp_path: Path) -> None:
    source = SOURCES[name]
    file = tmp_path / f"file{source.suffix}"
    source.write(file)
    for label in CLASSES:
        (tmp_path / "images" / label).mkdir(parents=True)
        shutil.copy(IMAGES / "pug.jpg", tmp_path / "images" / label)
    (result,) = ghostnet.json("predict", IMAGES / "pug.jpg", "--model", file)
    assert len(result["predictions"]) == len(CLASSES)
    measured = ghostnet.json("eval", tmp_path / "images", "--model", file)
    assert measured["top1"] == pytest.approx(1 / len(CLASSES))


def card_of(table: Architecture, folder: Path, size: int = 64) -> Path:
    """Write a checkpoint with a card, as training and `convert` do."""
    parameters = random_parameters(table, len(CLASSES))
    write_checkpoint(parameters, folder / "model.ckpt")
    model = Model("a run", table, parameters, CLASSES, Preprocess(64))
    card = write_converted_card(model, folder / "model.ckpt", "a command")
    card.write_text(card.read_text().replace("[64, 64, 3]", f"[{size}, {size}, 3]"))
    return card


@pytest.mark.parametrize("name", BRANCHED)
def test_a_card_is_read_merged_and_trained_with_branches(name: str, tmp_path: Path) -> None:
    table = table_of(name)
    card = card_of(table, tmp_path)
    opened = package.open_model(card)
    assert opened.architecture == table.merged
    kept = package.open_model(card, keep_branches=True)
    assert kept.architecture == table
    images = np.random.default_rng(0).standard_normal((2, 3, 64, 64)).astype(np.float32)
    expected = open_forward(kept)(images)
    assert np.abs(open_forward(opened)(images) - expected).max() < 1e-4 * expected.std()
    assert package.hub.load(card).architecture == table
    assert package.create_model(name, pretrained=str(card)).architecture == table
    assert start(Recipe(model=str(card), image_size=64), 3).architecture == table


@pytest.mark.parametrize("name", BRANCHED)
def test_a_merged_checkpoint_has_a_card_like_any_other(name: str, tmp_path: Path) -> None:
    table = table_of(name).merged
    card = card_of(table, tmp_path)
    assert package.open_model(card, keep_branches=True).architecture == table
    assert package.hub.load(card).architecture == table
    assert package.create_model(name, pretrained=str(card)).architecture == table


@pytest.mark.parametrize("merged", [False, True])
def test_the_claims_of_a_card_are_checked_in_either_form(
    merged: bool, ghostnet: Ghostnet, tmp_path: Path
) -> None:
    table = table_of("repghostnet_100")
    answer = ghostnet.json("verify", card_of(table.merged if merged else table, tmp_path))
    verdicts = {check["subject"]: check["verdict"] for check in answer["checks"]}
    assert verdicts["parameter names and shapes"] == "passed"


@pytest.mark.nightly
@pytest.mark.parametrize("name", BRANCHED)
def test_a_run_keeps_branches_and_its_result_is_read_merged(
    name: str, ghostnet: Ghostnet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = replace(table_of(name), blocks=table_of(name).blocks[1:3])  # MindSpore compiles long
    monkeypatch.setitem(MODELS, name, ModelEntry(name, name, table))
    images = draw(tmp_path / "images/train").parent
    draw(images / "val", count=2)
    words = ("--epochs", 1, "--batch-size", 4, "--image-size", 32)
    ghostnet("train", "--data", images, "--architecture", name, "--out", tmp_path / "run", *words)
    for file in ("ghostnet.ckpt", "state.ckpt"):
        assert form_of(read_checkpoint(tmp_path / "run" / file), table) == table
        assert package.open_model(tmp_path / "run" / file).architecture == table.merged
    card = tmp_path / "run/card.md"
    top1 = ghostnet.json("eval", images / "val", "--model", card)["top1"]
    assert top1 == pytest.approx(read_card(card).accuracy, abs=1e-4)
    ghostnet("finetune", images, "--model", card, "--out", tmp_path / "head")
    assert package.open_model(tmp_path / "head/card.md").architecture == table.merged


TOO_SMALL = "images of 32×32 pixels are too small .* use images of at least 33×33 pixels"


def test_images_too_small_for_the_attention_are_refused_everywhere(
    ghostnet: Ghostnet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = table_of("ghostnetv2_100")
    strided = tuple(block._replace(stride=2) for block in table.blocks[:-1])
    table = replace(table, blocks=(*strided, table.blocks[-1]))
    monkeypatch.setitem(MODELS, "ghostnetv2_100", ModelEntry("ghostnetv2_100", "Deep", table))
    card = card_of(table, tmp_path, size=32)
    with pytest.raises(CardError, match=f"input-shape: {TOO_SMALL}"):
        package.open_model(card)
    model = package.open_model(tmp_path / "model.ckpt")
    with pytest.raises(ModelError, match=TOO_SMALL):
        replace(model, preprocess=Preprocess(32))
    with pytest.raises(TrainingError, match=f"image_size: {TOO_SMALL}"):
        start(Recipe(architecture="ghostnetv2_100", image_size=32), 3)
    with pytest.raises(TrainingError, match=f"val_size: {TOO_SMALL}"):
        start(Recipe(architecture="ghostnetv2_100", image_size=64, val_size=32), 3)
    for command in (("predict", IMAGES / "pug.jpg"), ("serve", "--port", 0), ("export", "v2.onnx")):
        ghostnet(*command, "--model", card, status=1)
        assert re.search(TOO_SMALL, " ".join(ghostnet.err.split()))
    words = ("v2.onnx", "--image-size", 32, "--model", tmp_path / "model.ckpt")
    assert re.search(TOO_SMALL, ghostnet.json("export", *words, status=1)["error"])
