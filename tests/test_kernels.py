"""The fused network against the plain one, and what it does with what it cannot take."""

import copy
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cache
from pathlib import Path

import mindspore as ms
import numpy as np
import pytest
from bundled_models import FLOWERS
from mindspore import Tensor, nn
from numpy.typing import NDArray
from PIL import ImageOps
from schedule import at_night
from tiny_network import TINY

from ghostnet import KernelError, kernels
from ghostnet.data.transforms import Preprocess, decode
from ghostnet.hub import open_model
from ghostnet.hub.catalog import assets_folder
from ghostnet.kernels import fuse, fuse_if_possible
from ghostnet.models import (
    GHOSTNET_1X,
    MOBILENET_V2_1X,
    Architecture,
    Block,
    ClassificationNetwork,
    GhostNet,
    MobileNetV2,
    ghostnet_1x,
    ghostnet_600m,
    ghostnet_nose_1x,
    mobilenet_v2_1x,
    scale_width,
)

pytestmark = pytest.mark.skipif(
    not kernels.available(), reason=f"no fused kernels here: {kernels.unavailable_reason()}"
)

TOLERANCE = 1e-4
"""Largest difference between logits, as a share of the largest logit."""

RANDOM = np.random.default_rng(20)

Floats = NDArray[np.float32]


def images(batch: int, height: int, width: int) -> Tensor:
    return Tensor(RANDOM.standard_normal((batch, 3, height, width), np.float32))


def trained(network: GhostNet) -> GhostNet:
    """The network with batch norms as after training: none of them is the identity."""
    for parameter in network.get_parameters():
        if parameter.name.endswith(("gamma", "moving_variance")):
            values = RANDOM.uniform(0.7, 1.3, parameter.shape)
        elif parameter.name.endswith(("beta", "moving_mean", "bias")):
            values = RANDOM.normal(0, 0.2, parameter.shape)
        else:
            continue
        parameter.set_data(Tensor(values.astype(np.float32)))
    return network.set_train(False)


@cache
def small() -> GhostNet:
    """A network with every kind of block, quick to run."""
    blocks = (
        Block(3, 8, 8, 0, 1),
        Block(5, 40, 12, 4, 2),
        Block(5, 36, 20, 12, 1),
        Block(3, 100, 20, 8, 1),
        Block(3, 60, 44, 0, 2),
        Block(3, 92, 44, 0, 1),
    )
    table = GHOSTNET_1X.__class__(8, blocks, 100, 76, "relu", 64)
    return trained(GhostNet(table, num_classes=11))


@cache
def small_mobilenet() -> MobileNetV2:
    """A MobileNetV2 with every kind of block, quick to run."""
    blocks = (
        Block(3, 8, 5, 0, 1),
        Block(3, 30, 7, 0, 2),
        Block(3, 42, 7, 0, 1),
        Block(3, 90, 19, 0, 1),
        Block(3, 96, 36, 0, 2),
        Block(3, 108, 36, 0, 1),
    )
    table = replace(
        MOBILENET_V2_1X, stem_channels=8, blocks=blocks, last_channels=90, head_channels=90
    )
    return trained(MobileNetV2(table, num_classes=11))


SMALL = {"ghostnet": small, "mobilenet_v2": small_mobilenet}


def agree(fused: Tensor, plain: Tensor) -> bool:
    expected: Floats = plain.asnumpy()
    return bool(
        np.abs(fused.asnumpy() - expected).max() <= TOLERANCE * np.abs(expected).max()
        and (fused.asnumpy().argmax(1) == expected.argmax(1)).all()
    )


@pytest.fixture(autouse=True)
def settings(kernel_settings: None) -> Iterator[None]:
    """Each test leaves the kernels' settings and MindSpore's mode as they were."""
    mode = ms.get_context("mode")
    yield
    ms.set_context(mode=mode)


GHOSTNETS = {
    "1x": lambda: ghostnet_1x(37),
    "1x of width 0.5": lambda: ghostnet_1x(5, width=0.5),
    "1x of width 1.3": lambda: ghostnet_1x(1000, width=1.3),
    "nose_1x": lambda: ghostnet_nose_1x(37),
    "600m": lambda: ghostnet_600m(37),
}

NETWORKS = GHOSTNETS | {"MobileNetV2": lambda: mobilenet_v2_1x(37)}


