"""Exported files answer as the network does, in the runtimes that take them."""

import json
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path

import mindspore as ms
import numpy as np
import pytest
from bundled_models import FLOWER_LABELS, FLOWERS
from command_line import Ghostnet
from family import KINDS
from mindspore import nn
from mindspore.train.mind_ir_pb2 import ModelProto
from PIL import Image
from toy_images import draw

from ghostnet import (
    ExportError,
    GhostNet,
    PackageError,
    create_model,
    fuse,
    ghostnet_1x,
    ghostnet_600m,
    ghostnet_nose_1x,
    mobilenet_v2_1x,
)
from ghostnet.data.image_folder import read_folder
from ghostnet.data.transforms import Preprocess, decode
from ghostnet.export import Format, export
from ghostnet.export.runtimes import in_onnxruntime, in_openvino
from ghostnet.hub import open_model
from ghostnet.hub.catalog import assets_folder
from ghostnet.kernels import fuse_if_possible
from ghostnet.model import Model

onnx = pytest.importorskip("onnx", reason="needs the extra export")
pytest.importorskip("onnxruntime", reason="needs the extra export")
pytest.importorskip("openvino", reason="needs the extra export")

VARIANTS = {ghostnet_1x: 224, ghostnet_nose_1x: 224, ghostnet_600m: 240, mobilenet_v2_1x: 224}


def in_mindir(model: bytes, path: Path):
    """A MindIR file as a call on arrays."""
    path.write_bytes(model)
    cell = nn.GraphCell(ms.load(str(path)))
    return lambda images: cell(ms.Tensor(images)).asnumpy()


def lively(network: GhostNet) -> GhostNet:
    """The network with batch norms that do something, in inference state."""
    rng = np.random.default_rng(7)
    for parameter in network.get_parameters():
        if parameter.name.endswith(("moving_variance", "gamma")):
            parameter.set_data(ms.Tensor(rng.uniform(0.7, 1.4, parameter.shape), ms.float32))
        elif parameter.name.endswith(("moving_mean", "beta")):
            parameter.set_data(ms.Tensor(rng.normal(0, 0.1, parameter.shape), ms.float32))
    return network.set_train(False)


@pytest.fixture(scope="module")
def flowers() -> Model:
    return open_model(FLOWERS)


@pytest.fixture(scope="module")
def photographs(shared: Path) -> np.ndarray:
    """The 370 held-out photographs of flowers as the network takes them."""
    files = [file for file, _ in read_folder(shared / "data/flowers/val").files]
    with ThreadPoolExecutor() as executor:
        return np.stack(list(executor.map(lambda file: Preprocess()(decode(file)), files)))


@pytest.mark.parametrize("build", VARIANTS)
def test_every_variant_answers_alike_in_every_runtime(build, tmp_path: Path) -> None:
    size = VARIANTS[build]
    network = lively(build(5))
    images = np.random.default_rng(1).normal(size=(2, 3, size, size)).astype(np.float32)
    expected = network(ms.Tensor(images)).asnumpy()
    onnx_file = export(network, tmp_path / "a.onnx", size).read_bytes()
    mindir_file = export(network, tmp_path / "a.mindir", size).read_bytes()
    for call in (
        in_onnxruntime(onnx_file),
        in_openvino(onnx_file),
        in_mindir(mindir_file, tmp_path / "b.mindir"),
    ):
        np.testing.assert_allclose(call(images), expected, atol=1e-4)
        np.testing.assert_allclose(call(images[:1]), expected[:1], atol=1e-4)
    again = network(ms.Tensor(images)).asnumpy()
    np.testing.assert_array_equal(again, expected, "the network itself was changed")


def test_flowers_get_the_same_logits_and_labels(
    flowers: Model, photographs: np.ndarray, tmp_path: Path
) -> None:
    network = fuse_if_possible(flowers.network)
    expected = np.concatenate([network(ms.Tensor(p[None])).asnumpy() for p in photographs])
    few = photographs[::24]
    plain = flowers.network(ms.Tensor(few)).asnumpy()
    np.testing.assert_allclose(plain, expected[::24], atol=1e-4)

    onnx_file = export(flowers.network, tmp_path / "a.onnx").read_bytes()
    for call in (in_onnxruntime(onnx_file), in_openvino(onnx_file)):
        logits = np.concatenate([call(batch) for batch in np.split(photographs, 37)])
        np.testing.assert_allclose(logits, expected, atol=1e-4)
        np.testing.assert_array_equal(logits.argmax(1), expected.argmax(1))

    mindir_file = export(flowers.network, tmp_path / "a.mindir").read_bytes()
    logits = in_mindir(mindir_file, tmp_path / "b.mindir")(few)
    np.testing.assert_allclose(logits, plain, atol=1e-4)
    np.testing.assert_array_equal(logits.argmax(1), plain.argmax(1))


