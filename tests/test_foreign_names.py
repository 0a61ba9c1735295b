"""`convert --to`: networks go back to timm, huawei-noah and MindCV."""

import re
from pathlib import Path

import mindspore as ms
import numpy as np
import pytest
from command_line import Ghostnet
from extras import cases_with
from family import References, merged_name, timm_name
from random_parameters import random_parameters

from ghostnet.checkpoints import read_checkpoint, read_foreign, write_checkpoint
from ghostnet.checkpoints.foreign_names import LIBRARIES, foreign_parameters
from ghostnet.errors import CheckpointError
from ghostnet.kernels import Session
from ghostnet.models import MODELS, find_model
from ghostnet.models.libraries import Library
from ghostnet.models.specs import network_spec

BRANCHED = ("ghostnetv3_100", "repghostnet_100")


@pytest.mark.parametrize("library", Library)
def test_a_network_comes_back(library: Library, ghostnet: Ghostnet, tmp_path: Path) -> None:
    name = LIBRARIES[library].networks[0]
    parameters = random_parameters(find_model(name).architecture, 5)
    write_checkpoint(parameters, tmp_path / "own.ckpt")
    suffix = "ckpt" if library is Library.MINDCV else "safetensors"
    there, back = tmp_path / f"there.{suffix}", tmp_path / "back.ckpt"
    ghostnet("convert", tmp_path / "own.ckpt", there, "--to", library.value)
    assert read_foreign(there).keys() != parameters.keys()
    ghostnet("convert", there, back)
    found = read_checkpoint(back)
    assert found.keys() == parameters.keys()
    for key, array in parameters.items():
        np.testing.assert_array_equal(found[key], array)


@pytest.mark.parametrize("name", [*BRANCHED, "ghostnetv2_100", "ghostnet_050"])
def test_names_are_those_of_the_authors(name: str) -> None:
    for table in {find_model(name).architecture, find_model(name).architecture.merged}:
        names = network_spec(table, 5).parameter_shapes()
        found = foreign_parameters(dict.fromkeys(names), table, Library.TIMM)
        # `family` puts every block into a stage of its own; stages have a test below.
        is_merged_repghost = (table.family, table.form) == ("repghost", "merged")
        expected = merged_name if is_merged_repghost else timm_name
        assert [within_block(key) for key in found] == [
            within_block(expected(key)) for key in names
        ]


def within_block(name: str) -> str:
    """Return a name without the place of its block."""
    return re.sub(r"^blocks\.\d+\.\d+\.", "", name)


def test_branches_have_the_authors_own_names_of_norms() -> None:
    table = find_model("ghostnetv3_100").architecture
    names = network_spec(table, 5).parameter_shapes()
    found = foreign_parameters(dict.fromkeys(names), table, Library.HUAWEI)
    assert "blocks.0.0.ghost1.primary_rpr_conv.0.bn.running_mean" in found
    assert "blocks.9.0.bn1.running_mean" in found


def test_stages_are_those_of_timm() -> None:
    table = find_model("ghostnet_1x").architecture
    names = dict.fromkeys(network_spec(table, 5).parameter_shapes())
    found = foreign_parameters(names, table, Library.TIMM)
    blocks = list(dict.fromkeys(".".join(n.split(".")[1:3]) for n in found if "blocks." in n))
    assert blocks == [
        *("0.0", "1.0", "2.0", "3.0", "4.0", "5.0", "6.0", "6.1", "6.2", "6.3", "6.4"),
        *("7.0", "8.0", "8.1", "8.2", "8.3", "9.0"),
    ]


@pytest.mark.parametrize("name", [n for n in MODELS if n in LIBRARIES[Library.TIMM].networks])
def test_names_and_shapes_are_listed_ones(name: str, shared: Path) -> None:
    references = References(shared)
    listed = "ghostnet_100" if name == "ghostnet_1x" else name
    table = find_model(name).architecture
    forms = (
        {listed: table, f"{listed}_fused": table.merged}
        if table.form == "branched"
        else {listed: table}
    )
    for file, form in forms.items():
        shapes = network_spec(form, 1000).parameter_shapes()
        parameters = {key: np.empty(shape, np.float32) for key, shape in shapes.items()}
        found = foreign_parameters(parameters, form, Library.TIMM)
        rows = references.listed(file)["parameters"]
        assert {key: x.shape for key, x in found.items()} == {key: tuple(s) for key, s, _ in rows}


@pytest.mark.parametrize(
    ("name", "library"),
    [
        ("ghostnet_600m", Library.TIMM),
        ("ghostnet_int8_1x", Library.TIMM),
        ("ghostnetv2_1x", Library.HUAWEI),
        ("repghostnet_100", Library.HUAWEI),
        ("ghostnetv2_100", Library.MINDCV),
    ],
)
def test_a_network_that_a_library_lacks_is_refused(name: str, library: Library) -> None:
    with pytest.raises(CheckpointError, match=f"{library.value} has no {name}.*its networks are "):
        foreign_parameters({}, find_model(name).architecture, library)


def test_other_suffixes_and_cards_are_refused(ghostnet: Ghostnet, tmp_path: Path) -> None:
    words = ("convert", tmp_path / "a.ckpt")
    ghostnet(*words, tmp_path / "b.ckpt", "--to", "timm", status=2)
    assert "does not end in .safetensors or .pth" in ghostnet.err
    ghostnet(*words, tmp_path / "b.pth", "--to", "mindcv", status=2)
    assert "does not end in .ckpt" in ghostnet.err
    ghostnet(*words, tmp_path / "b.pth", "--to", "timm", "--labels", tmp_path / "l", status=2)
    assert "leave out --to or it" in ghostnet.err


@pytest.mark.parametrize("name", cases_with("torch", ["ghostnet_050"]))
def test_pytorch_reads_the_file(name: str, ghostnet: Ghostnet, tmp_path: Path) -> None:
    torch = pytest.importorskip("torch", reason="needs the extra torch")
    parameters = random_parameters(find_model(name).architecture, 5)
    write_checkpoint(parameters, tmp_path / "own.ckpt")
    ghostnet("convert", tmp_path / "own.ckpt", tmp_path / "timm.pth", "--to", "timm")
    tensors = torch.load(tmp_path / "timm.pth", weights_only=True)
    found = tensors["blocks.0.0.ghost1.primary_conv.0.weight"].numpy()
    np.testing.assert_array_equal(found, parameters["blocks.0.ghost1.primary_conv.conv.weight"])


@pytest.mark.nightly
@pytest.mark.parametrize("name", cases_with("mindcv", ["ghostnet_1x", "mobilenet_v2_1x"]))
def test_mindcv_gives_the_same_logits(name: str, ghostnet: Ghostnet, tmp_path: Path) -> None:
    models = pytest.importorskip("mindcv.models", reason="needs the extra bench")
    table = find_model(name).architecture
    parameters = random_parameters(table, 5)
    write_checkpoint(parameters, tmp_path / "own.ckpt")
    ghostnet("convert", tmp_path / "own.ckpt", tmp_path / "mindcv.ckpt", "--to", "mindcv")
    network = models.create_model(find_model(name).mindcv_name, num_classes=5).set_train(False)
    loaded = ms.load_checkpoint(str(tmp_path / "mindcv.ckpt"))
    assert ms.load_param_into_net(network, loaded, strict_load=True) == ([], [])
    images = np.random.default_rng(0).standard_normal((2, 3, 64, 64), np.float32)
    expected = network(ms.Tensor(images)).asnumpy()
    logits = Session(table, parameters)(images)
    assert np.abs(logits - expected).max() < 1e-4 * expected.std()