@pytest.mark.parametrize("name", NETWORKS)
def test_every_variant_agrees_with_the_plain_network(name: str) -> None:
    network = trained(NETWORKS[name]())
    fused = fuse(network)
    for shape in ((1, 96, 96), (3, 193, 227)):
        x = images(*shape)
        plain = network(x)
        for instruction_set in kernels.instruction_sets():
            kernels.set_instruction_set(instruction_set)
            assert agree(fused(x), plain), (shape, instruction_set)
            assert (fused.construct(x) == fused(x)).all()


@pytest.mark.parametrize("family", SMALL)
@pytest.mark.parametrize("shape", [(64, 64), (32, 32), (33, 130), (71, 45), (97, 224)])
def test_batches_threads_and_instruction_sets_agree(shape: tuple[int, int], family: str) -> None:
    x = images(9, *shape)
    plain = SMALL[family]()(x)
    fused = fuse(SMALL[family]())
    for batch in (1, 2, 5, 9):
        for threads in (1, 2, 3):
            kernels.set_threads(threads)
            for instruction_set in kernels.instruction_sets():
                kernels.set_instruction_set(instruction_set)
                assert agree(fused(x[:batch]), plain[:batch]), (batch, threads, instruction_set)


def test_graph_mode_and_model_predict() -> None:
    ms.set_context(mode=ms.GRAPH_MODE)
    x = images(2, 64, 64)
    fused = fuse(small())
    plain = small()(x)
    assert agree(fused(x), plain)
    assert agree(fused.construct(x), plain)
    assert agree(ms.Model(fused).predict(x), plain)


@pytest.mark.slow
def test_photographs_have_the_plain_graph_s_answers() -> None:
    ms.set_context(mode=ms.GRAPH_MODE)
    model = open_model(FLOWERS)
    fused = fuse(model.network)
    photographs = [decode(path) for path in sorted((assets_folder() / "images").glob("*.jpg"))]
    mirrored = [ImageOps.mirror(photograph) for photograph in photographs]
    preprocess = Preprocess(64)
    x = Tensor(np.stack([preprocess(photograph) for photograph in photographs + mirrored]))
    assert agree(fused(x), model.network(x))


@pytest.mark.parametrize("family", SMALL)
def test_features_are_those_that_the_classifier_sees(family: str) -> None:
    network = SMALL[family]()
    x = images(3, 64, 64)
    assert agree(fuse(network, features=True)(x), network.features(x))


def test_a_new_classifier_is_fused_too() -> None:
    network = trained(ghostnet_1x(10, width=0.5))
    network.reset_classifier(3)
    x = images(1, 64, 64)
    assert agree(fuse(network)(x), network(x))


def classified(network: ClassificationNetwork, classifier: nn.Cell) -> ClassificationNetwork:
    network.classifier = classifier
    return network.set_train(False)


@pytest.mark.parametrize("has_bias", [True, False])
@pytest.mark.parametrize("family", SMALL)
def test_a_classifier_set_by_hand_is_fused(family: str, has_bias: bool) -> None:
    network = copy.deepcopy(SMALL[family]())
    dense = nn.Dense(network.num_features, 10, has_bias=has_bias)
    chain = nn.SequentialCell(nn.Dropout(p=0.5), nn.Dense(network.num_features, 3))
    x = images(2, 64, 64)
    for classifier, classes in ((dense, 10), (chain, 3)):
        fused = fuse(classified(network, classifier))
        assert fused.outputs == network.num_classes == classes
        for answer in (fused(x), fused.construct(x)):
            assert agree(answer, network(x))


class Doubled(nn.ReLU):
    def construct(self, x: Tensor) -> Tensor:
        return 2 * super().construct(x)


REPLACEMENTS: dict[str, tuple[str, Callable[[], nn.Cell | None]]] = {
    "act": ("act", nn.Tanh),
    "inner activation": ("blocks.1.ghost1.primary_conv.act", nn.GELU),
    "subclass of an activation": ("blocks.1.ghost1.primary_conv.act", Doubled),
    "no activation": ("blocks.1.ghost1.cheap_operation.act", lambda: None),
    "activation of squeeze-excite": ("blocks.1.se.act", nn.GELU),
    "gate": ("blocks.1.se.gate", nn.Sigmoid),
    "no block": ("blocks.3", nn.Identity),
    "no squeeze-excite": ("blocks.1.se", lambda: None),
    "convolution with a bias": (
        "blocks.1.dw.conv",
        lambda: nn.Conv2d(40, 40, 5, 2, "pad", 2, group=40, has_bias=True),
    ),
    "another stride": ("blocks.1.dw.conv", lambda: nn.Conv2d(40, 40, 5, 1, "pad", 2, group=40)),
    "another norm": ("bn1", lambda: nn.GroupNorm(2, 8)),
    "another epsilon": ("bn1", lambda: nn.BatchNorm2d(8, eps=1e-3)),
    "a norm of moving statistics": (
        "bn1",
        lambda: nn.BatchNorm2d(8, eps=1e-5, use_batch_statistics=False),
    ),
}


