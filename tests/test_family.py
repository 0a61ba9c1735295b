"""GhostNetV2, V3 and RepGhost: counts, names, forms and reference logits."""

import json
import re
from pathlib import Path
from typing import Any

import mindspore as ms
import numpy as np
import pytest
from extras import cases_with
from family import References, tiny
from numpy.testing import assert_allclose
from numpy.typing import NDArray
from random_parameters import random_parameters
from safetensors.numpy import save_file
from schedule import at_night

import ghostnet
from ghostnet import kernels
from ghostnet.checkpoints import convert, identify, load_parameters, write_checkpoint
from ghostnet.errors import ExportError, KernelError, ModelError
from ghostnet.export import export
from ghostnet.kernels import cuda
from ghostnet.models import Architecture, build_network, complexity, find_model, network_spec
from ghostnet.models.registry import MODELS, model_of

PUBLISHED = {
    "ghostnet_050": (2_587_292, 42.33),
    "ghostnet_100": (5_182_508, 141.15),
    "ghostnet_130": (7_358_820, 227.00),
    "ghostnetv2_100": (6_156_908, 167.05),
    "ghostnetv2_130": (8_960_404, 269.32),
    "ghostnetv2_160": (12_392_698, 398.61),
    "ghostnetv3_050": (3_395_384, 117.53),
    "ghostnetv3_100": (8_129_028, 404.13),
    "ghostnetv3_130": (12_217_720, 654.84),
    "ghostnetv3_160": (17_275_700, 971.57),
}
MERGED = {
    "ghostnetv3_050": (2_853_176, 49.64),
    "ghostnetv3_100": (6_147_588, 167.05),
    "ghostnetv3_130": (8_948_296, 269.32),
    "ghostnetv3_160": (12_377_778, 398.61),
    "repghostnet_050": (2.307, 43.31),
    "repghostnet_058": (2.538, 59.80),
    "repghostnet_080": (3.267, 95.52),
    "repghostnet_100": (4.059, 142.39),
    "repghostnet_111": (4.524, 170.12),
    "repghostnet_130": (5.459, 231.12),
    "repghostnet_150": (6.553, 301.32),
    "repghostnet_200": (9.766, 515.87),
}
"""Learned values (or millions of them), and millions of multiply-adds, for 1000 classes."""

REFERENCES = (
    "ghostnet_050",
    "ghostnet_100",
    "ghostnet_130",
    "ghostnetv2_100",
    "ghostnetv2_160",
    "ghostnetv3_050",
    "ghostnetv3_100",
    "repghostnet_100",
)
SIZES = ((224, 224), (200, 168))
TOLERANCE = 1e-4
"""Largest difference of two logits, over the standard deviation of the logits."""

BRANCHED = ("ghostnetv3_100", "repghostnet_100")
V2 = tiny("ghostnetv2_100")
NEW = ("ghostnetv2_100", "ghostnetv2_1x", *BRANCHED)
needs_kernels = pytest.mark.skipif(
    not kernels.available(), reason=f"no fused kernels here: {kernels.unavailable_reason()}"
)


@pytest.fixture(scope="module")
def references(shared: Path) -> References:
    return References(shared)


def assert_close(logits: NDArray[Any], expected: NDArray[Any], tolerance: float) -> None:
    assert np.abs(logits - expected).max() <= tolerance * np.std(expected)


def network_of(architecture: Architecture, parameters: dict[str, Any]) -> Any:
    network = build_network(architecture, num_classes=len(parameters["classifier.bias"]))
    load_parameters(network, parameters)
    return network.set_train(False)


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_network_has_the_published_size(name: str) -> None:
    counted = complexity(network_spec(find_model(name).architecture, 1000).layers(), 224)
    assert (counted.parameters, round(counted.multiply_adds / 1e6, 2)) == PUBLISHED[name]


@pytest.mark.parametrize("name", MERGED)
def test_a_merged_network_has_the_published_size(name: str) -> None:
    table = find_model(name).architecture.merged
    counted = complexity(network_spec(table, 1000).layers(), 224)
    parameters, multiply_adds = MERGED[name]
    assert counted.parameters in (parameters, pytest.approx(parameters * 1e6, abs=501))
    assert round(counted.multiply_adds / 1e6, 2) == multiply_adds


@pytest.mark.parametrize("file", ["README.md", "README_CN.md"])
def test_the_readme_lists_every_network(file: str) -> None:
    text = (Path(__file__).resolve().parents[1] / file).read_text()
    rows = re.findall(r"^\| `(\w+)` \| ([\d.]+) M \| ([\d.]+) M \|", text, re.MULTILINE)
    counted = {
        name: complexity(network_spec(find_model(name).architecture.merged, 1000).layers(), 224)
        for name in dict.fromkeys((*PUBLISHED, *MERGED))
    }
    assert {name: (parameters, multiply_adds) for name, parameters, multiply_adds in rows} == {
        name: (f"{found.parameters / 1e6:.2f}", f"{found.multiply_adds / 1e6:.1f}")
        for name, found in counted.items()
    }


