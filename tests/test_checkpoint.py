"""Checkpoints: written and read back, told apart, refused when wrong, converted from peers."""

import contextlib
import os
import pickle
import tracemalloc
from pathlib import Path

import mindspore as ms
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mindspore.train.checkpoint_pb2 import Checkpoint
from random_parameters import random_parameters
from safetensors.numpy import save_file
from timm_names import timm_names

from ghostnet.checkpoints import (
    convert,
    count_classes,
    fit_parameters,
    identify,
    load_parameters,
    parameters_of,
    parse_checkpoint,
    read_checkpoint,
    read_foreign,
    write_checkpoint,
)
from ghostnet.data.image_folder import read_folder
from ghostnet.data.transforms import Preprocess
from ghostnet.errors import CheckpointError
from ghostnet.model import Model
from ghostnet.models import MODELS, GhostNet, create_network, find_model

SMALL = "ghostnet_050"


@pytest.fixture(scope="module")
def network() -> GhostNet:
    ms.set_seed(1)
    return create_network(SMALL, 3)


@pytest.fixture(scope="module")
def checkpoint(network: GhostNet, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("checkpoint") / "small.ckpt"
    write_checkpoint(parameters_of(network), path)
    return path


def test_what_is_written_is_read_back(network: GhostNet, checkpoint: Path) -> None:
    expected, found = parameters_of(network), read_checkpoint(checkpoint)
    assert list(found) == list(expected)
    for name, array in expected.items():
        np.testing.assert_array_equal(found[name], array)


def test_a_written_checkpoint_is_mindspores_own_format(network: GhostNet, checkpoint: Path) -> None:
    loaded = ms.load_checkpoint(str(checkpoint))
    assert {n: p.shape for n, p in loaded.items()} == {
        p.name: p.shape for p in network.get_parameters()
    }


def test_writing_replaces_a_file_and_leaves_nothing_else(network: GhostNet, tmp_path: Path) -> None:
    path = tmp_path / "deep" / "model.ckpt"
    write_checkpoint(parameters_of(network), path)
    write_checkpoint(parameters_of(network), path)
    assert [file.name for file in path.parent.iterdir()] == ["model.ckpt"]
    path.write_bytes(b"writable")


@pytest.mark.parametrize("name", MODELS)
def test_each_architecture_is_told_by_its_parameters(name: str) -> None:
    parameters = parameters_of(create_network(name, 2))
    assert identify(parameters) == MODELS[name].architecture


def test_an_unknown_architecture_is_refused() -> None:
    with pytest.raises(CheckpointError, match="none of the networks ghostnet_1x, ghostnet_nose_1x"):
        identify({"weight": np.zeros(3)})


def test_problems_are_listed_and_nothing_is_loaded(network: GhostNet) -> None:
    parameters = parameters_of(network)
    parameters["conv_stem.weight"] = np.zeros((9, 3, 3, 3), np.float32)
    parameters["stranger"] = np.zeros(1, np.float32)
    del parameters["bn1.gamma"]
    parameters["bn1.beta"] = parameters["bn1.beta"] + 1
    before = network.bn1.beta.asnumpy().copy()
    with pytest.raises(CheckpointError) as caught:
        load_parameters(network, parameters, name="x.ckpt")
    message = str(caught.value)
    assert "missing: bn1.gamma" in message
    assert "unknown: stranger" in message
    assert "conv_stem.weight is (9, 3, 3, 3) instead of (8, 3, 3, 3)" in message
    np.testing.assert_array_equal(network.bn1.beta.asnumpy(), before)


def test_the_head_can_be_left_alone(network: GhostNet) -> None:
    other = create_network(SMALL, 7)
    head = other.classifier.weight.asnumpy().copy()
    load_parameters(other, parameters_of(network), keep_classifier=False)
    np.testing.assert_array_equal(other.classifier.weight.asnumpy(), head)
    np.testing.assert_array_equal(
        other.conv_stem.weight.asnumpy(), network.conv_stem.weight.asnumpy()
    )


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="cannot be read"):
        read_checkpoint(tmp_path / "none.ckpt")


@given(st.binary(max_size=300))
@settings(max_examples=150, deadline=None)
def test_no_bytes_raise_anything_but_our_error(data: bytes) -> None:
    with pytest.raises(CheckpointError):
        parse_checkpoint(data)


@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_damage_gives_parameters_or_our_error(checkpoint: Path, data: st.DataObject) -> None:
    content = bytearray(checkpoint.read_bytes()[: data.draw(st.integers(1, 200_000))])
    content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(CheckpointError):
        assert all(array.size >= 0 for array in parse_checkpoint(bytes(content)).values())