@pytest.mark.parametrize("kind", REPLACEMENTS)
@pytest.mark.parametrize("training", [False, True], ids=["inference", "training"])
def test_a_replaced_layer_is_named(kind: str, training: bool) -> None:
    name, build = REPLACEMENTS[kind]
    network = copy.deepcopy(small())
    owner, _, attribute = name.rpartition(".")
    place = dict(network.cells_and_names())[owner]
    if isinstance(place, nn.SequentialCell):
        place[int(attribute)] = build()
    else:
        setattr(place, attribute, build())
    network.set_train(training)
    with pytest.raises(KernelError, match=f"changed at {re.escape(name)}"):
        fuse(network, training=training)
    if not training:
        with pytest.warns(UserWarning, match="changed at"):
            assert fuse_if_possible(network) is network


def test_a_classifier_that_the_kernels_do_not_know_is_named() -> None:
    network = copy.deepcopy(small())
    wide = network.num_features
    for classifier in (
        nn.SequentialCell(nn.Dense(wide, 8), nn.ReLU(), nn.Dense(8, 2)),
        nn.Dense(wide, 2, activation="relu"),
        nn.Dense(wide + 1, 2),
    ):
        with pytest.raises(KernelError, match="changed at classifier"):
            fuse(classified(network, classifier))


def test_a_subclass_with_other_methods_is_refused() -> None:
    class Shifted(GhostNet):
        def construct(self, x: Tensor) -> Tensor:
            return super().construct(x) + 1

    with pytest.raises(KernelError, match="changed at construct of Shifted"):
        fuse(Shifted(small().architecture, 3).set_train(False))


def test_a_network_inside_another_cell_and_with_shared_activations_is_fused() -> None:
    network = copy.deepcopy(small())
    network.blocks[0].ghost1.primary_conv.act = network.act
    owner = nn.SequentialCell(network)
    x = images(1, 64, 64)
    assert agree(fuse(owner[0])(x), network(x))


def test_a_copy_answers_the_same_and_outlives_the_original() -> None:
    x = images(1, 64, 64)
    fused = fuse(small())
    before = fused(x).asnumpy()
    copied = copy.deepcopy(fused)
    del fused
    assert (copied(x).asnumpy() == before).all()


def test_later_changes_of_the_network_do_not_reach_the_fused_cell() -> None:
    network = trained(ghostnet_1x(4, width=0.5))
    x = images(1, 64, 64)
    fused = fuse(network)
    before = fused(x).asnumpy()
    network.classifier.bias.set_data(Tensor(np.ones(4, np.float32)))
    assert (fused(x).asnumpy() == before).all()


@pytest.mark.parametrize(
    "other",
    [
        lambda: ghostnet_1x(3, width=0.5),
        lambda: ghostnet_1x(50, width=0.5),
        *at_night(lambda: ghostnet_1x(4), lambda: ghostnet_nose_1x(4), lambda: mobilenet_v2_1x(4)),
    ],
    ids=["fewer classes", "more classes", "wider", "other blocks", "other family"],
)
def test_a_refresh_with_another_network_changes_nothing(other: Callable[[], nn.Cell]) -> None:
    fused = fuse(trained(ghostnet_1x(4, width=0.5)))
    x = images(1, 64, 64)
    before = fused(x).asnumpy()
    with pytest.raises(KernelError, match=r"has other layers .* fuse it instead"):
        fused.refresh(other().set_train(False))
    for call in (fused, fused.construct):
        assert (call(x).asnumpy() == before).all()


def test_features_are_refreshed_from_a_network_with_other_classes() -> None:
    fused = fuse(trained(ghostnet_1x(4, width=0.5)), features=True)
    other = trained(ghostnet_1x(50, width=0.5))
    x = images(1, 64, 64)
    fused.refresh(other)
    for call in (fused, fused.construct):
        assert agree(call(x), other.features(x))