def test_every_width_of_timm_is_registered_under_its_name() -> None:
    assert {find_model(name).architecture for name in (*PUBLISHED, *MERGED)} <= {
        entry.architecture for entry in MODELS.values()
    }
    assert ghostnet.list_models("repghostnet*") == [name for name in MERGED if "rep" in name]


@pytest.mark.parametrize("name", NEW)
def test_cells_have_the_parameters_of_the_layers(name: str) -> None:
    table = tiny(name)
    for form in {table, table.merged}:
        built = {p.name: p.shape for p in build_network(form, 5).get_parameters()}
        assert built == network_spec(form, 5).parameter_shapes()


@pytest.mark.parametrize("name", BRANCHED)
@pytest.mark.parametrize("shape", [(64, 64), (49, 35)])
def test_merged_branches_give_the_same_logits(name: str, shape: tuple[int, int]) -> None:
    table = tiny(name)
    network = network_of(table, random_parameters(table, 5))
    merged = ghostnet.merge_branches(network)
    images = ms.Tensor(np.random.default_rng(2).standard_normal((2, 3, *shape)), ms.float32)
    assert_close(merged(images).asnumpy(), network(images).asnumpy(), 1e-4)
    assert merged.architecture.form == "merged"
    assert not any("branches" in p.name or "fusion" in p.name for p in merged.get_parameters())
    assert ghostnet.merge_branches(merged) is merged


@pytest.mark.parametrize("name", cases_with("torch", ["ghostnet_100", *NEW]))
def test_pytorch_has_the_same_network(name: str) -> None:
    torch = pytest.importorskip("torch", reason="needs the extra torch")
    from ghostnet.benchmark.torch_network import GhostNet

    table = tiny(name)
    images = np.random.default_rng(5).standard_normal((2, 3, 49, 35)).astype(np.float32)
    for form in {table, table.merged}:
        parameters = random_parameters(form, 5)
        twin = GhostNet(form, 5).eval()
        twin.load_parameters(parameters)
        with torch.inference_mode():
            logits = twin(torch.from_numpy(images)).numpy()
        assert_close(logits, network_of(form, parameters)(ms.Tensor(images)).asnumpy(), 1e-4)


@pytest.mark.parametrize("name", NEW)
def test_every_parameter_learns(name: str) -> None:
    table = tiny(name)
    network = build_network(table, 5).set_train()
    parameters = network.trainable_params()
    images = ms.Tensor(np.random.default_rng(3).standard_normal((4, 3, 64, 64)), ms.float32)
    labels = ms.Tensor(np.arange(4), ms.int32)
    loss = ms.nn.CrossEntropyLoss()
    step = ms.value_and_grad(lambda x, y: loss(network(x), y), None, parameters)
    _, gradients = step(images, labels)
    for parameter, gradient in zip(parameters, gradients, strict=True):
        assert np.abs(gradient.asnumpy()).max() > 0, parameter.name


def test_an_image_too_small_for_the_attention_is_named(tmp_path: Path) -> None:
    network = ghostnet.create_model("ghostnetv2_100", num_classes=5).set_train(False)
    with pytest.raises(ValueError, match="at least 33×33 pixels"):
        network(ms.ops.zeros((1, 3, 32, 64), ms.float32))
    assert network(ms.ops.zeros((1, 3, 33, 33), ms.float32)).shape == (1, 5)
    with pytest.raises(ExportError, match="at least 33 pixels"):
        export(network, tmp_path / "v2.onnx", 32)
    assert find_model("ghostnetv2_100").architecture.min_side == 33
    assert find_model("ghostnet_1x").architecture.min_side == 1


@pytest.mark.parametrize("name", NEW)
def test_a_gpu_refuses_what_its_kernels_lack(name: str) -> None:
    table = find_model(name).architecture
    for form in (table, table.merged):
        with pytest.raises(KernelError, match=r"(attention|RepGhost modules).* fused for a GPU"):
            cuda.packing.pack(form, random_parameters(form, 5))


@needs_kernels
def test_kernels_name_an_image_too_small_for_the_attention() -> None:
    network = network_of(V2, random_parameters(V2, 5))
    session, fused = kernels.Session(V2, random_parameters(V2, 5)), ghostnet.fuse(network)
    for shape in ((1, 3, 8, 64), (2, 3, 64, 8)):
        images = np.zeros(shape, np.float32)
        for call in (
            session,
            lambda x: fused(ms.Tensor(x)),
            lambda x: fused.construct(ms.Tensor(x)),
        ):
            with pytest.raises(ModelError, match="at least 9×9 pixels"):
                call(images)
    assert session(np.zeros((1, 3, 9, 9), np.float32)).shape == (1, 5)


