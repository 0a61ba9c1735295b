"""The engines that `ghostnet benchmark` compares: each makes a job into a call on arrays.

An engine imports what it runs on and nothing else that is large, since its process is measured.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ghostnet import runtime
from ghostnet.errors import GhostNetError
from ghostnet.export.runtimes import in_onnxruntime, in_openvino
from ghostnet.hub import open_model
from ghostnet.kernels.cpu.library import Dtype
from ghostnet.model import Model
from ghostnet.model.forward import Forward
from ghostnet.models.registry import model_of
from ghostnet.packages import needs

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Job:
    """The task of an engine; `ghostnet.benchmark.preparation` writes its files.

    Attributes:
        model: UID, card or checkpoint.
        cache_dir: Root of the cache that has the model's checkpoint, or None for the default.
        folder: Folder of its files.
        batch: Images per call.
        threads: Threads that work on one call.
        dtype: Type that the engines of `WITH_BFLOAT16` compute in.
    """

    model: str
    cache_dir: Path | None
    folder: Path
    batch: int
    threads: int
    dtype: Dtype = "float32"

    @property
    def onnx(self) -> Path:
        """The model as ONNX."""
        return self.folder / "model.onnx"

    @property
    def torch(self) -> Path:
        """The model as a pickled PyTorch module, if an engine needs it."""
        return self.folder / "model.pt"

    @property
    def mnn(self) -> Path:
        """The model in MNN's format."""
        return self.folder / "model.mnn"

    @property
    def ncnn(self) -> tuple[Path, Path]:
        """The model in ncnn's format: its layers and its weights."""
        return self.folder / "model.ncnn.param", self.folder / "model.ncnn.bin"

    @property
    def tflite(self) -> Path:
        """The model in LiteRT's format."""
        return self.folder / "model.tflite"

    @property
    def images(self) -> Path:
        """One batch, (batch, 3, height, width) float32, in NumPy's format."""
        return self.folder / "images.npy"

    @property
    def logits(self) -> Path:
        """The logits of the plain network, (batch, num_classes) float32, in NumPy's format."""
        return self.folder / "logits.npy"


def open_on_cpu(job: Job) -> Model:
    """Open the model of a job, with the device and the threads of the job."""
    os.environ["OMP_NUM_THREADS"] = str(job.threads)
    runtime.hush()
    runtime.configure(runtime.Device.CPU)
    return open_model(job.model, cache_dir=job.cache_dir)


def open_in_mindspore(job: Job) -> Model:
    """Open the model of a job in a process that runs MindSpore."""
    model = open_on_cpu(job)
    runtime.start_mindspore()
    import mindspore as ms

    ms.set_context(runtime_num_threads=job.threads)
    return model


def on_arrays(network: Any) -> Forward:
    """Call a cell of MindSpore on arrays."""
    import mindspore as ms

    return lambda images: network(ms.Tensor.from_numpy(images)).asnumpy()


def ghostnet_session(model: Model, dtype: Dtype = "float32") -> Forward:
    """Open a model in the fused kernels."""
    from ghostnet import kernels

    return kernels.Session(model.architecture, model.parameters, dtype=dtype)


def ghostnet(job: Job) -> Forward:
    """This package's fused kernels, without MindSpore."""
    return ghostnet_session(open_on_cpu(job), job.dtype)


def mindspore_fused(job: Job) -> Forward:
    """MindSpore with this package's fused kernels."""
    return on_arrays(_fused(job))


def mindspore_fused_graph(job: Job) -> Forward:
    """The same as a graph that MindSpore runs, as inside another cell."""
    return on_arrays(_fused(job).construct)


def _fused(job: Job) -> Any:
    model = open_in_mindspore(job)
    from ghostnet import kernels

    return kernels.fuse(model.network, dtype=job.dtype)


def mindspore(job: Job) -> Forward:
    """MindSpore in graph mode with its own operators."""
    return on_arrays(open_in_mindspore(job).network)


def mindcv(job: Job) -> Forward:
    """MindCV's GhostNet in graph mode, with its own weights and logits."""
    model = open_in_mindspore(job)
    entry = model_of(model.architecture)
    if entry is None or entry.mindcv_name is None:
        raise GhostNetError(f"{job.model}: MindCV does not have this network; leave the engine out")
    with needs("mindcv", extra="bench"):
        from mindcv.models import create_model
    other = create_model(entry.mindcv_name, num_classes=model.num_classes)
    return on_arrays(other.set_train(False))