def test_the_operator_refuses_an_output_of_another_length() -> None:
    from ghostnet.kernels.cpu.forward import ForwardOperator

    fused = fuse(small())
    for outputs in (1, 10, 12, 400):
        with pytest.raises(RuntimeError, match="GhostNetForward"):
            ForwardOperator(GHOSTNET_1X, outputs)(images(1, 64, 64), *fused.weights).asnumpy()


def test_inside_another_cell() -> None:
    class Doubled(nn.Cell):
        def __init__(self, network: nn.Cell) -> None:
            super().__init__()
            self.network = network

        def construct(self, x: Tensor) -> Tensor:
            return self.network(x) * 2

    x = images(1, 64, 64)
    fused = fuse(small())
    answer = fused(x).asnumpy()
    for mode in (ms.GRAPH_MODE, ms.PYNATIVE_MODE):
        ms.set_context(mode=mode)
        doubled = Doubled(fused).set_train(False)
        assert (doubled(x).asnumpy() == 2 * answer).all()
        doubled.set_train(True)
        with pytest.raises(KernelError, match="cannot be trained"):
            doubled(x)
        fused.set_train(False)


@pytest.mark.parametrize("mode", [ms.GRAPH_MODE, ms.PYNATIVE_MODE], ids=["graph", "pynative"])
def test_several_threads_at_once_get_their_own_answers(mode: int) -> None:
    ms.set_context(mode=mode)
    kernels.set_threads(2)
    cells = [fuse(small()) for _ in range(2)]
    inputs = [images(1 + i % 3, 64, 64) for i in range(4)]
    expected = [cells[0](x).asnumpy() for x in inputs]

    def right_answers(index: int) -> int:
        cell, x = cells[index % 2], inputs[index]
        return sum((cell(x).asnumpy() == expected[index]).all() for _ in range(20))

    with ThreadPoolExecutor(4) as executor:
        assert list(executor.map(right_answers, range(4))) == [20] * 4


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("activation", ["relu", "hard_swish", "relu6"])
def test_non_finite_pixels_give_what_the_plain_network_gives(value: float, activation: str) -> None:
    blocks = (Block(3, 16, 8, 4, 1), Block(3, 24, 12, 0, 2))
    network = trained(GhostNet(GHOSTNET_1X.__class__(8, blocks, 20, 16, activation, 32), 4))
    array = RANDOM.standard_normal((2, 3, 32, 32)).astype(np.float32)
    array[0, 1, 7, 9] = value
    plain = network(Tensor(array)).asnumpy()
    fused = fuse(network)(Tensor(array)).asnumpy()
    assert (np.isfinite(fused) == np.isfinite(plain)).all()
    np.testing.assert_allclose(fused, plain, rtol=1e-3, atol=1e-4)


def test_networks_of_equal_size_are_told_apart_outside_a_graph() -> None:
    ms.set_context(mode=ms.PYNATIVE_MODE)
    x = images(1, 32, 32)
    inputs = set()
    for head, classes in ((16, 6), (20, 2), (16, 6)):
        network = trained(GhostNet(replace(TINY, head_channels=head), classes))
        fused = fuse(network)
        inputs.add(tuple(weights.shape for weights in fused.weights))
        for answer in (fused(x), fused.construct(x), fused.forward(x, *fused.weights)):
            assert agree(answer, network(x))
    assert len(inputs) == 1


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((1, 3, 32, 32), np.float16),
        np.zeros((1, 3, 32, 32), np.int32),
        np.zeros((3, 32, 32), np.float32),
        np.zeros((1, 4, 32, 32), np.float32),
        np.zeros((1, 32, 32, 3), np.float32),
    ],
    ids=["float16", "int32", "no batch", "four channels", "channels last"],
)
def test_wrong_images_are_refused(array: Floats) -> None:
    for mode in (ms.GRAPH_MODE, ms.PYNATIVE_MODE):
        ms.set_context(mode=mode)
        fused = fuse(small())
        for call in (fused, fused.construct):
            with pytest.raises(KernelError, match=r"[Ii]mages"):
                call(Tensor(array))


def test_training_is_refused() -> None:
    fused = fuse(small())
    x = images(1, 64, 64)
    fused.set_train(True)
    with pytest.raises(KernelError, match="cannot be trained"):
        fused(x)
    fused.set_train(False)
    assert agree(fused(x), small()(x))
    network = trained(ghostnet_1x(4, width=0.5)).set_train(True)
    with pytest.raises(KernelError, match="cannot be trained"):
        fuse(network)


