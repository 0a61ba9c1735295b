"""The int8 network is the released one, and one answer on every processor."""

import json
import os
import subprocess
import sys
from pathlib import Path

import mindspore as ms
import numpy as np
import pytest
from command_line import Ghostnet
from random_parameters import random_quantized_parameters
from toy_images import draw

from ghostnet import ExportError, KernelError, TrainingError, fuse, ghostnet_int8_1x, kernels
from ghostnet.benchmark.engines import Job
from ghostnet.benchmark.preparation import prepare
from ghostnet.checkpoints import Parameters, identify, load_parameters, write_checkpoint
from ghostnet.errors import BenchmarkError
from ghostnet.export import export
from ghostnet.hub import open_model
from ghostnet.models import (
    GHOSTNET_1X,
    GHOSTNET_INT8_1X,
    GhostNet,
    create_network,
    find_model,
    network_spec,
)
from ghostnet.models.layers import convolution
from ghostnet.models.quantization import QuantizedConvolution
from ghostnet.training.config import Recipe
from ghostnet.training.run.task import start

LOGITS = """
import sys
import numpy as np
from ghostnet.checkpoints import load_parameters, read_checkpoint
from ghostnet import ghostnet_int8_1x
import mindspore as ms
from pathlib import Path

network = ghostnet_int8_1x(37).set_train(False)
load_parameters(network, read_checkpoint(Path(sys.argv[1])))
images = np.random.default_rng(8).standard_normal((2, 3, 224, 224)).astype(np.float32)
np.save(sys.argv[2], network(ms.Tensor(images)).asnumpy())
"""


@pytest.fixture(scope="module")
def parameters() -> Parameters:
    return random_quantized_parameters(37)


@pytest.fixture(scope="module")
def network(parameters: Parameters) -> GhostNet:
    network = ghostnet_int8_1x(37).set_train(False)
    load_parameters(network, parameters)
    return network


@pytest.fixture
def checkpoint(parameters: Parameters, tmp_path: Path) -> Path:
    write_checkpoint(parameters, tmp_path / "int8.ckpt")
    return tmp_path / "int8.ckpt"


def test_parameters_are_those_of_the_released_checkpoint(network: GhostNet, shared: Path) -> None:
    spec = json.loads((shared / "spec/ghostnet_int8_1x.json").read_text())
    built = {p.name: list(p.shape) for p in network.get_parameters()}
    assert built == spec
    assert list(built) == list(spec) == list(network_spec(GHOSTNET_INT8_1X, 37).parameter_shapes())


def test_logits_are_those_of_the_released_code(checkpoint: Path, shared: Path) -> None:
    """Bit for bit in the instruction set of the reference; another adds in another order, and what
    is rounded then takes a step of a few hundredths here and there."""
    if "avx2" not in Path("/proc/cpuinfo").read_text():
        pytest.skip("the reference logits were computed with AVX2, which this processor lacks")
    expected = np.load(shared / "spec/ghostnet_int8_1x_reference.npz")["logits"]
    answer = checkpoint.with_suffix(".npy")
    environment = os.environ | {"ONEDNN_MAX_CPU_ISA": "AVX2"}
    program = [sys.executable, "-c", LOGITS, str(checkpoint), str(answer)]
    subprocess.run(program, env=environment, check=True)
    np.testing.assert_allclose(np.load(answer), expected, rtol=0, atol=1e-4)
    subprocess.run(program, check=True)
    assert np.corrcoef(np.load(answer).ravel(), expected.ravel())[0, 1] > 0.999


