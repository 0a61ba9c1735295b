"""What C++ and Python say of the same thing: the plan, the order of weights, arguments, symbols."""

import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from noise_images import NETWORKS

from ghostnet import kernels
from ghostnet.kernels.cpu import library
from ghostnet.kernels.cpu.packing import (
    ACTIVATIONS,
    BLOCK_KINDS,
    UPSAMPLINGS,
    PlanBlock,
    PlanHeader,
    pack,
)
from ghostnet.models import MODELS, Architecture, network_spec
from ghostnet.models.specs import NORM_EPSILON, LayerSpec

ROOT = Path(__file__).resolve().parents[1]
CPU = ROOT / "ghostnet/kernels/csrc/cpu"

needs_compiler = pytest.mark.skipif(shutil.which("c++") is None, reason="needs a C++ compiler")


def read(path: str) -> str:
    """The text of a source without its comments."""
    return re.sub(r"//.*", "", (CPU / path).read_text())


def snake_case(name: str) -> str:
    """``hard_swish`` of ``kHardSwish``."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name.removeprefix("k")).lower()


def enumerators(text: str) -> list[str]:
    """The names of an enumeration, whose body is ``text``."""
    return [part.split("=")[0].strip() for part in text.split(",")]


def enumeration(path: str, name: str) -> dict[str, int]:
    """The names and numbers of an enumeration that does not skip any."""
    body = re.search(rf"enum (?:class )?{name} {{(.*?)}}", read(path), re.DOTALL)
    assert body, f"{path} has no enum {name}"
    return {snake_case(key): number for number, key in enumerate(enumerators(body[1]))}


@pytest.mark.parametrize("structure", [PlanHeader, PlanBlock])
def test_the_plan_has_the_same_fields(structure: type[PlanHeader] | type[PlanBlock]) -> None:
    body = re.search(rf"struct {structure.__name__} {{(.*?)}};", read("network/plan.h"), re.DOTALL)
    assert body
    assert re.findall(r"std::int32_t (\w+);", body[1]) == [*structure._fields]


@pytest.mark.parametrize(
    ("path", "name", "known"),
    [
        ("network/model.h", "Precision", library.PRECISIONS),
        ("ops/activation.h", "Activation", {"none": 0} | ACTIVATIONS),
        ("ops/attention.h", "Upsampling", {"none": 0} | UPSAMPLINGS),
        ("ops/dense.h", "WeightFormat", library.WEIGHT_FORMATS),
        ("c_api.cc", "Status", {status.name.lower(): status for status in library.Status}),
    ],
)
def test_numbers_have_the_same_names(path: str, name: str, known: Mapping[str, int]) -> None:
    assert enumeration(path, name) == known


def test_kinds_of_blocks_have_the_same_numbers() -> None:
    names = {
        "ghostnet": "ghost_bottleneck",
        "mobilenet_v2": "inverted_residual",
        "repghost": "rep_ghost_bottleneck",
    }
    known = {names[family]: number for family, number in BLOCK_KINDS.items()}
    assert enumeration("network/model.h", "BlockKind") == known


@pytest.mark.skipif(
    not kernels.available() or shutil.which("nm") is None,
    reason="needs the compiled kernels, and nm to list their symbols",
)
def test_python_knows_every_symbol() -> None:
    listed = subprocess.check_output(["nm", "-D", "--defined-only", library.PATH], text=True)
    exported = re.findall(r" T ((?:GhostNet|ghostnet_)\w+)", listed)
    assert sorted(exported) == sorted(library.SYMBOLS)


def named_layers(part: Any, name: str) -> Iterator[tuple[str, LayerSpec]]:
    """Every layer of a network by the way to it, such as ``blocks.3.ghost1.primary``."""
    if isinstance(part, LayerSpec):
        yield name, part
    elif hasattr(part, "_asdict"):
        for key, value in part._asdict().items():
            yield from named_layers(value, f"{name}.{key}" if name else key)
    elif isinstance(part, tuple):
        for index, value in enumerate(part):
            yield from named_layers(value, f"{name}.{index}")


def numbered(layers: Mapping[str, LayerSpec], architecture: Architecture) -> dict[str, np.ndarray]:
    """Parameters that make the bias of each layer its number."""
    parameters = {}
    for number, layer in enumerate(layers.values()):
        for key, shape in layer.parameter_shapes(quantized=architecture.quantized).items():
            fill = np.ones if ".scale_" in key else np.zeros
            parameters[key] = fill(shape, np.float32)
        if layer.norm:
            parameters[f"{layer.norm}.moving_variance"] += 1 - NORM_EPSILON
            parameters[f"{layer.norm}.beta"] += number
        else:
            parameters[f"{layer.name}.bias"] += number
    return parameters


@pytest.fixture(scope="module")
def model_layout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program that prints where the kernels look for each bias."""
    program = tmp_path_factory.mktemp("cpp") / "model_layout"
    sources = [
        ROOT / "tests/cpp/model_layout.cc",
        CPU / "network/model.cc",
        CPU / "simd/amx_tile.cc",
        CPU / "simd/processor.cc",
        CPU / "system/linux.cc",
    ]
    command = ["c++", "-std=c++17", f"-I{CPU}", "-DGHOSTNET_AMX", *sources, "-o", program]
    subprocess.run(command, check=True)
    return program


