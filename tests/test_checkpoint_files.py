"""Checkpoint files as people have them: a network among whatever a training run saves with it."""

import os
import string
from pathlib import Path
from typing import Any

import mindspore as ms
import numpy as np
import pytest
from command_line import Ghostnet
from hypothesis import given, settings
from hypothesis import strategies as st
from mindspore_runs import train
from random_parameters import random_parameters
from safetensors.numpy import save_file
from schedule import at_night
from test_loader import write_card
from timm_names import write_flowers

from ghostnet import hub
from ghostnet.checkpoints import (
    Parameters,
    convert,
    find_network,
    parameters_of,
    parse_checkpoint,
    read_foreign,
    write_checkpoint,
)
from ghostnet.errors import CheckpointError
from ghostnet.files import sha256_of
from ghostnet.hub.catalog import assets_folder
from ghostnet.models import create_network, find_model
from ghostnet.models.weights import Use
from ghostnet.verify import Verdict, verify

SMALL = "ghostnet_050"
PARAMETERS = random_parameters(find_model(SMALL).architecture, 3)
OTHERS = random_parameters(find_model(SMALL).architecture, 3, seed=1)
PREFIXES = ("network.", "_backbone.", "model.module.", "module._orig_mod.", "a.b_1.classifier.")


def assert_same(found: Parameters, expected: Parameters) -> None:
    assert list(found) == list(expected)
    for name, array in expected.items():
        assert found[name].dtype == np.float32
        np.testing.assert_array_equal(found[name], array)


def prefixed(prefix: str, parameters: Parameters = PARAMETERS) -> Parameters:
    return {prefix + name: array for name, array in parameters.items()}


def optimizer_state(parameters: Parameters = PARAMETERS) -> Parameters:
    """What MindSpore's optimizers and scaling of the loss keep, for every parameter."""
    state = {
        f"{kind}.{name}": array + 1
        for kind in ("moments", "moment1", "accum", "exp_avg")
        for name, array in parameters.items()
    }
    counters = ("learning_rate", "global_step", "epoch_num", "step_num", "scale_sense", "momentum")
    return state | {name: np.array([3.0], np.float32) for name in counters}


# MindSpore ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("optimizer", "wrappers"),
    [("Momentum", 2), *at_night(("Adam", 0), ("SGD of statistics too", 2))],
)
def test_what_mindspores_training_writes(optimizer: str, wrappers: int, tmp_path: Path) -> None:
    formats = {"format": "ckpt", "crc_check": True}, {"format": "safetensors"}
    network, paths = train(optimizer, wrappers, tmp_path, *formats)
    expected = {
        name.removeprefix("backbone." * wrappers): array
        for name, array in parameters_of(network).items()
    }
    for path in paths:
        tensors = read_foreign(path)
        conversion = convert(tensors, str(path))
        assert_same(conversion.parameters, expected)
        assert conversion.found.prefix == "backbone." * wrappers
        left_out = set(conversion.found.left_out)
        assert left_out == set(tensors) - set(prefixed(conversion.found.prefix, expected))
        assert {"epoch_num", "step_num", "note", "learning_rate"} <= left_out
        assert len(left_out) > 250
        assert_same(hub.open_model(path).parameters, expected)


@pytest.fixture(scope="module")
def network() -> Any:
    return create_network(SMALL, 3)


APPENDED = {"note": "häßlich", "empty": "", "step": 3, "done": True, "rate": 0.5}


@pytest.mark.parametrize(
    "options",
    [
        {"append_dict": APPENDED},
        {"append_dict": {"v": ms.Tensor(np.arange(4, dtype=np.uint16))}, "crc_check": True},
        {"append_dict": {"step": 3}, "format": "safetensors", "crc_check": True},
        {"async_save": "thread"},
        {"choice_func": lambda name: True, "integrated_save": False},
    ],
    ids=", ".join,
)
def test_options_of_save_checkpoint(network: Any, options: dict, tmp_path: Path) -> None:
    path = tmp_path / f"x.{options.get('format', 'ckpt')}"
    ms.save_checkpoint(network, str(path), **options)
    if "async_save" in options:
        ms.async_ckpt_thread_status()
        while not path.exists():
            os.sched_yield()
    conversion = convert(read_foreign(path))
    assert_same(conversion.parameters, parameters_of(network))
    assert set(conversion.found.left_out) == set(options.get("append_dict", ()))


def test_texts_and_numbers_beside_the_network_are_read(network: Any, tmp_path: Path) -> None:
    ms.save_checkpoint(network, str(tmp_path / "x.ckpt"), append_dict=dict(APPENDED))
    found = read_foreign(tmp_path / "x.ckpt")
    assert {name: found[name].item() for name in APPENDED} == APPENDED