def test_the_onnx_file_says_what_it_is(flowers: Model, tmp_path: Path) -> None:
    export(flowers.network, tmp_path / "a.onnx", 192, labels=flowers.labels)
    model = onnx.load(tmp_path / "a.onnx")
    assert [(s.domain, s.version) for s in model.opset_import] == [("", 13)]
    (images,), (logits,) = model.graph.input, model.graph.output
    assert (images.name, logits.name) == ("pictures", "logits")
    sides = [side.dim_param or side.dim_value for side in images.type.tensor_type.shape.dim]
    assert sides == ["batch", 3, 192, 192]
    properties = {entry.key: json.loads(entry.value) for entry in model.metadata_props}
    assert properties["labels"] == list(FLOWER_LABELS)
    assert properties["preprocessing"] == {
        "colors": "RGB",
        "resize": 219,
        "interpolation": "bicubic",
        "crop": 192,
        "divide_by": 255,
        "mean": [0.485, 0.456, 0.406],
        "std": [0.229, 0.224, 0.225],
        "normalized_in_graph": False,
    }


@pytest.mark.parametrize("network", KINDS)
def test_an_onnx_graph_is_plain(network: str, tmp_path: Path) -> None:
    export(create_model(network, num_classes=3), tmp_path / "a.onnx", with_preprocessing=True)
    graph = onnx.load(tmp_path / "a.onnx").graph
    operators = {node.op_type for node in graph.node}
    assert operators <= {
        *("Add", "Cast", "Clip", "Concat", "Conv", "Flatten", "Gemm", "GlobalAveragePool"),
        *("Mul", "Relu", "Transpose"),
        *("AveragePool", "Resize", "Shape", "Sigmoid"),  # attention
    }
    shapes = {constant.name: tuple(constant.dims) for constant in graph.initializer}
    for node in graph.node:
        if node.op_type == "Clip":
            assert [shapes[bound] for bound in node.input[1:]] == [(), ()]
    assert [value.name for value in graph.input] == ["pictures"]
    made = [name for node in graph.node for name in node.output]
    assert len({*made, *shapes, "pictures"}) == len(made) + len(shapes) + 1


def test_mindir_keeps_the_metadata_too(tmp_path: Path) -> None:
    export(ghostnet_nose_1x(2), tmp_path / "a.mindir", 64, labels=("one", "two"))
    properties = ModelProto.FromString((tmp_path / "a.mindir").read_bytes()).user_info
    assert json.loads(properties["labels"]) == ["one", "two"]


def test_a_fixed_batch_is_fixed(tmp_path: Path) -> None:
    network = lively(ghostnet_nose_1x(2))
    call = in_onnxruntime(export(network, tmp_path / "a.onnx", 64, batch=3).read_bytes())
    assert call(np.zeros((3, 3, 64, 64), np.float32)).shape == (3, 2)
    with pytest.raises(Exception, match="Got: 1 Expected: 3"):
        call(np.zeros((1, 3, 64, 64), np.float32))


def test_a_graph_with_preprocessing_takes_cropped_images(flowers: Model, tmp_path: Path) -> None:
    pixels = np.random.default_rng(3).integers(0, 256, (2, 224, 224, 3), np.uint8)
    arrays = [flowers.preprocess(decode_exactly(image, tmp_path)) for image in pixels]
    cropped = np.stack([decode_and_crop(image, tmp_path) for image in pixels])
    expected = flowers.network(ms.Tensor(np.stack(arrays))).asnumpy()
    options = {"with_preprocessing": True}
    onnx_file = export(flowers.network, tmp_path / "a.onnx", **options).read_bytes()
    mindir_file = export(flowers.network, tmp_path / "a.mindir", **options).read_bytes()
    for call in (
        in_onnxruntime(onnx_file),
        in_openvino(onnx_file),
        in_mindir(mindir_file, tmp_path / "b.mindir"),
    ):
        np.testing.assert_allclose(call(cropped), expected, atol=1e-4)