def torch(job: Job, compiled: bool = False) -> Forward:
    """PyTorch, eager or with torch.compile; in bfloat16 by its autocast."""
    with needs("torch", extra="torch"):
        import torch
    torch.set_num_threads(job.threads)
    network = torch.load(job.torch, weights_only=False)
    if compiled:
        network = torch.compile(network)

    def call(images: "NDArray[Any]") -> "NDArray[Any]":
        shortened = torch.autocast("cpu", torch.bfloat16, enabled=job.dtype == "bfloat16")
        with torch.inference_mode(), shortened:
            logits: NDArray[Any] = network(torch.from_numpy(images)).float().numpy()
            return logits

    return call


def torch_compile(job: Job) -> Forward:
    """PyTorch with torch.compile."""
    return torch(job, compiled=True)


def onnxruntime(job: Job) -> Forward:
    """ONNX Runtime on the exported model."""
    return in_onnxruntime(job.onnx.read_bytes(), job.threads)


def openvino(job: Job) -> Forward:
    """OpenVINO on the exported model."""
    precision = "bf16" if job.dtype == "bfloat16" else "f32"
    return in_openvino(job.onnx.read_bytes(), job.threads, precision)


def mnn(job: Job) -> Forward:
    """MNN on the exported model, in float32."""
    with needs("MNN", extra="bench"):
        import MNN.expr as expr
        import MNN.nn as nn
    settings = {"backend": "CPU", "precision": "high", "numThread": job.threads}
    manager = nn.create_runtime_manager((settings,))
    network = nn.load_module_from_file(str(job.mnn), [], [], runtime_manager=manager)

    def call(images: "NDArray[Any]") -> "NDArray[Any]":
        import numpy as np

        given = expr.const(images, list(images.shape), expr.NCHW, expr.float)
        (logits,) = network.forward([expr.convert(given, expr.NC4HW4)])
        return np.array(expr.convert(logits, expr.NCHW).read())

    return call


def ncnn(job: Job) -> Forward:
    """Run the exported model in ncnn, which takes one image at a time, in float32."""
    with needs("ncnn", extra="bench"):
        import ncnn
    network = ncnn.Net()
    network.opt.num_threads = job.threads
    for option in ("fp16_packed", "fp16_storage", "fp16_arithmetic", "bf16_storage"):
        setattr(network.opt, f"use_{option}", False)
    layers, weights = map(str, job.ncnn)
    network.load_param(layers)
    network.load_model(weights)

    def call(images: "NDArray[Any]") -> "NDArray[Any]":
        import numpy as np

        logits = []
        for image in images:
            with network.create_extractor() as extractor:
                extractor.input("in0", ncnn.Mat(image))
                logits.append(np.array(extractor.extract("out0")[1]))
        return np.stack(logits)

    return call


def litert(job: Job) -> Forward:
    """LiteRT with XNNPACK on the converted PyTorch model."""
    with needs("ai_edge_litert", extra="bench"):
        from ai_edge_litert.interpreter import Interpreter
    interpreter = Interpreter(str(job.tflite), num_threads=job.threads)
    interpreter.allocate_tensors()
    (given,), (logits,) = interpreter.get_input_details(), interpreter.get_output_details()

    def call(images: "NDArray[Any]") -> Any:
        interpreter.set_tensor(given["index"], images)
        interpreter.invoke()
        return interpreter.get_tensor(logits["index"])

    return call


ENGINES: dict[str, Callable[[Job], Forward]] = {
    "ghostnet": ghostnet,
    "mindspore-fused": mindspore_fused,
    "mindspore-fused-graph": mindspore_fused_graph,
    "mindspore": mindspore,
    "mindcv": mindcv,
    "torch": torch,
    "torch-compile": torch_compile,
    "onnxruntime": onnxruntime,
    "openvino": openvino,
    "mnn": mnn,
    "ncnn": ncnn,
    "litert": litert,
}

OWN_WEIGHTS = frozenset(ENGINES) - {"mindcv"}
"""Engines that run the model's weights, and must therefore return its logits."""

WITH_BFLOAT16 = (
    "ghostnet",
    "mindspore-fused",
    "mindspore-fused-graph",
    "torch",
    "torch-compile",
    "openvino",
)
"""Engines that can be told to compute in bfloat16."""