@pytest.mark.parametrize("shape", [(1,) * 40, (2**62, 0), (-1,), (3,)])
def test_a_shape_that_the_bytes_do_not_have_is_refused(shape: tuple[int, ...]) -> None:
    message = Checkpoint()
    tensor = message.value.add(tag="classifier.weight").tensor
    tensor.dims.extend(shape)
    tensor.tensor_type = "Float32"
    tensor.tensor_content = bytes(0 if 0 in shape else 4)
    with pytest.raises(CheckpointError, match=r"classifier\.weight (is damaged|has )"):
        parse_checkpoint(message.SerializeToString())


@pytest.mark.parametrize("shape", [(), (3,), (0, 1280), (10**9, 0), (3, 64), (3, 1280, 1)])
def test_a_classifier_of_another_shape_is_refused(shape: tuple[int, ...]) -> None:
    weight = np.zeros(shape, np.float32)
    with pytest.raises(CheckpointError, match=r"has the shape .*, not \(classes, 1280\)"):
        count_classes({"classifier.weight": weight}, find_model(SMALL).architecture)


@pytest.mark.parametrize(
    ("count", "reason"),
    [
        (1, None),
        (2, "holds the parameter w0 twice"),
        (20_000, "more than 10,000 parameters"),
    ],
)
def test_parameters_are_few_and_there_once(count: int, reason: str | None) -> None:
    message = Checkpoint()
    for index in range(count):
        tensor = message.value.add(tag=f"w{index if count > 2 else 0}").tensor
        tensor.tensor_type, tensor.tensor_content = "Float32", bytes(4)
    data = message.SerializeToString()
    if reason is None:
        assert parse_checkpoint(data)["w0"].shape == ()
        return
    with pytest.raises(CheckpointError, match=reason):
        parse_checkpoint(data)


@pytest.mark.parametrize("field", [b"\x0a\x00", b"\x78\x01", b"\x0a\x02\x12\x00"])
def test_fields_without_number_cost_nothing(field: bytes) -> None:
    body = field * 1_000_000
    length = bytes([len(body) >> shift & 0x7F | (shift < 21) << 7 for shift in (0, 7, 14, 21)])
    for data in (body, b"\x0a" + length + body):
        tracemalloc.start()
        with pytest.raises(CheckpointError):
            parse_checkpoint(data)
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
        tracemalloc.stop()


def test_dimensions_may_be_packed() -> None:
    tensor = b"\x0a\x02\x02\x03" + b"\x12\x05Int32" + b"\x1a\x18" + bytes(range(24))
    value = b"\x0a\x01w" + b"\x12" + bytes([len(tensor)]) + tensor
    (array,) = parse_checkpoint(b"\x0a" + bytes([len(value)]) + value).values()
    np.testing.assert_array_equal(array, np.frombuffer(bytes(range(24)), "<i4").reshape(2, 3))


def test_only_a_regular_file_is_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.ckpt")
    with pytest.raises(CheckpointError, match="not a regular file"):
        read_checkpoint(tmp_path / "pipe.ckpt")


def test_timms_weights_give_timms_answers(shared: Path) -> None:
    reference = np.load(shared / "data/weights/flowers_reference.npz")
    for file, answers in (("flowers", "logits"), ("cifar10", "cifar10_logits")):
        source = shared / f"data/weights/ghostnet_100_{file}.safetensors"
        conversion = convert(read_foreign(source))
        assert len(conversion.found.left_out) == 80
        assert all(name.endswith("num_batches_tracked") for name in conversion.found.left_out)
        network = create_network("ghostnet", reference[answers].shape[1]).set_train(False)
        load_parameters(network, conversion.parameters)
        logits = network(ms.Tensor(reference["pictures"])).asnumpy()
        np.testing.assert_allclose(logits, reference[answers], atol=1e-4)


def test_timms_weights_have_timms_top1(shared: Path) -> None:
    source = shared / "data/weights/ghostnet_100_flowers.safetensors"
    parameters = convert(read_foreign(source)).parameters
    images = read_folder(shared / "data/flowers/val")
    architecture = find_model("ghostnet_1x").architecture
    model = Model("converted", architecture, parameters, images.classes, Preprocess(224))
    found = model.evaluate(images, batch_size=32)
    assert found.correct == 338
    assert "338 of 370" in (shared / "data/weights/README.md").read_text()


def test_names_of_timm_in_safetensors_and_pth(network: GhostNet, tmp_path: Path) -> None:
    ours = parameters_of(network)
    save_file(timm_names(ours), tmp_path / "timm.safetensors")
    sources = [tmp_path / "timm.safetensors"]
    try:
        import torch
    except ImportError:
        pass
    else:
        state = {name: torch.tensor(array) for name, array in timm_names(ours).items()}
        torch.save({"state_dict": state}, tmp_path / "timm.pth")
        sources.append(tmp_path / "timm.pth")
    for source in sources:
        converted = convert(read_foreign(source)).parameters
        assert list(converted) == list(ours)
        assert all((converted[name] == array).all() for name, array in ours.items())