def decode_exactly(pixels: np.ndarray, folder: Path) -> Image.Image:
    Image.fromarray(pixels).save(folder / "image.png")
    return decode(folder / "image.png")


def decode_and_crop(pixels: np.ndarray, folder: Path) -> np.ndarray:
    return np.asarray(Preprocess().crop(decode_exactly(pixels, folder)))


def test_an_existing_file_stays_unless_forced(tmp_path: Path) -> None:
    network = ghostnet_nose_1x(2)
    (tmp_path / "a.onnx").write_text("precious")
    with pytest.raises(ExportError, match="already exists; pass --force"):
        export(network, tmp_path / "a.onnx")
    assert (tmp_path / "a.onnx").read_text() == "precious"
    export(network, tmp_path / "a.onnx", force=True)
    assert onnx.load(tmp_path / "a.onnx").producer_name == "ghostnet"
    assert [file.name for file in tmp_path.iterdir()] == ["a.onnx"]


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({"path": "a.pb"}, "does not end in .onnx or .mindir"),
        ({"path": "a.mindir", "format": Format.ONNX}, "requested format is onnx"),
        ({"path": "a.ONNX", "format": Format.MINDIR}, "requested format is mindir"),
        ({"image_size": 31}, "must be at least 32 pixels"),
        ({"batch": 0}, "must be at least 1"),
        ({"labels": ("cat",)}, "number of labels is 1, but the network has 2 classes"),
        ({"path": "file/a.onnx"}, "cannot be written .*file is not a folder"),
        ({"path": "file/new/a.onnx"}, "cannot be written .*file is not a folder"),
        ({"path": "../folder.onnx", "force": True}, "cannot be written .*it is a folder"),
        ({"path": f"{'a' * 300}.onnx"}, "cannot be written .*File name too long"),
    ],
)
def test_what_does_not_fit_is_refused(arguments: dict, problem: str, tmp_path: Path) -> None:
    (tmp_path / "folder.onnx").mkdir()
    tmp_path = tmp_path / "new"
    tmp_path.mkdir()
    (tmp_path / "file").write_text("not a folder")
    path = tmp_path / arguments.get("path", "a.onnx")
    others = {name: value for name, value in arguments.items() if name != "path"}
    with pytest.raises(ExportError, match=problem):
        export(ghostnet_nose_1x(2), path, **others)
    assert [file.name for file in tmp_path.iterdir()] == ["file"]


def test_a_fused_network_is_refused(tmp_path: Path) -> None:
    network = ghostnet_nose_1x(2).set_train(False)
    with pytest.raises(ExportError, match="before fusing"):
        export(fuse(network), tmp_path / "a.onnx")


def replaced(network: GhostNet, name: str, cell: nn.Cell | None) -> GhostNet:
    """The network with another cell by a name."""
    owner, _, attribute = name.rpartition(".")
    setattr(dict(network.cells_and_names())[owner], attribute, cell)
    return network.set_train(False)


@pytest.mark.parametrize(
    ("name", "cell"),
    [
        ("act", nn.GELU()),
        ("bn1", nn.BatchNorm2d(16, eps=1e-3)),
        ("conv_head", nn.Conv2d(960, 1280, 1, has_bias=False)),
        ("blocks.0.ghost1.cheap_operation.act", None),
        ("classifier", nn.SequentialCell(nn.Dense(1280, 8), nn.ReLU(), nn.Dense(8, 2))),
    ],
)
@pytest.mark.parametrize("suffix", ["onnx", "mindir"])
def test_a_replaced_layer_is_named(
    name: str, cell: nn.Cell | None, suffix: str, tmp_path: Path
) -> None:
    network = replaced(ghostnet_1x(2), name, cell)
    with pytest.raises(ExportError, match=f"was changed at {name}"):
        export(network, tmp_path / f"a.{suffix}", 64)


@pytest.mark.parametrize("suffix", ["onnx", "mindir"])
@pytest.mark.parametrize("has_bias", [True, False])
@pytest.mark.parametrize(
    ("build", "chain"),
    [
        (ghostnet_1x, lambda dense: dense),
        (mobilenet_v2_1x, lambda dense: nn.SequentialCell(nn.Dropout(p=0.2), dense)),
    ],
)
def test_a_classifier_set_by_hand_is_exported(
    build, chain, has_bias: bool, suffix: str, tmp_path: Path
) -> None:
    network = lively(build(2))
    network.dropout = nn.Identity()
    dense = nn.Dense(1280, 10, has_bias=has_bias)
    network.classifier = chain(dense)
    file = export(network.set_train(False), tmp_path / f"a.{suffix}", 64)
    images = np.random.default_rng(1).normal(size=(2, 3, 64, 64)).astype(np.float32)
    content = file.read_bytes()
    call = (
        in_onnxruntime(content) if suffix == "onnx" else in_mindir(content, tmp_path / "b.mindir")
    )
    np.testing.assert_allclose(call(images), network(ms.Tensor(images)).asnumpy(), atol=1e-4)


