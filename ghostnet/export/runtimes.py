"""Exported networks in the runtimes that people deploy."""

from collections.abc import Callable
from typing import Any

from ghostnet.export.exporter import serialized
from ghostnet.export.formats import Backend, Format
from ghostnet.model import Model
from ghostnet.model.forward import Forward
from ghostnet.packages import needs


def in_onnxruntime(model: bytes, threads: int = 0) -> Forward:
    """Open an ONNX model of this package in ONNX Runtime, on the CPU.

    Args:
        model: Content of the file.
        threads: Threads that work on one call; 0 leaves the number to the runtime.

    Raises:
        PackageError: ONNX Runtime is not installed.
    """
    with needs("onnxruntime", extra="export"):
        import onnxruntime
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(model, options, ["CPUExecutionProvider"])
    (image,) = session.get_inputs()
    return lambda images: session.run(None, {image.name: images})[0]


def in_openvino(model: bytes, threads: int = 0, precision: str = "f32") -> Forward:
    """Open an ONNX model of this package in OpenVINO, on the CPU.

    Args:
        model: Content of the file.
        threads: Threads that work on one call; 0 leaves the number to the runtime.
        precision: OpenVINO's name of the type that it computes in.

    Raises:
        PackageError: OpenVINO is not installed.
    """
    with needs("openvino", extra="export"):
        import openvino
    settings: dict[str, Any] = {
        "INFERENCE_PRECISION_HINT": precision,  # bf16, the default on some CPUs, is off by 1e-2
        "PERFORMANCE_HINT": "LATENCY",
    }
    if threads:
        settings["INFERENCE_NUM_THREADS"] = threads
    core = openvino.Core()
    compiled = core.compile_model(core.read_model(model), "CPU", settings)
    request = compiled.create_infer_request()
    return lambda images: request.infer({0: images}, share_inputs=True)[0].copy()


RUNTIMES: dict[Backend, Callable[[bytes, int], Forward]] = {
    Backend.ONNXRUNTIME: in_onnxruntime,
    Backend.OPENVINO: in_openvino,
}


def deploy(model: Model, backend: Backend) -> Forward:
    """Export the network of a model and open it in another runtime.

    Raises:
        PackageError: The runtime is not installed.
    """
    return RUNTIMES[backend](serialized(model, Format.ONNX), 0)
