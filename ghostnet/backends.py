"""Exported networks in the runtimes that people deploy, behind the same call as the network."""

from collections.abc import Callable
from enum import Enum
from typing import TYPE_CHECKING, Any

from ghostnet.extras import needs

if TYPE_CHECKING:
    import mindspore as ms
    from numpy.typing import NDArray

    from ghostnet.hub.loader import Model

    ArrayCall = Callable[[NDArray[Any]], NDArray[Any]]
    """Pictures to logits, as arrays."""


class Backend(str, Enum):
    """What runs a network."""

    MINDSPORE = "mindspore"
    ONNXRUNTIME = "onnxruntime"
    OPENVINO = "openvino"


def in_onnxruntime(model: bytes, threads: int = 0) -> "ArrayCall":
    """An ONNX model of this package in ONNX Runtime, on the CPU.

    Args:
        model: the bytes of the file.
        threads: that work on one call; 0 leaves it to the runtime.
    """
    with needs("onnxruntime", extra="export"):
        import onnxruntime
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(model, options, ["CPUExecutionProvider"])
    (picture,) = session.get_inputs()
    return lambda pictures: session.run(None, {picture.name: pictures})[0]


def in_openvino(model: bytes, threads: int = 0) -> "ArrayCall":
    """An ONNX model of this package in OpenVINO, in float32 on the CPU; as `in_onnxruntime`."""
    with needs("openvino", extra="export"):
        import openvino
    settings: dict[str, Any] = {
        "INFERENCE_PRECISION_HINT": "f32",  # bfloat16, the default on some CPUs, is off by 1e-2
        "PERFORMANCE_HINT": "LATENCY",
    }
    if threads:
        settings["INFERENCE_NUM_THREADS"] = threads
    core = openvino.Core()
    compiled = core.compile_model(core.read_model(model), "CPU", settings)
    request = compiled.create_infer_request()
    return lambda pictures: request.infer({0: pictures}, share_inputs=True)[0].copy()


RUNTIMES: "dict[Backend, Callable[[bytes, int], ArrayCall]]" = {
    Backend.ONNXRUNTIME: in_onnxruntime,
    Backend.OPENVINO: in_openvino,
}


def deploy(model: "Model", backend: Backend) -> "Callable[[ms.Tensor], ms.Tensor]":
    """The model's network, exported and run by another backend than MindSpore.

    Raises:
        PackageError: the backend is not installed.
    """
    from ghostnet.export import Format, serialised
    from ghostnet.export.metadata import Metadata

    metadata = Metadata(model.labels, model.preprocess.image_size)
    return as_network(RUNTIMES[backend](serialised(model.network, Format.ONNX, metadata), 0))


def as_network(call: "ArrayCall") -> "Callable[[ms.Tensor], ms.Tensor]":
    """A call on arrays as one on tensors."""
    import mindspore as ms

    return lambda pictures: ms.Tensor(call(pictures.asnumpy()))