@pytest.mark.parametrize(
    ("groups", "stride", "bias"), [(1, 1, True), (1, 2, False), (8, 1, False), (8, 2, False)]
)
def test_a_convolution_rounds_its_input_and_its_weight(
    groups: int, stride: int, bias: bool
) -> None:
    rng = np.random.default_rng(0)
    plain = convolution(8, 8, 3, stride=stride, groups=groups, bias=bias)
    quantized = QuantizedConvolution(convolution(8, 8, 3, stride=stride, groups=groups, bias=bias))
    scale_a, zero, scale_w = 1 / 32, -100.0, 2.0 ** -rng.integers(5, 8, 8)  # exact in float32
    weight = rng.standard_normal(plain.weight.shape).astype(np.float32) * 3
    quantized.weight.set_data(ms.Tensor(weight))
    if bias:
        for cell in (plain, quantized):
            cell.bias.set_data(ms.Tensor(np.arange(8), ms.float32))
    quantized.scale_a.set_data(ms.Tensor([scale_a], ms.float32))
    quantized.zp_a.set_data(ms.Tensor([zero], ms.float32))
    quantized.scale_w.set_data(ms.Tensor(scale_w, ms.float32))
    x = rng.standard_normal((1, 8, 9, 9)).astype(np.float32) * 4
    steps = scale_w.reshape(-1, 1, 1, 1)
    rounded_x = (np.clip(np.floor(x / scale_a - zero + 0.5), 0, 255) + zero) * scale_a
    rounded_weight = np.clip(np.floor(weight / steps + 0.5), -129, 128) * steps
    plain.weight.set_data(ms.Tensor(rounded_weight, ms.float32))
    expected = plain(ms.Tensor(rounded_x, ms.float32)).asnumpy()
    np.testing.assert_array_equal(quantized(ms.Tensor(x)).asnumpy(), expected)
    assert abs(rounded_x - x).max() > 0.1  # some values lie out of range


def test_it_is_created_by_each_of_its_names() -> None:
    for name in ("ghostnet_int8_1x", "GhostNet_int8", "ghostnet_quant"):
        assert find_model(name).architecture == GHOSTNET_INT8_1X
    assert create_network("ghostnet_int8", num_classes=3).architecture == GHOSTNET_INT8_1X


def test_a_bare_checkpoint_is_told_from_the_plain_network(checkpoint: Path) -> None:
    model = open_model(checkpoint)
    assert model.architecture == GHOSTNET_INT8_1X
    plain = {key: value for key, value in model.parameters.items() if "cale_" not in key}
    assert identify(plain) == GHOSTNET_1X


def test_a_fused_network_and_its_graph_answer_as_the_session(
    network: GhostNet, parameters: Parameters
) -> None:
    images = np.random.default_rng(4).standard_normal((2, 3, 64, 64)).astype(np.float32)
    expected = kernels.Session(GHOSTNET_INT8_1X, parameters)(images)
    fused = fuse(network)
    np.testing.assert_array_equal(fused(ms.Tensor(images)).asnumpy(), expected)
    np.testing.assert_array_equal(fused.construct(ms.Tensor(images)).asnumpy(), expected)


def test_it_has_a_type_of_its_own(network: GhostNet, parameters: Parameters) -> None:
    with pytest.raises(KernelError, match="are on 8 bits already, so leave the dtype out"):
        kernels.Session(GHOSTNET_INT8_1X, parameters, dtype="int8")
    with pytest.raises(KernelError, match="on 8 bits cannot be trained"):
        fuse(network, training=True)


def test_the_command_runs_it(ghostnet: Ghostnet, parameters: Parameters, tmp_path: Path) -> None:
    draw(tmp_path / "images", 1, ("class 0", "class 1"))
    small = {key: value[:2] if "classifier" in key else value for key, value in parameters.items()}
    write_checkpoint(small, tmp_path / "small.ckpt")
    answer = ghostnet.json("eval", tmp_path / "images", "--model", tmp_path / "small.ckpt")
    assert answer["images"] == 2
    assert not ghostnet.err


def test_what_cannot_run_it_says_so(checkpoint: Path, tmp_path: Path) -> None:
    model = open_model(checkpoint)
    for suffix in ("onnx", "mindir"):
        with pytest.raises(ExportError, match="convolutions on 8 bits, which cannot be exported"):
            export(model, tmp_path / f"model.{suffix}")
    recipe = Recipe(architecture="ghostnet_int8_1x")
    with pytest.raises(TrainingError, match="which has no gradient"):
        start(recipe, 2)
    with pytest.raises(BenchmarkError, match="8-bit convolutions"):
        prepare(Job(str(checkpoint), None, tmp_path, 1, 1), ("ghostnet", "torch"))
