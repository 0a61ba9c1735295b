"""Exported files in every runtime that reads ONNX: each answers what this package answers."""

import json
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import mindspore as ms
import numpy as np
import pytest
from bundled_models import BREEDS
from family import KINDS
from numpy.typing import NDArray
from random_parameters import random_parameters

from ghostnet.checkpoints import load_parameters
from ghostnet.data.transforms import Preprocess, decode
from ghostnet.export import Format, serialized
from ghostnet.hub import open_model
from ghostnet.kernels import Session
from ghostnet.model import Model
from ghostnet.models import MODELS, build_network

pytest.importorskip("onnx", reason="needs the extra export")
pytest.importorskip("onnxruntime", reason="needs the extra export")

from ghostnet.export.int8 import CropOnly, quantize
from ghostnet.export.runtimes import in_onnxruntime, in_openvino

REPOSITORY = Path(__file__).resolve().parents[1]
NODE_PROGRAM = Path(__file__).with_name("onnxruntime_web.mjs")
WEB_RUNTIME = REPOSITORY / "website/node_modules/onnxruntime-web/dist/ort.node.min.mjs"

TOLERANCES = {"float32": 1e-4, "uint8": 1e-4, "int8": 0.25}
"""Largest difference of two logits, by form; runtimes round to 8 bits in different places."""

Images = NDArray[Any]
Logits = NDArray[np.float32]
Consumer = Callable[[Path, Images], Logits]


def onnxruntime(file: Path, images: Images) -> Logits:
    return in_onnxruntime(file.read_bytes())(images)


def openvino(file: Path, images: Images) -> Logits:
    pytest.importorskip("openvino")
    return in_openvino(file.read_bytes())(images)


def reference(file: Path, images: Images) -> Logits:
    from onnx.reference import ReferenceEvaluator

    return ReferenceEvaluator(str(file)).run(None, {"pictures": images})[0]


def opencv(file: Path, images: Images, engine: str) -> Logits:
    """OpenCV 4 has one engine; 5 has a new one, and keeps that of 4."""
    cv2 = pytest.importorskip("cv2", reason="needs opencv-python-headless")
    if engine == "ENGINE_NEW" and not hasattr(cv2.dnn, engine):
        pytest.skip("needs opencv-python-headless 5 or later")
    engines = [getattr(cv2.dnn, engine)] if hasattr(cv2.dnn, engine) else []
    network = cv2.dnn.readNetFromONNX(str(file), *engines)
    logits = []
    for image in images:
        network.setInput(image[None])
        logits.append(network.forward().squeeze(0).copy())
    return np.stack(logits)


def mnn(file: Path, images: Images) -> Logits:
    pytest.importorskip("MNN")
    import _tools
    import MNN.expr as expr
    import MNN.nn as nn

    converted = str(file.with_suffix(".mnn"))
    words = ("--modelFile", str(file), "--MNNModel", converted, "--bizCode", "-")
    _tools.mnnconvert(["mnnconvert", "-f", "ONNX", *words])
    manager = nn.create_runtime_manager(({"backend": "CPU", "precision": "high"},))
    network = nn.load_module_from_file(converted, [], [], runtime_manager=manager)
    kind = expr.uint8 if images.dtype == np.uint8 else expr.float
    (logits,) = network.forward([expr.const(images, list(images.shape), expr.NCHW, kind)])
    return np.array(expr.convert(logits, expr.NCHW).read())


def ncnn(file: Path, images: Images) -> Logits:
    library = pytest.importorskip("ncnn")
    pnnx = pytest.importorskip("pnnx")
    shape = ",".join(map(str, images[:1].shape))
    settings = ("fp16=0", "ncnnparam=a.param", "ncnnbin=a.bin")
    command = [pnnx.EXEC_PATH, file, f"inputshape=[{shape}]", *settings]
    subprocess.run(command, check=True, cwd=file.parent, capture_output=True)
    network = library.Net()
    for option in ("fp16_packed", "fp16_storage", "fp16_arithmetic", "bf16_storage"):
        setattr(network.opt, f"use_{option}", False)
    network.load_param(str(file.parent / "a.param"))
    network.load_model(str(file.parent / "a.bin"))
    logits = []
    for image in images:
        with network.create_extractor() as extractor:
            extractor.input("in0", library.Mat(image))
            logits.append(np.array(extractor.extract("out0")[1]))
    return np.stack(logits)


