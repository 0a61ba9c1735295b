"""The engines that `ghostnet benchmark` compares: each makes a job into a call on arrays.

An engine imports what it runs on, and nothing else that is large: its process is measured.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ghostnet.backends import in_onnxruntime, in_openvino
from ghostnet.errors import GhostNetError, PackageError
from ghostnet.extras import needs

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ghostnet.backends import ArrayCall
    from ghostnet.hub.loader import Model

MINDCV_NAMES = {
    "ghostnet_050": "ghostnet_050",
    "ghostnet": "ghostnet_100",
    "ghostnet_130": "ghostnet_130",
}
"""MindCV's names for the architectures that it has."""


@dataclass(frozen=True)
class Job:
    """What an engine is to run.

    Attributes:
        model: UID, card or checkpoint.
        cache_dir: root of the cache that has the model's checkpoint, or None for the default.
        folder: where `prepare` left what the engines need.
        batch: pictures in one call.
        threads: that work on one call.
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
        """The model as a pickled PyTorch module; there where an engine needs it."""
        return self.folder / "model.pt"

    @property
    def pictures(self) -> Path:
        """One batch, (batch, 3, height, width) float32, as NumPy keeps it."""
        return self.folder / "pictures.npy"

    @property
    def logits(self) -> Path:
        """What the plain network answers, (batch, num_classes) float32."""
        return self.folder / "logits.npy"


def prepare(job: Job, engines: tuple[str, ...]) -> dict[str, str]:
    """Write the files of a job.

    Returns:
        For each engine whose file needs a package that is not installed, what to install.
    """
    import mindspore as ms
    import numpy as np

    model = open_on_cpu(job)
    size = model.preprocess.image_size
    shape = (job.batch, 3, size, size)
    pictures = np.random.default_rng(0).standard_normal(shape, np.float32)
    np.save(job.pictures, pictures)
    np.save(job.logits, model.network(ms.Tensor.from_numpy(pictures)).asnumpy())
    missing: dict[str, str] = {}
    for write, readers in {
        _write_onnx: ("onnxruntime", "openvino"),
        _write_torch: ("torch", "torch-compile"),
    }.items():
        wanted = set(readers) & set(engines)
        try:
            if wanted:
                write(job, model)
        except PackageError as error:
            missing |= dict.fromkeys(wanted, str(error))
    return missing


def _write_onnx(job: Job, model: "Model") -> None:
    from ghostnet.export import Format, serialised
    from ghostnet.export.metadata import Metadata

    metadata = Metadata(model.labels, model.preprocess.image_size)
    job.onnx.write_bytes(serialised(model.network, Format.ONNX, metadata, job.batch))


def _write_torch(job: Job, model: "Model") -> None:
    with needs("torch", extra="torch"):
        import torch
    from ghostnet import torch_network
    from ghostnet.checkpoint import parameters_of

    network = model.network
    counterpart = torch_network.GhostNet(network.architecture, network.num_classes).eval()
    counterpart.load_parameters(parameters_of(network))
    torch.save(counterpart, job.torch)


def open_on_cpu(job: Job) -> "Model":
    """The job's model, with MindSpore quiet and on the job's threads."""
    from ghostnet import runtime

    os.environ["OMP_NUM_THREADS"] = str(job.threads)
    runtime.hush()
    runtime.configure(runtime.Device.CPU)
    import mindspore as ms

    ms.set_context(runtime_num_threads=job.threads)
    from ghostnet.hub import open_model

    return open_model(job.model, cache_dir=job.cache_dir)


def _on_arrays(network: Any) -> "ArrayCall":
    import mindspore as ms

    return lambda pictures: network(ms.Tensor.from_numpy(pictures)).asnumpy()


def mindspore_fused(job: Job) -> "ArrayCall":
    """MindSpore with this package's fused kernels."""
    return _on_arrays(_fused(job))


def mindspore_fused_graph(job: Job) -> "ArrayCall":
    """The same as a graph that MindSpore runs, as it is inside another cell."""
    return _on_arrays(_fused(job).construct)


def _fused(job: Job) -> Any:
    model = open_on_cpu(job)
    from ghostnet import kernels

    network = kernels.fuse(model.network)
    kernels.set_threads(job.threads)
    return network


def mindspore(job: Job) -> "ArrayCall":
    """MindSpore in graph mode with its own operators."""
    return _on_arrays(open_on_cpu(job).network)


def mindcv(job: Job) -> "ArrayCall":
    """MindCV's GhostNet in graph mode; its weights are fresh, so its answers are its own."""
    network = open_on_cpu(job).network
    from ghostnet.network import ARCHITECTURES

    known = [n for n in MINDCV_NAMES if ARCHITECTURES[n] == network.architecture]
    if not known:
        raise GhostNetError(f"MindCV has none but {', '.join(MINDCV_NAMES.values())}")
    with needs("mindcv", extra="bench"):
        from mindcv.models import create_model
    other = create_model(MINDCV_NAMES[known[0]], num_classes=network.num_classes)
    return _on_arrays(other.set_train(False))


def torch(job: Job, compiled: bool = False) -> "ArrayCall":
    """PyTorch, eager or with torch.compile."""
    with needs("torch", extra="torch"):
        import torch
    torch.set_num_threads(job.threads)
    network = torch.load(job.torch, weights_only=False)
    if compiled:
        network = torch.compile(network)

    def call(pictures: "NDArray[Any]") -> "NDArray[Any]":
        with torch.inference_mode():
            logits: NDArray[Any] = network(torch.from_numpy(pictures)).numpy()
            return logits

    return call


def torch_compile(job: Job) -> "ArrayCall":
    """PyTorch with torch.compile."""
    return torch(job, compiled=True)


def onnxruntime(job: Job) -> "ArrayCall":
    """ONNX Runtime on the exported model."""
    return in_onnxruntime(job.onnx.read_bytes(), job.threads)


def openvino(job: Job) -> "ArrayCall":
    """OpenVINO on the exported model, in float32."""
    return in_openvino(job.onnx.read_bytes(), job.threads)


ENGINES: "dict[str, Callable[[Job], ArrayCall]]" = {
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
"""Engines that run the model's weights, and so must give its logits."""
