"""The CUDA kernels, compiled for the host, against the plain network; and compiled by nvcc."""

import copy
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import mindspore as ms
import numpy as np
import pytest
from host_kernels import host_device
from mindspore import Tensor
from numpy.typing import NDArray
from schedule import at_night
from test_kernels import GHOSTNETS, images, small, small_mobilenet, trained

from ghostnet import KernelError
from ghostnet.checkpoints import parameters_of
from ghostnet.kernels import FusedGhostNet
from ghostnet.kernels.cuda import build
from ghostnet.kernels.cuda.packing import pack
from ghostnet.models import Architecture, Block, GhostNet, ghostnet_1x, ghostnet_600m

TOLERANCE = {np.float32: 1e-4, np.float16: 2e-2}
"""Largest difference between logits, as a share of the largest logit."""

CASE = Path(__file__).with_name("cpp") / "cuda_case.cc"

needs_compiler = pytest.mark.skipif(shutil.which("c++") is None, reason="needs a C++ compiler")
needs_nvcc = pytest.mark.skipif(shutil.which("nvcc") is None, reason="needs nvcc")


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``cpp/cuda_case.cc`` under AddressSanitizer and UndefinedBehaviorSanitizer."""
    built = tmp_path_factory.mktemp("cuda") / "cuda_case"
    sanitize = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
    command = ["c++", "-std=c++17", "-O1", *sanitize, "-I", build.SOURCES, CASE, "-o", built]
    subprocess.run(command, check=True)
    return built


def answer(program: Path, folder: Path, network: GhostNet, x: NDArray) -> NDArray:
    """The network's logits for ``x`` by the program."""
    with open(folder / "input", "wb") as file:
        for array in [x, *pack(network.architecture, parameters_of(network))]:
            head = [array.ndim, array.dtype == np.float16, *array.shape]
            file.write(np.array(head, np.int64).tobytes() + array.tobytes())
    hard_swish = network.architecture.activation == "hard_swish"
    command = [
        program,
        "hard_swish" if hard_swish else "relu",
        folder / "input",
        folder / "output",
        str(network.num_classes),
    ]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return np.fromfile(folder / "output", x.dtype).reshape(len(x), -1)


def difference(logits: NDArray, expected: NDArray) -> float:
    """The largest, as a share of the largest logit; infinite where one is not finite."""
    share = np.abs(logits.astype(np.float32) - expected).max() / np.abs(expected).max()
    return float(share) if np.isfinite(share) else np.inf


@needs_compiler
@pytest.mark.parametrize(
    "dtype", [np.float32, pytest.param(np.float16, marks=pytest.mark.nightly)], ids=str
)
@pytest.mark.parametrize("name", GHOSTNETS)
def test_every_variant_agrees_under_sanitizers(
    name: str, dtype: type, program: Path, tmp_path: Path
) -> None:
    network = trained(GHOSTNETS[name]())
    x = images(2, 33, 65)
    logits = answer(program, tmp_path, network, x.asnumpy().astype(dtype))
    assert difference(logits, network(x).asnumpy()) <= TOLERANCE[dtype]


SHAPES = [
    (1, 1, 1),
    (2, 7, 5),
    (9, 64, 64),
    (5, 33, 130),
    (3, 71, 45),
    (1, 193, 227),
    (200, 32, 32),
]


