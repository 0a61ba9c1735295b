"""`convert --to`: networks go back to timm, huawei-noah and MindCV."""

from pathlib import Path

import numpy as np
import pytest
from command_line import Ghostnet
from extras import cases_with
from family import References, authors_name, merged_name, timm_name, tiny
from random_parameters import random_parameters
from schedule import at_night
from timm_names import mindcv_names

from ghostnet.checkpoints import read_checkpoint, read_foreign, write_checkpoint
from ghostnet.checkpoints.foreign_names import LIBRARIES, foreign_parameters
from ghostnet.errors import CheckpointError
from ghostnet.models import MODELS, find_model
from ghostnet.models.libraries import Library
from ghostnet.models.specs import network_spec

BRANCHED = ("ghostnetv3_100", "repghostnet_100")


@pytest.mark.parametrize("library", Library)
def test_every_network_comes_back(library: Library, ghostnet: Ghostnet, tmp_path: Path) -> None:
    for name in LIBRARIES[library].networks[:1]:
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
def test_names_are_those_of_the_libraries(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for table in {find_model(name).architecture, find_model(name).architecture.merged}:
        names = network_spec(table, 5).parameter_shapes()
        found = foreign_parameters(dict.fromkeys(names), table, Library.TIMM)
        is_merged_repghost = (table.family, table.form) == ("repghost", "merged")
        expected = merged_name if is_merged_repghost else timm_name
        # Our helper puts every block into a stage of its own; the stages are checked below.
        assert [last(key) for key in found] == [last(expected(key)) for key in names]
        if name in LIBRARIES[Library.HUAWEI].networks:
            found = foreign_parameters(dict.fromkeys(names), table, Library.HUAWEI)
            assert [last(key) for key in found][1:-1]


def last(name: str) -> str:
    """Return a name without the place of its block."""
    return ".".join(name.split(".")[3:]) if name.startswith("blocks.") else name


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
    forms = {listed: table, f"{listed}_fused": table.merged} if table.form == "branched" else {listed: table}
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
    import torch

    parameters = random_parameters(find_model(name).architecture, 5)
    write_checkpoint(parameters, tmp_path / "own.ckpt")
    ghostnet("convert", tmp_path / "own.ckpt", tmp_path / "timm.pth", "--to", "timm")
    tensors = torch.load(tmp_path / "timm.pth", weights_only=True)
    found = tensors["blocks.0.0.ghost1.primary_conv.0.weight"].numpy()
    np.testing.assert_array_equal(found, parameters["blocks.0.ghost1.primary_conv.conv.weight"])


@pytest.mark.parametrize("name", cases_with("timm", ["ghostnet_050", *at_night("ghostnetv2_100", "repghostnet_050", "ghostnetv3_050")]))
def test_timm_gives_the_same_logits(name: str, ghostnet: Ghostnet, tmp_path: Path) -> None:
    import timm
    import torch
    from safetensors.torch import load_file

    from ghostnet.kernels import Session

    table = find_model(name).architecture
    parameters = random_parameters(table, 5)
    write_checkpoint(parameters, tmp_path / "own.ckpt")
    file = tmp_path / "timm.safetensors"
    ghostnet("convert", tmp_path / "own.ckpt", file, "--to", "timm", "--keep-branches")
    network = timm.create_model(name, num_classes=5).eval()
    network.load_state_dict(load_file(file))
    images = np.random.default_rng(0).standard_normal((2, 3, 224, 224), np.float32)
    with torch.inference_mode():
        expected = network(torch.from_numpy(images)).numpy()
    logits = Session(table, parameters)(images)
    assert np.abs(logits - expected).max() < 1e-5 * np.abs(expected).max() * 10