@needs_kernels
@pytest.mark.parametrize("name", NEW)
@pytest.mark.parametrize("shape", [(49, 35), *at_night(((64, 64),), ((131, 33),))])
def test_kernels_give_the_logits_of_the_plain_graph(
    name: str, shape: tuple[int, int], kernel_settings: None
) -> None:
    table = tiny(name)
    images = np.random.default_rng(5).standard_normal((5, 3, *shape), np.float32)
    network = network_of(table, random_parameters(table, 5))
    expected = network(ms.Tensor(images)).asnumpy()
    for form in {network, ghostnet.merge_branches(network)}:
        fused = ghostnet.fuse(form)
        for instruction_set in kernels.instruction_sets():
            kernels.set_instruction_set(instruction_set)
            logits = fused(ms.Tensor(images)).asnumpy()
            assert_close(logits, expected, TOLERANCE)
            for threads in (1, 2, 3):
                kernels.set_threads(threads)
                for index, image in enumerate(images):
                    assert (fused(ms.Tensor(image[None])).asnumpy() == logits[index]).all()


def test_mindir_has_repghost_and_refuses_attention(tmp_path: Path) -> None:
    table = tiny("repghostnet_100")
    network = network_of(table, random_parameters(table, 5))
    export(network, tmp_path / "rep.mindir", 64)
    images = ms.Tensor(np.random.default_rng(4).standard_normal((1, 3, 64, 64)), ms.float32)
    loaded = ms.nn.GraphCell(ms.load(str(tmp_path / "rep.mindir")))
    assert_close(loaded(images).asnumpy(), network(images).asnumpy(), 1e-4)
    with pytest.raises(ExportError, match="export the network to ONNX"):
        export(build_network(tiny("ghostnetv2_100"), 5), tmp_path / "v2.mindir", 64)


@pytest.mark.parametrize("name", [name for name in MODELS if name != "tiny"])
def test_a_network_is_told_by_its_parameters(name: str) -> None:
    table = MODELS[name].architecture
    for form in {table, table.merged}:
        shapes = network_spec(form, 3).parameter_shapes()
        found = identify({key: np.empty(shape, np.float32) for key, shape in shapes.items()})
        assert found == form
        assert model_of(found) is MODELS[name]


def test_the_zoo_names_its_attention_as_its_code_interpolates(references: References) -> None:
    rows = json.loads((references.folder / "zoo_ghostnetv2_1x_names.json").read_text())
    rows = rows["parameters"] if isinstance(rows, dict) else rows
    shapes = {name: tuple(shape) for name, shape in rows}
    spec = network_spec(find_model("ghostnetv2_1x").architecture, 1000)
    assert spec.parameter_shapes() == shapes
    tensors = {name: np.zeros(shape, np.float32) for name, shape in shapes.items()}
    assert convert(tensors).architecture.upsampling == "bilinear"


@pytest.mark.parametrize("name", [*PUBLISHED, *(name for name in MERGED if "rep" in name)])
def test_names_and_shapes_of_timm_fit(references: References, name: str) -> None:
    rows = references.listed(name)["parameters"]
    converted = convert(
        {key: np.zeros(shape, np.float32) for key, shape, _ in rows}, keep_branches=True
    )
    assert model_of(converted.architecture) is find_model(name)
    assert len(converted.parameters) == len(rows)


@pytest.mark.parametrize("name", MERGED)
def test_names_and_shapes_of_merged_networks_fit(references: References, name: str) -> None:
    rows = references.listed(f"{name}_fused")["parameters"]
    converted = convert({key: np.zeros(shape, np.float32) for key, shape, _ in rows})
    assert converted.architecture == find_model(name).architecture.merged
    assert len(converted.parameters) == len(rows)


@pytest.mark.slow
@pytest.mark.parametrize("name", REFERENCES)
def test_cells_give_the_reference_logits(references: References, name: str) -> None:
    converted = convert(references.parameters(name), keep_branches=True)
    network = network_of(converted.architecture, converted.parameters)
    cells = [network, ghostnet.fuse(network)] if kernels.available() else [network]
    for size in SIZES:
        images = ms.Tensor(references.images(*size))
        expected = references.logits(f"{name}_reference.npz", *size)
        for cell in cells:
            assert_close(cell(images).asnumpy(), expected, TOLERANCE)