@needs_compiler
@pytest.mark.parametrize("dtype", TOLERANCE, ids=["float32", "float16"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_odd_sizes_and_batches_agree_under_sanitizers(
    shape: tuple[int, int, int], dtype: type, program: Path, tmp_path: Path
) -> None:
    x = images(*shape)
    logits = answer(program, tmp_path, small(), x.asnumpy().astype(dtype))
    assert difference(logits, small()(x).asnumpy()) <= TOLERANCE[dtype]


@needs_compiler
@pytest.mark.parametrize("network", [ghostnet_1x, *at_night(ghostnet_600m)])
def test_an_image_of_odd_size_through_mindspore(network: type) -> None:
    plain = trained(network(37))
    fused = FusedGhostNet(plain, host_device())
    x = images(1, 193, 227)
    expected = plain(x).asnumpy()
    assert difference(fused(x).asnumpy(), expected) <= TOLERANCE[np.float32]
    half = fused(x.astype(ms.float16))
    assert half.dtype == ms.float16
    assert difference(half.asnumpy(), expected) <= TOLERANCE[np.float16]


@needs_compiler
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("activation", ["relu", "hard_swish"])
def test_non_finite_pixels_give_what_the_plain_network_gives(value: float, activation: str) -> None:
    blocks = (Block(3, 16, 8, 4, 1), Block(3, 24, 16, 0, 2))  # no channel is padded: docs/gpu.md
    network = trained(GhostNet(Architecture(8, blocks, 20, 16, activation, 32), 4))
    x = images(2, 32, 32).asnumpy()
    x[0, 1, 7, 9] = value
    fused = FusedGhostNet(network, host_device())(Tensor(x)).asnumpy()
    np.testing.assert_allclose(fused, network(Tensor(x)).asnumpy(), rtol=1e-3, atol=1e-4)


@needs_compiler
def test_graph_mode_copies_and_features() -> None:
    ms.set_context(mode=ms.GRAPH_MODE)
    x = images(2, 64, 64)
    fused = FusedGhostNet(small(), host_device())
    logits = fused(x).asnumpy()
    assert difference(logits, small()(x).asnumpy()) <= TOLERANCE[np.float32]
    copied = copy.deepcopy(fused)
    del fused
    assert (copied(x).asnumpy() == logits).all()
    features = FusedGhostNet(small(), host_device(), features=True)
    assert difference(features(x).asnumpy(), small().features(x).asnumpy()) <= 1e-4


@needs_compiler
def test_new_weights_reach_a_compiled_graph() -> None:
    x = images(1, 64, 64)
    network = trained(ghostnet_1x(4, width=0.5))
    fused = FusedGhostNet(network, host_device())
    fused(x)
    trained(network)
    fused.refresh(network)
    assert difference(fused(x).asnumpy(), network(x).asnumpy()) <= TOLERANCE[np.float32]


@needs_compiler
@pytest.mark.parametrize(
    "array",
    [np.zeros((1, 3, 32, 32), np.int32), np.zeros((3, 32, 32), np.float32)],
    ids=["int32", "no batch"],
)
def test_wrong_images_and_training_are_refused(array: NDArray) -> None:
    fused = FusedGhostNet(small(), host_device())
    with pytest.raises(KernelError, match=r"[Ii]mages"):
        fused(Tensor(array))
    fused.set_train(True)
    with pytest.raises(KernelError, match="cannot be trained"):
        fused(images(1, 32, 32))


def test_inverted_residuals_are_refused() -> None:
    network = small_mobilenet()
    with pytest.raises(KernelError, match="inverted residuals cannot be fused for a GPU"):
        pack(network.architecture, parameters_of(network))
    ghost = replace(small().architecture, activation="relu6")
    with pytest.raises(
        KernelError,
        match="activation relu6 cannot be fused for a GPU",
    ):
        pack(ghost, parameters_of(small()))


def packed_small() -> list[NDArray]:
    network = small()
    return pack(network.architecture, parameters_of(network))


@needs_nvcc
def test_nvcc_compiles_every_kernel_and_python_can_load_them(tmp_path: Path) -> None:
    from ghostnet.kernels.cuda.library import scratch_bytes

    target = tmp_path / "kernels.so"
    nvcc = build.find_nvcc()
    build.compile_kernels(target, nvcc, build.architectures(nvcc)[-1:])
    assert list(tmp_path.iterdir()) == [target]
    shapes = [(1, 3, 64, 64), *(array.shape for array in packed_small())]
    assert scratch_bytes(target, shapes) == scratch_bytes(host_device().load()._name, shapes)
    with pytest.raises(KernelError, match="not the shapes"):
        scratch_bytes(target, shapes[:-3])


@needs_nvcc
def test_nvcc_is_asked_for_architectures_that_it_knows() -> None:
    known = build.architectures(build.find_nvcc())
    assert {80, 86, 90} <= set(known) <= set(build.ARCHITECTURES)
    assert build.code_flags(known)[-1] == "-gencode=arch=compute_90,code=compute_90"


TWICE = """
import sys
from pathlib import Path
from ghostnet.kernels.cuda import build
build.ARCHITECTURES = (90,)
print(build.library_path())
"""


@needs_nvcc
@pytest.mark.nightly
@pytest.mark.slow
def test_two_processes_compile_at_once_into_one_cache(tmp_path: Path) -> None:
    environment = os.environ | {"XDG_CACHE_HOME": str(tmp_path)}
    command = [sys.executable, "-c", TWICE]
    first, second = (
        subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    )
    path = first.communicate()[0].strip()
    assert path == second.communicate()[0].strip()
    assert [str(file) for file in tmp_path.rglob("*") if file.is_file()] == [path]


def test_no_nvcc_is_one_clear_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CUDA_HOME", raising=False)
    with pytest.raises(KernelError, match="install the CUDA toolkit and set CUDA_HOME"):
        build.find_nvcc()


def test_a_compiler_that_knows_no_architecture_is_refused() -> None:
    true = shutil.which("true")
    with pytest.raises(KernelError, match="compiles for none of"):
        build.architectures(Path(str(true)))


def test_a_compiler_that_fails_is_quoted(tmp_path: Path) -> None:
    false = shutil.which("false")
    with pytest.raises(KernelError, match="failed"):
        build.compile_kernels(tmp_path / "kernels.so", Path(str(false)), (80,))
    assert not list(tmp_path.iterdir())