def test_names_of_mindcv(network: GhostNet, tmp_path: Path) -> None:
    ours = parameters_of(network)
    last = len(network.blocks) - 1
    foreign = {}
    back = {"running_mean": "moving_mean", "running_var": "moving_variance"}
    for name, array in timm_names(ours).items():
        module, _, leaf = name.rpartition(".")
        if module.endswith(("bn1", "bn_dw", ".1", ".3")) and array.ndim == 1:
            leaf = back.get(leaf, {"weight": "gamma", "bias": "beta"}.get(leaf, leaf))
        module = module.replace(f"blocks.{last}.0.conv", f"blocks.{last}.features.0")
        module = module.replace(f"blocks.{last}.0.bn1", f"blocks.{last}.features.1")
        foreign[f"{module}.{leaf}"] = array
    write_checkpoint(foreign, tmp_path / "mindcv.ckpt")
    converted = convert(read_foreign(tmp_path / "mindcv.ckpt")).parameters
    assert list(converted) == list(ours)
    assert all((converted[name] == array).all() for name, array in ours.items())


def test_mobilenet_v2_of_mindcv(tmp_path: Path) -> None:
    models = pytest.importorskip("mindcv.models", reason="needs the extra bench")
    other = models.create_model("mobilenet_v2_100", num_classes=3)
    momentum = ms.nn.Momentum(other.trainable_params(), 0.1, 0.9)
    saved = [{"name": p.name, "data": p} for p in (*other.get_parameters(), *momentum.moments)]
    ms.save_checkpoint(saved, str(tmp_path / "mindcv.ckpt"))
    conversion = convert(read_foreign(tmp_path / "mindcv.ckpt"))
    assert conversion.architecture == find_model("mobilenet_v2_1x").architecture
    assert conversion.num_classes == 3
    assert len(conversion.found.left_out) == len(momentum.moments)
    network = create_network("mobilenet_v2_1x", 3)
    load_parameters(network, conversion.parameters)
    for own, theirs in zip(network.get_parameters(), other.get_parameters(), strict=True):
        np.testing.assert_array_equal(own.asnumpy(), theirs.asnumpy())


def test_conversion_refuses_what_it_cannot_place(network: GhostNet) -> None:
    foreign = timm_names(parameters_of(network))
    with pytest.raises(CheckpointError, match=r"belong to neither.*\n  blocks\.0\.0\.attn\.weight"):
        convert(foreign | {"blocks.0.0.attn.weight": np.zeros(1, np.float32)})
    del foreign["classifier.weight"]
    with pytest.raises(CheckpointError, match="has no classifier"):
        convert(foreign)


def test_a_pickle_is_never_run(tmp_path: Path) -> None:
    class Harm:
        def __reduce__(self) -> tuple:
            return (open, (str(tmp_path / "harm"), "w"))

    (tmp_path / "evil.pth").write_bytes(pickle.dumps(Harm()))
    with pytest.raises(CheckpointError, match="cannot be read as a plain PyTorch state dict"):
        read_foreign(tmp_path / "evil.pth")
    assert not (tmp_path / "harm").exists()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.safetensors", b"nonsense", "is not a safetensors file"),
        ("a.onnx", b"", "a MindSpore checkpoint or a PyTorch file"),
        (
            "a.pth",
            b"\x08\x07 a model",
            "a MindSpore checkpoint or a PyTorch file",
        ),
    ],
)
def test_foreign_files_that_cannot_be_read(
    tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(CheckpointError, match=message):
        read_foreign(tmp_path / name)
    with pytest.raises(CheckpointError, match="no such file"):
        read_foreign(tmp_path / "none.pth")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_are_named(value: float, tmp_path: Path) -> None:
    architecture = find_model(SMALL).architecture
    parameters = random_parameters(architecture, 3)
    parameters["blocks.2.ghost1.cheap_operation.bn.beta"][1] = value
    name = r"blocks\.2\.ghost1\.cheap_operation\.bn\.beta contains NaN"
    with pytest.raises(CheckpointError, match=name):
        write_checkpoint(parameters, tmp_path / "x.ckpt")
    with pytest.raises(CheckpointError, match=name):
        fit_parameters(parameters, architecture, 3)
    with pytest.raises(CheckpointError, match=name):
        load_parameters(create_network(SMALL, 3), parameters)
    assert not list(tmp_path.iterdir())