@needs_compiler
@pytest.mark.skipif(not kernels.available(), reason="needs the compiled kernels")
@pytest.mark.parametrize("features", [False, True], ids=["logits", "features"])
@pytest.mark.parametrize("name", [*NETWORKS, "ghostnet_int8_1x"])
def test_the_kernels_find_each_layer_where_it_was_packed(
    name: str, features: bool, model_layout: Path
) -> None:
    architecture = MODELS[name].architecture.merged
    layers = dict(named_layers(network_spec(architecture, 37), ""))
    plan, weights = pack(architecture, numbered(layers, architecture), features=features)
    command = [model_layout, str(weights.size), *map(str, plan)]
    lines = subprocess.check_output(command, text=True).splitlines()
    numbers = {key: number for number, key in enumerate(layers)}
    for layer, first, length in map(str.split, lines):
        found = weights[int(first) : int(first) + int(length)]
        assert (found == numbers[layer]).all(), f"the kernels read other weights as {layer}"
    expected = {key for key in layers if not (features and key == "classifier")}
    assert {line.split()[0] for line in lines} == expected


def arguments(symbol: str) -> list[str]:
    """The arguments of a training operator in csrc/cpu/training/arguments.h."""
    structure = symbol.removeprefix("GhostNet").removesuffix("Residual") + "Arguments"
    body = re.search(
        rf"struct {structure} {{\s*enum {{(.*?)}}", read("training/arguments.h"), re.DOTALL
    )
    assert body, f"arguments.h has no {structure}"
    names = [name.removeprefix("k") for name in enumerators(body[1])]
    assert names.pop() == "Count"
    return [name for name in names if name != "Residual" or symbol.endswith("Residual")]


class RecordedOperator:
    """In place of MindSpore's: called with the names of tensors, returns those of its outputs."""

    def __init__(self, symbol: str, _: Any, out_dtypes: Any, __: str, bprop: Any) -> None:
        import mindspore
        from mindspore.common.dtype import TensorType

        self.symbol = symbol.rpartition(":")[2]
        self.bprop = bprop
        dtypes = out_dtypes(TensorType(mindspore.float32))
        outputs = len(dtypes) if isinstance(dtypes, tuple) else 1
        names = arguments(self.symbol)
        self.inputs, self.outputs = names[:-outputs], names[-outputs:]

    def __call__(self, *inputs: str) -> Any:
        assert [*inputs] == self.inputs, f"inputs of {self.symbol}"
        return self.outputs[0] if len(self.outputs) == 1 else tuple(self.outputs)

    def add_prim_attr(self, *_: object) -> None:
        pass


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("unfold", ()),
        ("batch_norm", ()),
        ("depthwise", (2,)),
        ("ghost", (False,)),
        ("ghost", (True,)),
        ("pointwise", ()),
        ("squeeze_excite", ()),
    ],
)
def test_training_operators_pass_the_arguments_that_the_kernels_take(
    name: str, settings: tuple[Any, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    from ghostnet.kernels.cpu import training_operators

    mindspore_ops = SimpleNamespace(Custom=RecordedOperator, zeros_like=lambda _: None)
    monkeypatch.setattr(training_operators, "ops", mindspore_ops)
    forward = getattr(training_operators, name)(*settings)
    out = forward.outputs
    dout = [f"{output}Gradient" for output in out]
    single = len(out) == 1
    gradients = forward.bprop(*forward.inputs, *((out[0], dout[0]) if single else (out, dout)))
    for tensor, gradient in zip(forward.inputs, gradients, strict=True):
        passed_on = tensor == "Residual" and gradient == "YGradient"
        assert gradient in (None, f"{tensor}Gradient") or passed_on, f"the gradient of {tensor}"