@pytest.mark.parametrize("mode", [ms.GRAPH_MODE, ms.PYNATIVE_MODE], ids=["graph", "pynative"])
@pytest.mark.parametrize("way", ["__call__", "construct"])
def test_a_gradient_is_refused(way: str, mode: int) -> None:
    ms.set_context(mode=mode)
    call = fuse(small()) if way == "__call__" else fuse(small()).construct

    def total(x: Tensor) -> Tensor:
        return call(x).sum()

    with pytest.raises(KernelError, match="no gradient"):
        ms.grad(total)(images(1, 64, 64))


def test_a_network_with_unknown_layers_is_refused() -> None:
    seven = (Block(7, 16, 8, 0, 2),)
    with pytest.raises(KernelError, match="3 or 5"):
        fuse(GhostNet(GHOSTNET_1X.__class__(8, seven, 20, 16, "relu", 32)))


FIVE = (Block(5, 32, 16, 0, 1),)


@pytest.mark.parametrize(
    ("architecture", "reason"),
    [
        (
            replace(GHOSTNET_1X, activation="gelu"),
            "activation gelu cannot be fused",
        ),
        (
            replace(MOBILENET_V2_1X, activation="relu"),
            "activation relu cannot be fused",
        ),
        (
            replace(MOBILENET_V2_1X, blocks=FIVE),
            "without squeeze-excite",
        ),
    ],
)
def test_what_the_kernels_do_not_know_is_named(architecture: Architecture, reason: str) -> None:
    assert reason in str(kernels.unavailable_reason(architecture=architecture))


def test_settings_are_checked() -> None:
    for name in ("abacus", "portable\0", ""):
        with pytest.raises(KernelError, match=r"instruction set: .* choose one of"):
            kernels.set_instruction_set(name)
    kernels.set_threads(3)
    assert kernels.threads() == 3
    assert kernels.instruction_sets()[-1] in ("neon", "portable")


def run_with_instruction_set(name: str, program: str) -> str:
    environment = os.environ | {"GHOSTNET_INSTRUCTION_SET": name}
    command = [sys.executable, "-c", f"from ghostnet import kernels; print({program})"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_the_environment_chooses_the_instruction_set() -> None:
    last = kernels.instruction_sets()[-1]
    assert run_with_instruction_set(last, "kernels.instruction_set()") == last
    reason = run_with_instruction_set("abacus", "kernels.unavailable_reason()")
    assert reason.startswith("GHOSTNET_INSTRUCTION_SET: 'abacus' is not available here; choose one")
    assert reason.endswith(last)


def test_without_the_library_the_plain_network_runs_and_says_why(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from ghostnet.kernels.cpu import library

    monkeypatch.setattr(library, "PATH", tmp_path / "libghostnet_cpu.so")
    library.load.cache_clear()
    assert not kernels.available()
    with pytest.warns(UserWarning, match="compiled kernels are missing"):
        assert fuse_if_possible(small()) is small()
    with pytest.raises(KernelError, match="GHOSTNET_NO_KERNELS"):
        fuse(small())
    monkeypatch.undo()
    library.load.cache_clear()


def test_widths_give_even_halves() -> None:
    for width in (0.35, 0.5, 0.75, 1.0, 1.3, 2.0):
        table = scale_width(GHOSTNET_1X, width)
        assert all(b.expansion_channels % 2 == 0 and b.out_channels % 2 == 0 for b in table.blocks)


@pytest.mark.nightly
def test_a_child_forked_while_a_call_runs_can_call() -> None:
    program = """
import os, sys, threading
import numpy as np
sys.path.insert(0, sys.argv[1])
from random_parameters import random_parameters
from ghostnet import kernels
from ghostnet.models import find_model

architecture = find_model("ghostnet_050").architecture
session = kernels.Session(architecture, random_parameters(architecture, 3))
images = np.zeros((1, 3, 32, 32), np.float32)
kernels.set_threads(2)
stop = threading.Event()
def call():
    while not stop.is_set(): session(images)
threads = [threading.Thread(target=call) for _ in range(2)]
for thread in threads: thread.start()
codes = []
for _ in range(600):
    child = os.fork()
    if not child:
        os._exit(session(images).shape != (1, 3))
    codes.append(os.waitpid(child, 0)[1])
stop.set()
print(any(codes))
"""
    benchmarks = Path(__file__).parents[1] / "benchmarks"
    command = [sys.executable, "-c", program, benchmarks]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.stdout == "False\n", done.stderr