def test_the_command_exports_and_says_what_it_wrote(ghostnet: Ghostnet, tmp_path: Path) -> None:
    words = ("export", tmp_path / "a.onnx", "--model", FLOWERS)
    answer = ghostnet.json(*words, "--batch", 1, "--image-size", 160)
    assert answer["bytes"] == (tmp_path / "a.onnx").stat().st_size
    images = onnx.load(tmp_path / "a.onnx").graph.input[0].type.tensor_type.shape.dim
    assert [side.dim_value for side in images] == [1, 3, 160, 160]
    ghostnet(*words, status=1)
    assert "--force" in ghostnet.err
    assert "a.onnx" in ghostnet(*words, "--force")
    ghostnet("export", tmp_path / "b.onnx", "--batch", "many", status=2)


@pytest.mark.parametrize(
    ("words", "advice"),
    [
        (("b.onnx", "--int8"), "--int8 and --calibrate DIR go together"),
        (("b.onnx", "--calibrate", "images"), "--int8 and --calibrate DIR go together"),
        (("b.onnx", "--data", "images"), "--data DIR is only for --int8"),
        (("b", "--format", "mindir", "--int8", "--calibrate", "images"), "--int8 writes only ONNX"),
        (("b.mindir", "--int8", "--calibrate", "images"), "--int8 writes only ONNX"),
        (("b.onnx", "--format", "mindir"), "the requested format is mindir"),
        (("b.pb",), "does not end in .onnx or .mindir"),
    ],
)
def test_words_that_contradict_one_another_are_refused(
    words: tuple[str, ...],
    advice: str,
    ghostnet: Ghostnet,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    ghostnet("export", *words, "--model", FLOWERS, status=2)
    assert advice in " ".join(ghostnet.err.replace("│", " ").split())
    assert not list(tmp_path.iterdir())


def test_a_folder_without_permission_is_found_before_the_work(
    ghostnet: Ghostnet, tmp_path: Path
) -> None:
    if os.geteuid() == 0:
        pytest.skip("needs a user who is not root")
    tmp_path.chmod(0o555)
    ghostnet("export", tmp_path / "a.onnx", "--model", FLOWERS, status=1)
    assert f"no permission to write in {tmp_path}" in ghostnet.err


def test_a_missing_folder_is_made(tmp_path: Path) -> None:
    export(ghostnet_nose_1x(2), tmp_path / "new/folder/a.model", format=Format.ONNX)
    assert onnx.load(tmp_path / "new/folder/a.model").producer_name == "ghostnet"


@pytest.mark.parametrize("backend", ["onnxruntime", "openvino"])
def test_predict_says_the_same_in_other_backends(ghostnet: Ghostnet, backend: str) -> None:
    words = ("predict", assets_folder() / "images", "--model", FLOWERS)
    *expected, left_out = ghostnet.json(*words)
    *found, also_left_out = ghostnet.json(*words, "--backend", backend)
    assert left_out == also_left_out
    for one, other in zip(expected, found, strict=True):
        assert one["file"] == other["file"]
        for mine, theirs in zip(one["predictions"], other["predictions"], strict=True):
            assert theirs == mine | {"probability": pytest.approx(mine["probability"], abs=1e-4)}


@pytest.mark.parametrize(
    ("package", "use"),
    [
        ("onnx", lambda: export(ghostnet_nose_1x(2), "unwritten.onnx")),
        ("onnxruntime", lambda: in_onnxruntime(b"")),
        ("openvino", lambda: in_openvino(b"")),
    ],
)
def test_a_missing_package_is_named(package: str, use, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, package, None)  # what Python does where it is not installed
    monkeypatch.delitem(sys.modules, "ghostnet.export.onnx", raising=False)
    advice = rf"the package {package}: pip install 'mindspore-ghostnet\[export\]'"
    with pytest.raises(PackageError, match=advice):
        use()


@pytest.mark.parametrize("options", [(), ("--with-preprocessing",)])
def test_int8_loses_at_most_one_point(
    ghostnet: Ghostnet, shared: Path, tmp_path: Path, options: tuple[str, ...]
) -> None:
    folders = ("--calibrate", shared / "data/flowers/train", "--data", shared / "data/flowers/val")
    words = ("export", tmp_path / "a.onnx", "--model", FLOWERS, "--int8", *folders)
    answer = ghostnet.json(*words, *options)
    assert answer["images"] == 370
    assert answer["float32_top1"] == pytest.approx(342 / 370)
    assert answer["int8_top1"] >= answer["float32_top1"] - 0.01
    assert answer["bytes"] < answer["float32_bytes"] / 3
    assert answer["weight_bits"] == 7
    assert "VNNI" in answer["measured_on"]


@pytest.mark.parametrize(("options", "bits"), [((), 7), (("--weight-bits", 8), 8)])
def test_an_int8_file_says_how_it_was_quantized(
    ghostnet: Ghostnet, tmp_path: Path, options: tuple[object, ...], bits: int
) -> None:
    images = draw(tmp_path / "images", 2, ("daisy", "roses"))
    words = ("export", tmp_path / "a.onnx", "--model", FLOWERS, "--int8")
    ghostnet(*words, "--calibrate", images, *options)
    model = onnx.load(tmp_path / "a.onnx")
    (text,) = (entry.value for entry in model.metadata_props if entry.key == "quantization")
    assert json.loads(text) == {"weight_bits": bits, "activation_bits": 8, "per_channel": True}
    largest = max(
        abs(onnx.numpy_helper.to_array(tensor).astype(int)).max()
        for tensor in model.graph.initializer
        if tensor.data_type == onnx.TensorProto.INT8
    )
    assert largest == 2 ** (bits - 1) - (bits == 8)


@pytest.mark.parametrize(("count", "used"), [(1, 1), (63, 63), (64, 64), (65, 64), (1000, 64)])
def test_calibration_images_are_spread_evenly(count: int, used: int) -> None:
    from ghostnet.export.int8 import CALIBRATION_IMAGES, spread

    files = [Path(str(index)) for index in range(count)]
    chosen = [int(file.name) for file in spread(files, CALIBRATION_IMAGES)]
    assert len(chosen) == used
    assert chosen[0] == 0
    steps = {after - before for before, after in pairwise(chosen)}
    assert steps <= {count // used, count // used + 1}


def test_broken_images_are_left_out_of_the_calibration(ghostnet: Ghostnet, tmp_path: Path) -> None:
    images = draw(tmp_path / "images", 3, ("daisy", "roses"))
    Image.new("CMYK", (40, 40), (10, 200, 0, 30)).save(images / "daisy/cmyk.jpg")
    Image.new("I;16", (40, 40), 40_000).save(images / "daisy/deep.png")
    Image.new("LA", (40, 40), (90, 0)).save(images / "daisy/clear.png")
    whole = (images / "roses/1.png").read_bytes()
    (images / "roses/1.png").write_bytes(whole[: len(whole) // 2])
    words = ("export", tmp_path / "a.onnx", "--model", FLOWERS, "--image-size", 32, "--int8")
    answer = ghostnet.json(*words, "--calibrate", images, "--batch", 4)
    assert answer["calibration_images"] == answer["images"] == 8
    (skipped,) = answer["skipped"]
    assert skipped["file"] == str(images / "roses/1.png")
    assert "truncated" in skipped["error"]
    assert str(images / "roses/1.png") in ghostnet(*words, "--calibrate", images, "--force")


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"\x89PNG\r\n\x1a\n and no more", "none of the 2 calibration images can be decoded"),
        (None, "there is no sub-folder for any class"),
    ],
)
def test_a_calibration_without_images_is_an_error(
    content: bytes | None, problem: str, ghostnet: Ghostnet, tmp_path: Path
) -> None:
    (tmp_path / "broken").mkdir()
    data = draw(tmp_path / "data", 1, ("daisy",))
    for name in ("daisy", "roses"):
        if content:
            (tmp_path / "broken" / name).mkdir()
            (tmp_path / "broken" / name / "a.png").write_bytes(content)
    words = ("export", tmp_path / "a.onnx", "--model", FLOWERS, "--int8", "--data", data)
    ghostnet(*words, "--calibrate", tmp_path / "broken", status=1)
    assert problem in ghostnet.err
    assert not (tmp_path / "a.onnx").exists()