@needs_kernels
@pytest.mark.parametrize("name", REFERENCES)
def test_kernels_give_the_reference_logits(references: References, name: str) -> None:
    converted = convert(references.parameters(name), keep_branches=True)
    session = kernels.Session(converted.architecture, converted.parameters)
    for size in SIZES:
        expected = references.logits(f"{name}_reference.npz", *size)
        assert_close(session(references.images(*size)), expected, TOLERANCE)


@needs_kernels
@pytest.mark.parametrize("name", REFERENCES)
def test_features_are_those_that_the_classifier_reads(references: References, name: str) -> None:
    converted = convert(references.parameters(name))
    session = kernels.Session(converted.architecture, converted.parameters, features=True)
    expected = np.load(references.folder / f"{name}_reference.npz")["pre_logits"]
    assert_close(session(references.images(224, 224)), expected, TOLERANCE)


@needs_kernels
def test_kernels_interpolate_the_gates_of_the_zoo(references: References) -> None:
    tensors = convert(references.parameters("ghostnetv2_100")).parameters
    zoo = {name.replace(".gates.", ".short_conv."): array for name, array in tensors.items()}
    session = kernels.Session(find_model("ghostnetv2_1x").architecture, zoo)
    expected = references.logits("ghostnetv2_100_zoo_logits.npz", 224, 224)
    assert_close(session(references.images(224, 224)), expected, TOLERANCE)


@pytest.mark.slow
def test_the_zoo_interpolates_its_gates(references: References, tmp_path: Path) -> None:
    ort = pytest.importorskip("onnxruntime", reason="needs the extra export")
    tensors = convert(references.parameters("ghostnetv2_100")).parameters
    zoo = {name.replace(".gates.", ".short_conv."): array for name, array in tensors.items()}
    write_checkpoint(zoo, tmp_path / "ghostnetv2_1x.ckpt")
    with pytest.warns(UserWarning, match="the gates of its attention are interpolated"):
        model = ghostnet.open_model(tmp_path / "ghostnetv2_1x.ckpt")
    images = references.images(224, 224)
    expected = references.logits("ghostnetv2_100_zoo_logits.npz", 224, 224)
    assert_close(model.network(ms.Tensor(images)).asnumpy(), expected, TOLERANCE)
    session = ort.InferenceSession(export(model, tmp_path / "zoo.onnx"))
    (logits,) = session.run(None, {"pictures": images})
    assert_close(logits, expected, TOLERANCE)


@pytest.mark.parametrize("name", ["ghostnetv3_100", "repghostnet_100"])
def test_merging_gives_the_reference_parameters(references: References, name: str) -> None:
    merged = convert(references.parameters(name)).parameters
    rows = references.listed(f"{name}_fused")["parameters"]
    numbered = {key: np.full(shape, i, np.float32) for i, (key, shape, _) in enumerate(rows)}
    released = {int(array.flat[0]): key for key, array in convert(numbered).parameters.items()}
    content = np.load(references.folder / f"{name}_fused_reference.npz")
    sums = dict(zip(content["fused_names"], content["fused_sums"], strict=True))
    for index, (key, *_) in enumerate(rows):
        array = merged[released[index]].astype(np.float64).ravel()
        found = (array.sum(), np.abs(array).sum(), array[0], array[-1])
        assert_allclose(found, sums[key], rtol=1e-4, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("name", REFERENCES)
def test_onnx_runtime_gives_the_reference_logits(
    references: References, name: str, tmp_path: Path
) -> None:
    ort = pytest.importorskip("onnxruntime", reason="needs the extra export")
    save_file(references.parameters(name), tmp_path / "source.safetensors")
    model = ghostnet.open_model(tmp_path / "source.safetensors")
    session = ort.InferenceSession(export(model, tmp_path / "model.onnx", any_size=True))
    for size in SIZES:
        (logits,) = session.run(None, {"pictures": references.images(*size)})
        assert_close(logits, references.logits(f"{name}_reference.npz", *size), TOLERANCE)


@pytest.mark.parametrize("name", cases_with("onnxruntime", ["ghostnet_100", *NEW]))
def test_an_exported_network_takes_images_of_any_size(name: str, tmp_path: Path) -> None:
    ort = pytest.importorskip("onnxruntime", reason="needs the extra export")
    table = tiny(name)
    network = network_of(table, random_parameters(table, 5))
    session = ort.InferenceSession(export(network, tmp_path / "any.onnx", any_size=True))
    for shape in ((64, 64), (50, 37)):
        images = np.random.default_rng(6).standard_normal((2, 3, *shape)).astype(np.float32)
        (logits,) = session.run(None, {"pictures": images})
        assert_close(logits, network(ms.Tensor(images)).asnumpy(), 1e-4)
    with pytest.raises(ExportError, match="images of one size"):
        export(network, tmp_path / "any.mindir", any_size=True)
