"""The networks are those of the released checkpoints, in names, shapes and cost."""

import json
import os
import platform
import subprocess
import sys
from pathlib import Path

import mindspore as ms
import numpy as np
import pytest

from ghostnet.models import (
    GHOSTNET_1X,
    GhostNet,
    StageFeatures,
    create_network,
    find_model,
    ghostnet_1x,
    ghostnet_600m,
    ghostnet_nose_1x,
    make_divisible,
    mobilenet_v2_1x,
    scale_width,
)
from ghostnet.models.cost import complexity
from ghostnet.models.layers import GhostModule

BUILDERS = {
    "ghostnet_1x": ghostnet_1x,
    "ghostnet_nose_1x": ghostnet_nose_1x,
    "ghostnet_600m": ghostnet_600m,
    "mobilenet_v2_1x": mobilenet_v2_1x,
}

RELEASED = ("ghostnet_1x", "ghostnet_nose_1x", "ghostnet_600m")


@pytest.fixture(scope="module")
def network() -> GhostNet:
    return ghostnet_1x(37).set_train(False)


def images(count: int = 1, size: int = 64) -> ms.Tensor:
    rng = np.random.default_rng(0)
    return ms.Tensor(rng.standard_normal((count, 3, size, size)).astype(np.float32))


@pytest.mark.parametrize("name", RELEASED)
def test_parameters_are_those_of_the_released_checkpoint(name: str, shared: Path) -> None:
    spec = json.loads((shared / "spec" / f"{name}.json").read_text())
    built = {p.name: list(p.shape) for p in BUILDERS[name](37).get_parameters()}
    assert built == spec


def test_mobilenet_v2_is_mindcvs() -> None:
    models = pytest.importorskip("mindcv.models", reason="needs the extra bench")
    other = models.create_model("mobilenet_v2_100", num_classes=7).set_train(False)
    network = mobilenet_v2_1x(7).set_train(False)
    expected = {p.name: p.shape for p in other.get_parameters()}
    assert {p.name: p.shape for p in network.get_parameters()} == expected
    assert network.spec.parameter_shapes() == expected
    for own, theirs in zip(network.get_parameters(), other.get_parameters(), strict=True):
        own.set_data(theirs)
    x = images(2)
    np.testing.assert_allclose(network(x).asnumpy(), other(x).asnumpy(), rtol=1e-5, atol=1e-6)


# Parameters, and multiply-adds in millions as computed and as the card rounds them.
@pytest.mark.parametrize(
    ("name", "classes", "parameters", "millions", "card_millions"),
    [
        ("ghostnet_1x", 37, 3_948_905, 139.9, 140),
        ("ghostnet_1x", 1000, 5_182_508, 141.2, 142),
        ("ghostnet_nose_1x", 37, 2_445_037, 138.4, 138),
        ("ghostnet_nose_1x", 1000, 3_678_640, 139.7, None),
        ("ghostnet_600m", 37, 10_590_633, 586.1, 590),
        ("ghostnet_600m", 1000, 11_939_796, 587.5, 591),
        ("mobilenet_v2_1x", 1000, 3_504_872, 300.8, 300),
    ],
)
def test_cost(
    name: str, classes: int, parameters: int, millions: float, card_millions: float | None
) -> None:
    network = BUILDERS[name](classes)
    cost = complexity(network, network.architecture.image_size)
    assert cost.parameters == parameters
    assert cost.multiply_adds / 1e6 == pytest.approx(millions, abs=0.05)
    if card_millions:
        assert cost.multiply_adds / 1e6 == pytest.approx(card_millions, rel=0.01)


def test_counting_leaves_the_network_as_it_was(network: GhostNet) -> None:
    network.set_train(True)
    complexity(network, 32)
    assert network.training
    network.set_train(False)