def litert(file: Path, images: Images) -> Logits:
    runtime = pytest.importorskip("ai_edge_litert.interpreter", reason="needs ai-edge-litert")
    converter = shutil.which("onnx2tf")
    if converter is None:
        pytest.skip("needs onnx2tf on the path; an environment of its own may hold it")
    words = ("--input_onnx_file_path", file, "--output_folder_path", file.parent)
    shape = ",".join(map(str, images[:1].shape))
    words = (*words, "--overwrite_input_shape", f"pictures:{shape}")
    # Sample images, which the converter would download if it did not find them in its folder.
    samples = np.random.default_rng(0).random((20, 128, 128, 3), np.float32)
    np.save(file.parent / "calibration_image_sample_data_20x128x128x3_float32.npy", samples)
    subprocess.run([converter, *words], check=True, cwd=file.parent, capture_output=True)
    interpreter = runtime.Interpreter(str(file.parent / f"{file.stem}_float32.tflite"))
    interpreter.allocate_tensors()
    (given,), (answer,) = interpreter.get_input_details(), interpreter.get_output_details()
    logits = []
    for image in images.transpose(0, 2, 3, 1):  # onnx2tf moves the second axis to the end
        interpreter.set_tensor(given["index"], image[None])
        interpreter.invoke()
        logits.append(interpreter.get_tensor(answer["index"])[0])
    return np.stack(logits)


def onnxruntime_web(file: Path, images: Images) -> Logits:
    node = shutil.which("node")
    if node is None or not WEB_RUNTIME.is_file():
        pytest.skip("needs node and onnxruntime-web: npm ci --prefix website")
    pixels = file.with_suffix(".bin")
    pixels.write_bytes(images.tobytes())
    shape = ",".join(map(str, images.shape))
    command = [node, NODE_PROGRAM, WEB_RUNTIME, file, pixels, shape, str(images.dtype)]
    answer = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    return np.array(answer, np.float32).reshape(len(images), -1)


CONSUMERS: dict[str, tuple[Consumer, tuple[str, ...]]] = {
    "onnxruntime": (onnxruntime, ("float32", "uint8", "int8")),
    "onnxruntime-web": (onnxruntime_web, ("float32", "uint8", "int8")),
    "openvino": (openvino, ("float32", "uint8", "int8")),
    "opencv-4": (partial(opencv, engine="ENGINE_CLASSIC"), ("float32", "uint8", "int8")),
    "opencv-5": (partial(opencv, engine="ENGINE_NEW"), ("float32", "uint8")),
    "mnn": (mnn, ("float32", "uint8")),
    "ncnn": (ncnn, ("float32",)),
    "litert": (litert, ("float32", "uint8")),
    "reference": (reference, ("float32", "uint8")),
}
"""Every runtime with the forms that it reads; docs/export.md says what becomes of the others."""


@dataclass(frozen=True)
class Exported:
    """A file, images as it takes them, and the logits that this package gives for them."""

    content: bytes
    images: Images
    logits: Logits


def photographs(preprocess: Preprocess) -> Images:
    files = sorted((REPOSITORY / "assets/images").glob("*.jpg"))
    return np.stack([preprocess(decode(file)) for file in files])


@pytest.fixture(scope="module")
def breeds() -> dict[str, Exported]:
    """The bundled model in each form."""
    model = open_model(BREEDS)
    images = photographs(model.preprocess)
    logits = Session(model.architecture, model.parameters)(images)
    pixels = photographs(CropOnly(model.preprocess.image_size))
    content = serialized(model, Format.ONNX)
    quantized = quantize(content, (image[None] for image in images))
    return {
        "float32": Exported(content, images, logits),
        "uint8": Exported(serialized(model, Format.ONNX, with_preprocessing=True), pixels, logits),
        "int8": Exported(quantized, images, in_onnxruntime(quantized)(images)),
    }


def check(name: str, form: str, exported: Exported, folder: Path) -> None:
    file = folder / "exported.onnx"
    file.write_bytes(exported.content)
    consumer, _ = CONSUMERS[name]
    found = consumer(file, exported.images)
    np.testing.assert_allclose(found, exported.logits, rtol=0, atol=TOLERANCES[form])
    np.testing.assert_array_equal(found.argmax(1), exported.logits.argmax(1))


@pytest.mark.parametrize(
    ("name", "form"),
    [(name, form) for name, (_, forms) in CONSUMERS.items() for form in forms],
)
def test_the_bundled_model_in_every_form(
    name: str, form: str, breeds: dict[str, Exported], tmp_path: Path
) -> None:
    check(name, form, breeds[form], tmp_path)


@pytest.mark.parametrize(
    ("name", "network"),
    [pair for pair in product(CONSUMERS, KINDS) if pair != ("opencv-5", "ghostnetv2_1x")],
)
def test_every_kind_of_network(name: str, network: str, tmp_path: Path) -> None:
    architecture = MODELS[network].architecture
    parameters = random_parameters(architecture, 7)
    model = Model(network, architecture, parameters, (), Preprocess(64))
    images = np.random.default_rng(0).standard_normal((2, 3, 64, 64), np.float32)
    plain = build_network(architecture, 7).set_train(False)
    load_parameters(plain, parameters)
    logits = plain(ms.Tensor(images)).asnumpy()
    check(name, "float32", Exported(serialized(model, Format.ONNX), images, logits), tmp_path)
