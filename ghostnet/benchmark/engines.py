"""The engines that `ghostnet benchmark` compares: each makes a job into a call on arrays.

An engine imports what it runs on and nothing else that is large, since its process is measured.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ghostnet import runtime
from ghostnet.errors import BenchmarkError, GhostNetError, PackageError
from ghostnet.export.runtimes import in_onnxruntime, in_openvino
from ghostnet.hub.loader import Model, open_model
from ghostnet.inference.forward import Forward
from ghostnet.models.registry import model_of
from ghostnet.packages import needs

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Job:
    """What an engine is to run.

    Attributes:
        model: UID, card or checkpoint.
        cache_dir: Root of the cache that has the model's checkpoint, or None for the default.
        folder: Folder of the files that `prepare` wrote for the engines.
        batch: Images in one call.
        threads: Threads that work on one call.
    """

    model: str
    cache_dir: Path | None
    folder: Path
    batch: int
    threads: int

    @property
    def onnx(self) -> Path:
        """The model as ONNX."""
        return self.folder / "model.onnx"

    @property
    def torch(self) -> Path:
        """The model as a pickled PyTorch module, if an engine needs it."""
        return self.folder / "model.pt"

    @property
    def images(self) -> Path:
        """One batch, (batch, 3, height, width) float32, in NumPy's format."""
        return self.folder / "images.npy"

    @property
    def logits(self) -> Path:
        """The logits of the plain network, (batch, num_classes) float32, in NumPy's format."""
        return self.folder / "logits.npy"


def prepare(job: Job, engines: tuple[str, ...]) -> dict[str, str]:
    """Write the files of a job.

    Returns:
        Advice for each engine whose file cannot be written, above all for want of a package.
    """
    import numpy as np

    model = open_on_cpu(job)
    if model.architecture.quantized:
        raise BenchmarkError(
            f"{job.model}: expected a network in floating point, found convolutions on 8 bits, "
            "which only MindSpore's own operators run here"
        )
    size = model.preprocess.image_size
    images = np.random.default_rng(0).standard_normal((job.batch, 3, size, size), np.float32)
    np.save(job.images, images)
    np.save(job.logits, _plain(model)(images))
    missing: dict[str, str] = {}
    for write, readers in {
        _write_onnx: ("onnxruntime", "openvino"),
        _write_torch: ("torch", "torch-compile"),
    }.items():
        wanted = set(readers) & set(engines)
        try:
            if wanted:
                write(job, model)
        except (BenchmarkError, PackageError) as error:
            missing |= dict.fromkeys(wanted, str(error))
    return missing


def _write_onnx(job: Job, model: Model) -> None:
    from ghostnet.export import Format, serialized

    job.onnx.write_bytes(serialized(model, Format.ONNX, job.batch))


def _write_torch(job: Job, model: Model) -> None:
    if model.architecture.family != "ghostnet":
        raise BenchmarkError(
            f"{job.model}: expected a GhostNet for PyTorch's engines, found a network that this "
            "package does not build in PyTorch; leave these engines out"
        )
    with needs("torch", extra="torch"):
        import torch
    from ghostnet.benchmark import torch_network

    counterpart = torch_network.GhostNet(model.architecture, model.num_classes).eval()
    counterpart.load_parameters(model.parameters)
    torch.save(counterpart, job.torch)


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


def _on_arrays(network: Any) -> Forward:
    import mindspore as ms

    return lambda images: network(ms.Tensor.from_numpy(images)).asnumpy()


def _plain(model: Model) -> Forward:
    """Return the plain network where MindSpore is installed, else the fused kernels."""
    try:
        return _on_arrays(model.network)
    except PackageError:
        return ghostnet_session(model)


def ghostnet_session(model: Model) -> Forward:
    """Open a model in the fused kernels."""
    from ghostnet import kernels

    return kernels.Session(model.architecture, model.parameters)


def ghostnet(job: Job) -> Forward:
    """This package's fused kernels, without MindSpore."""
    return ghostnet_session(open_on_cpu(job))


def mindspore_fused(job: Job) -> Forward:
    """MindSpore with this package's fused kernels."""
    return _on_arrays(_fused(job))


def mindspore_fused_graph(job: Job) -> Forward:
    """The same as a graph that MindSpore runs, as inside another cell."""
    return _on_arrays(_fused(job).construct)


def _fused(job: Job) -> Any:
    model = open_in_mindspore(job)
    from ghostnet import kernels

    return kernels.fuse(model.network)


def mindspore(job: Job) -> Forward:
    """MindSpore in graph mode with its own operators."""
    return _on_arrays(open_in_mindspore(job).network)


def mindcv(job: Job) -> Forward:
    """MindCV's GhostNet in graph mode, with weights and logits of its own."""
    model = open_in_mindspore(job)
    entry = model_of(model.architecture)
    if entry is None or entry.mindcv_name is None:
        raise GhostNetError(f"{job.model}: expected a network that MindCV has too, found another")
    with needs("mindcv", extra="bench"):
        from mindcv.models import create_model
    other = create_model(entry.mindcv_name, num_classes=model.num_classes)
    return _on_arrays(other.set_train(False))


def torch(job: Job, compiled: bool = False) -> Forward:
    """PyTorch, eager or with torch.compile."""
    with needs("torch", extra="torch"):
        import torch
    torch.set_num_threads(job.threads)
    network = torch.load(job.torch, weights_only=False)
    if compiled:
        network = torch.compile(network)

    def call(images: "NDArray[Any]") -> "NDArray[Any]":
        with torch.inference_mode():
            logits: NDArray[Any] = network(torch.from_numpy(images)).numpy()
            return logits

    return call


def torch_compile(job: Job) -> Forward:
    """PyTorch with torch.compile."""
    return torch(job, compiled=True)


def onnxruntime(job: Job) -> Forward:
    """ONNX Runtime on the exported model."""
    return in_onnxruntime(job.onnx.read_bytes(), job.threads)


def openvino(job: Job) -> Forward:
    """OpenVINO on the exported model, in float32."""
    return in_openvino(job.onnx.read_bytes(), job.threads)


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
}

OWN_WEIGHTS = frozenset(ENGINES) - {"mindcv"}
"""Engines that run the model's weights, and so have to give its logits."""