def test_logits_agree_in_graph_and_pynative_mode(network: GhostNet) -> None:
    x = images()
    in_pynative = network(x).asnumpy()
    ms.set_context(mode=ms.GRAPH_MODE)
    in_graph = network(x).asnumpy()
    assert in_graph.shape == (1, 37)
    np.testing.assert_allclose(in_graph, in_pynative, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("width", [0.5, 1.3])
def test_width_scales_the_channels(width: float) -> None:
    network = ghostnet_1x(10, width=width).set_train(False)
    assert network.conv_stem.weight.shape[0] == {0.5: 8, 1.3: 20}[width]
    assert network.blocks[-1].conv.weight.shape[0] == {0.5: 480, 1.3: 1248}[width]
    assert network.num_features == 1280
    assert network(images(size=32)).shape == (1, 10)


@pytest.mark.parametrize(
    ("width", "classes", "millions_of_parameters"), [(0.5, 1000, 2.59), (1.3, 1000, 7.36)]
)
def test_width_gives_the_parameters_that_timm_counts(
    width: float, classes: int, millions_of_parameters: float
) -> None:
    count = sum(p.size for p in ghostnet_1x(classes, width=width).trainable_params())
    assert count / 1e6 == pytest.approx(millions_of_parameters, abs=0.01)


def test_a_width_that_is_not_positive_is_refused() -> None:
    with pytest.raises(ValueError, match="above 0"):
        scale_width(GHOSTNET_1X, 0)


def test_channels_never_lose_a_tenth() -> None:
    assert make_divisible(11, 8) == 16
    assert all(make_divisible(n, 4) >= 0.9 * n for n in range(1, 500))


def test_stage_features_have_each_resolution_and_share_parameters(network: GhostNet) -> None:
    names = [p.name for p in network.get_parameters()]
    stages = StageFeatures(network)
    maps = stages(images(size=64))
    assert [m.shape for m in maps] == [
        (1, channels, 64 // r, 64 // r)
        for channels, r in zip(stages.channels, (2, 4, 8, 16, 32), strict=True)
    ]
    assert stages.channels == (16, 24, 40, 112, 160)
    assert [p.name for p in network.get_parameters()] == names
    assert {id(p) for p in stages.get_parameters()} <= {id(p) for p in network.get_parameters()}


@pytest.mark.parametrize("name", ["ghostnet_050", "mobilenet_v2_1x"])
def test_reset_classifier_keeps_the_backbone_and_the_names(name: str) -> None:
    network = create_network(name, 37).set_train(False)
    before = network.features(images(size=32)).asnumpy()
    names = [p.name for p in network.get_parameters()]
    network.reset_classifier(5)
    assert network(images(size=32)).shape == (1, 5)
    assert [p.name for p in network.get_parameters()] == names
    np.testing.assert_array_equal(network.features(images(size=32)).asnumpy(), before)


def test_initialization_is_he_over_fan_out_and_reproducible() -> None:
    ms.set_seed(3)
    first = ghostnet_1x(1000)
    ms.set_seed(3)
    second = ghostnet_1x(1000)
    ms.set_seed(4)
    third = ghostnet_1x(1000)
    weight = first.blocks[13].dw if first.blocks[13].dw else first.blocks[12].ghost1.primary_conv
    fan_out = weight.conv.weight.shape[0]
    assert weight.conv.weight.asnumpy().std() == pytest.approx((2 / fan_out) ** 0.5, rel=0.02)
    assert first.classifier.weight.asnumpy().std() == pytest.approx(0.01, rel=0.02)
    assert not first.classifier.bias.asnumpy().any()
    for a, b in zip(first.get_parameters(), second.get_parameters(), strict=True):
        np.testing.assert_array_equal(a.asnumpy(), b.asnumpy())
    assert (first.conv_stem.weight.asnumpy() != third.conv_stem.weight.asnumpy()).any()


def test_dropout_acts_in_training_only() -> None:
    network = ghostnet_nose_1x(4, drop_rate=0.9, width=0.5)
    network.set_train(False)
    x = images(size=32)
    np.testing.assert_array_equal(network(x).asnumpy(), network(x).asnumpy())
    network.set_train(True)
    assert network.dropout.p == 0.9


def test_an_odd_ghost_module_is_refused() -> None:
    with pytest.raises(ValueError, match="even"):
        GhostModule(8, 7)


@pytest.mark.parametrize(
    ("args", "kwargs"),
    [
        ((37,), {}),
        ((), {"num_classes": 37}),
        (("ghostnet",), {"num_classes": 37}),
        (("GhostNet", 37), {}),
        (("GHOSTNET_NOSE",), {"num_classes": 37}),
        (("ghostnet-600", 37), {"drop_rate": 0.0}),
    ],
)
def test_create_network_takes_every_form_that_the_hub_uses(args: tuple, kwargs: dict) -> None:
    network = create_network(*args, **kwargs)
    name = str(args[0]) if args and isinstance(args[0], str) else "ghostnet"
    assert network.num_classes == 37
    assert network.architecture == find_model(name).architecture


def test_create_network_refuses_an_unknown_name() -> None:
    with pytest.raises(
        ValueError, match="'resnet50' is not registered; the registered models are ghostnet_1x,"
    ):
        create_network("resnet50", num_classes=37)


def test_a_network_without_classes_is_refused() -> None:
    with pytest.raises(ValueError, match="num_classes: 0 is less than 1"):
        ghostnet_1x(0)


@pytest.mark.nightly
def test_operators_outside_a_graph_print_nothing() -> None:
    program = (
        "import mindspore as ms, numpy as np\n"
        "from ghostnet import ghostnet_1x\n"
        "ms.set_context(mode=ms.PYNATIVE_MODE)\n"
        "network = ghostnet_1x(2, width=0.5).set_train(False)\n"
        "network(ms.Tensor(np.zeros((1, 3, 32, 32), np.float32)))\n"
        "raise SystemExit(int(ms.ops.zeros((2,)).asnumpy().any()))\n"
    )
    environment = os.environ | {"GLOG_v": "4"}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, env=environment)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


MANY_THREADS = """
import threading
import mindspore as ms
import numpy as np
from ghostnet.models.network import GhostNet, HeadFeatures, StageFeatures
from tiny_network import TINY

ms.set_context(mode=ms.GRAPH_MODE)
network = GhostNet(TINY, 3).set_train(False)
cells = [network, HeadFeatures(network), StageFeatures(network)]
images = [ms.Tensor(np.full((1, 3, 32, 32), n, np.float32)) for n in range(4)]

def answer(cell, image):
    found = cell(image)
    return (found[-1] if isinstance(found, tuple) else found).asnumpy()

def work(n):
    for _ in range(20):
        for cell, wanted in zip(cells, expected[n]):
            np.testing.assert_allclose(answer(cell, images[n]), wanted, rtol=1e-4, atol=1e-6)
    done.append(n)

expected = [[answer(cell, image) for cell in cells] for image in images]
done = []
threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
print(sorted(done))
"""


@pytest.mark.nightly
def test_threads_take_turns_in_the_plain_network() -> None:
    command = [sys.executable, "-c", MANY_THREADS]
    done = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parent)
    assert done.stdout == "[0, 1, 2, 3]\n", done.stderr[-2000:]


ONEDNN_SET = """
import ctypes
from pathlib import Path
import mindspore
from ghostnet import ghostnet_1x

ghostnet_1x(2, width=0.5)
library = next(Path(mindspore.__file__).parent.glob("lib/libdnnl.so.3*"))
print(ctypes.CDLL(str(library)).dnnl_get_effective_cpu_isa())
"""
"""Prints the instruction set that MindSpore's oneDNN uses: 1 is SSE4.1, 7 is AVX2."""


@pytest.mark.skipif(platform.machine() != "x86_64", reason="oneDNN has AVX-512 on x86-64 only")
@pytest.mark.parametrize(("limit", "highest"), [({}, 7), ({"ONEDNN_MAX_CPU_ISA": "SSE41"}, 1)])
def test_onednn_computes_plain_networks_without_avx512(limit: dict[str, str], highest: int) -> None:
    command = [sys.executable, "-c", ONEDNN_SET]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | limit)
    assert int(done.stdout) <= highest, done.stderr[-2000:]