@pytest.mark.parametrize("format", ["ckpt", "safetensors"])
@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float64"])
def test_precisions(network: Any, dtype: str, format: str, tmp_path: Path) -> None:
    tensors = {
        parameter.name: ms.Tensor(parameter.asnumpy(), getattr(ms, dtype))
        for parameter in network.get_parameters()
    }
    if (dtype, format) == ("bfloat16", "safetensors") and np.lib.NumpyVersion(
        np.__version__
    ) >= "2.0.0":
        pytest.skip("MindSpore 2.10 writes no bfloat16 as safetensors with NumPy 2")
    rows = [{"name": name, "data": tensor} for name, tensor in tensors.items()]
    ms.save_checkpoint(rows, str(tmp_path / f"x.{format}"), format=format)
    expected = {name: tensor.float().asnumpy() for name, tensor in tensors.items()}
    assert_same(convert(read_foreign(tmp_path / f"x.{format}")).parameters, expected)


def test_a_byte_that_does_not_fit_the_crc_is_noticed(network: Any, tmp_path: Path) -> None:
    path = tmp_path / "x.ckpt"
    ms.save_checkpoint(network, str(path), crc_check=True)
    damaged = bytearray(path.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    with pytest.raises(CheckpointError, match="do not match its CRC-32"):
        parse_checkpoint(bytes(damaged))


def test_numbers_of_mindspore_1(tmp_path: Path) -> None:
    """It wrote a number with one dimension of length 0."""
    tensor = b"\x08\x00" + b"\x12\x05Int32" + b"\x1a\x04\x07\x00\x00\x00"
    value = b"\x0a\x01n" + b"\x12" + bytes([len(tensor)]) + tensor
    assert parse_checkpoint(b"\x0a" + bytes([len(value)]) + value) == {"n": 7}


# Finding --------------------------------------------------------------------------------------


@pytest.mark.parametrize("prefix", ["", *PREFIXES])
def test_a_network_is_found_behind_any_prefix(prefix: str) -> None:
    tensors = optimizer_state(prefixed(prefix)) | prefixed(prefix)
    for names in (tensors, dict(reversed(tensors.items()))):
        conversion = convert(names)
        assert_same(conversion.parameters, PARAMETERS)
        assert set(conversion.found.left_out) == set(optimizer_state(prefixed(prefix)))


PART = st.text(string.ascii_letters + string.digits + "_", min_size=1).filter(
    lambda part: "ema" not in part.split("_")
)


@given(parts=st.lists(PART, max_size=4), state=PART)
@settings(max_examples=25, deadline=None)
def test_any_words_may_be_prefixes(parts: list[str], state: str) -> None:
    prefix = "".join(f"{part}." for part in parts)
    tensors = prefixed(f"{state}.{prefix}", OTHERS) | prefixed(prefix)
    assert_same(convert(tensors).parameters, PARAMETERS)


def test_a_part_that_is_compiled() -> None:
    tensors = {
        name.replace("blocks.", "blocks._orig_mod."): array for name, array in PARAMETERS.items()
    }
    assert_same(convert(tensors).parameters, PARAMETERS)


def test_moments_of_a_network_that_was_wrapped_later() -> None:
    statistics = ("moving_mean", "moving_variance")
    trained = {name: a for name, a in OTHERS.items() if not name.endswith(statistics)}
    conversion = convert(prefixed("optimizer.moments.", trained) | prefixed("network."))
    assert_same(conversion.parameters, PARAMETERS)


def test_averages_beside_the_network() -> None:
    for prefix in ("", "network."):
        tensors = prefixed(f"ema.{prefix}", OTHERS) | prefixed(prefix)
        default = convert(tensors)
        assert (default.found.use, default.found.alternative) == (Use.RAW, True)
        assert_same(default.parameters, PARAMETERS)
        assert_same(convert(tensors, use=Use.EMA).parameters, OTHERS)
        assert_same(convert(tensors, use=Use.RAW).parameters, PARAMETERS)


def test_what_is_not_there_cannot_be_chosen() -> None:
    with pytest.raises(CheckpointError, match="holds no average of the weights"):
        convert(PARAMETERS, use=Use.EMA)
    with pytest.raises(CheckpointError, match="holds no weights other than an average"):
        convert(prefixed("ema."), use=Use.RAW)
    assert_same(convert(prefixed("ema.")).parameters, PARAMETERS)


def test_several_networks_are_not_guessed_from() -> None:
    with pytest.raises(CheckpointError, match=r"several networks, under student\., teacher\."):
        convert(prefixed("student.") | prefixed("teacher.", OTHERS))


@pytest.mark.parametrize("name", list(PARAMETERS)[::40] + ["classifier.weight", "conv_head.bias"])
def test_a_missing_tensor_is_named(name: str) -> None:
    rest = {key: array for key, array in PARAMETERS.items() if key != name}
    for tensors in (rest, prefixed("network.", rest) | optimizer_state()):
        with pytest.raises(CheckpointError, match=f"(missing: {name}|{name} is missing)"):
            convert(tensors)


def test_errors_name_ten_tensors_and_count_the_rest() -> None:
    without = {n: a for n, a in PARAMETERS.items() if not n.endswith("moving_mean")}
    unknown = {f"blocks.{i}.attention.weight": np.ones(1) for i in range(200)}
    strangers = {f"layer{i}.0.conv1.weight": np.ones(1) for i in range(4000)}
    for tensors, more in ((without, 70), (PARAMETERS | unknown, 190), (strangers, 3990)):
        with pytest.raises(CheckpointError, match=f"and {more:,} more") as caught:
            convert(tensors)
        assert len(str(caught.value)) < 1000


def test_optimizer_state_alone_is_no_network() -> None:
    statistics = ("moving_mean", "moving_variance")
    trained = {name: a for name, a in PARAMETERS.items() if not name.endswith(statistics)}
    with pytest.raises(CheckpointError, match=r"missing: bn1\.moving_mean"):
        convert(prefixed("moments.", trained))


def test_two_names_of_one_parameter() -> None:
    with pytest.raises(CheckpointError, match="are the same parameter"):
        find_network(PARAMETERS | prefixed("_orig_mod.", OTHERS))


def test_values_beyond_float32_and_complex_ones() -> None:
    bias = np.array([1e300, 0, 0])
    with pytest.raises(CheckpointError, match=r"classifier\.bias contains NaN"):
        convert(PARAMETERS | {"classifier.bias": bias})
    with pytest.raises(CheckpointError, match=r"classifier\.bias is complex128, not real"):
        convert(PARAMETERS | {"classifier.bias": bias.astype(complex)})


# Cards and the command --------------------------------------------------------------------------


def test_a_card_whose_checkpoint_a_training_run_wrote(tmp_path: Path) -> None:
    network = create_network(SMALL, 5)
    expected = parameters_of(network)
    card = write_card(tmp_path, network)
    before = sha256_of(tmp_path / "model.ckpt")
    write_checkpoint(optimizer_state(expected) | expected, tmp_path / "model.ckpt")
    card.write_text(card.read_text().replace(before, sha256_of(tmp_path / "model.ckpt")))
    assert_same(parameters_of(hub.load(card)), expected)
    assert_same(hub.open_model(card).parameters, expected)
    assert list(hub.load_weights(card)) == list(expected)
    fit = next(c for c in verify(card) if c.subject == "parameter names and shapes")
    assert fit.verdict is Verdict.PASSED


def test_the_command_takes_files_of_any_format(ghostnet: Ghostnet, tmp_path: Path) -> None:
    source = write_flowers(tmp_path / "timm.safetensors")
    image = assets_folder() / "images" / "dandelion.jpg"
    ghostnet("convert", source, tmp_path / "flowers.ckpt")
    answers = [
        ghostnet.json("predict", image, "--model", model)
        for model in (source, tmp_path / "flowers.ckpt")
    ]
    assert answers[0] == answers[1]
    write_checkpoint(optimizer_state() | prefixed("network."), tmp_path / "run.ckpt")
    answer = ghostnet.json("convert", tmp_path / "run.ckpt", tmp_path / "out.ckpt")
    assert answer["left_out"] == list(optimizer_state())
    assert (answer["use"], answer["prefix"]) == ("raw", "network.")
    again = ghostnet.json("convert", tmp_path / "out.ckpt", tmp_path / "again.ckpt")
    assert again["sha256"] == answer["sha256"]
    assert again["left_out"] == []
    shown = ghostnet("convert", tmp_path / "run.ckpt", tmp_path / "out.ckpt", "--force")
    assert f"{len(optimizer_state())}: moments." in shown


def test_a_file_is_replaced_only_with_force(ghostnet: Ghostnet, tmp_path: Path) -> None:
    write_checkpoint(PARAMETERS, tmp_path / "source.ckpt")
    (tmp_path / "target.ckpt").write_bytes(b"precious")
    words = ("convert", tmp_path / "source.ckpt", tmp_path / "target.ckpt")
    assert "--force" in ghostnet.json(*words, status=1)["error"]
    assert (tmp_path / "target.ckpt").read_bytes() == b"precious"
    ghostnet(*words, "--force")
    assert_same(read_foreign(tmp_path / "target.ckpt"), PARAMETERS)


def test_names_that_are_released_already(tmp_path: Path) -> None:
    save_file(PARAMETERS, tmp_path / "x.safetensors")
    write_checkpoint(PARAMETERS, tmp_path / "x.ckpt")
    for path in (tmp_path / "x.safetensors", tmp_path / "x.ckpt"):
        assert_same(convert(read_foreign(path)).parameters, PARAMETERS)
