"""The files that the engines of a benchmark read: images, expected logits, and the model."""

import subprocess
from collections.abc import Callable
from typing import Any

import numpy as np

from ghostnet.benchmark.engines import Job, ghostnet_session, on_arrays, open_on_cpu
from ghostnet.errors import BenchmarkError, GhostNetError, PackageError
from ghostnet.export import Format, serialized
from ghostnet.model import Model
from ghostnet.model.forward import Forward
from ghostnet.packages import needs


def prepare(job: Job, engines: tuple[str, ...]) -> dict[str, str]:
    """Write the files of a job.

    Returns:
        For each engine whose file cannot be written, the reason, usually a missing package.
    """
    model = open_on_cpu(job)
    if model.architecture.quantized:
        raise BenchmarkError(
            f"{job.model} has 8-bit convolutions, which cannot be exported to the other engines; "
            "choose a network in floating point"
        )
    size = model.preprocess.image_size
    images = np.random.default_rng(0).standard_normal((job.batch, 3, size, size), np.float32)
    np.save(job.images, images)
    np.save(job.logits, _plain(model)(images))
    missing: dict[str, str] = {}
    for write, readers in WRITERS.items():
        wanted = set(readers) & set(engines) - missing.keys()
        try:
            if wanted:
                write(job, model)
        except GhostNetError as error:
            missing |= dict.fromkeys(wanted, str(error))
        except Exception as error:  # converters fail in their own ways
            missing |= dict.fromkeys(wanted, f"{type(error).__name__}: {error}")
    return missing


def _plain(model: Model) -> Forward:
    """Return the plain network if MindSpore is installed, else the fused kernels."""
    try:
        return on_arrays(model.network)
    except PackageError:
        return ghostnet_session(model)


def _write_onnx(job: Job, model: Model) -> None:
    job.onnx.write_bytes(serialized(model, Format.ONNX, job.batch))


def _write_torch(job: Job, model: Model) -> None:
    if model.architecture.family == "mobilenet_v2":
        raise BenchmarkError(
            f"{job.model} is not a GhostNet, and this package builds only GhostNets in PyTorch; "
            "leave PyTorch's engines out"
        )
    with needs("torch", extra="torch"):
        import torch
    from ghostnet.benchmark import torch_network

    counterpart = torch_network.GhostNet(model.architecture, model.num_classes).eval()
    counterpart.load_parameters(model.parameters)
    torch.save(counterpart, job.torch)


def _write_mnn(job: Job, model: Model) -> None:
    with needs("MNN", extra="bench"):
        import _tools  # MNN.tools, which wraps it, would install a logger with pip
    words = {"-f": "ONNX", "--modelFile": job.onnx, "--MNNModel": job.mnn, "--bizCode": "-"}
    _tools.mnnconvert(["mnnconvert", *(str(word) for pair in words.items() for word in pair)])


def _write_ncnn(job: Job, model: Model) -> None:
    with needs("pnnx", extra="bench"):
        import pnnx
    layers, weights = job.ncnn
    one_image = job.folder / "one_image.onnx"
    one_image.write_bytes(serialized(model, Format.ONNX, 1))
    size = model.preprocess.image_size
    settings: dict[str, Any] = {
        "inputshape": f"[1,3,{size},{size}]",
        "fp16": 0,
        "ncnnparam": layers,
        "ncnnbin": weights,
    }
    words = (f"{name}={value}" for name, value in settings.items())
    command = [pnnx.EXEC_PATH, str(one_image), *words]
    subprocess.run(command, check=True, cwd=job.folder, capture_output=True)


def _write_litert(job: Job, model: Model) -> None:
    with needs("litert_torch", extra="bench"):
        import litert_torch
    import torch

    network = torch.load(job.torch, weights_only=False)
    images = torch.from_numpy(np.load(job.images))
    litert_torch.convert(network, (images,)).export(str(job.tflite))


WRITERS: dict[Callable[[Job, Model], None], tuple[str, ...]] = {
    _write_onnx: ("onnxruntime", "openvino", "mnn"),
    _write_torch: ("torch", "torch-compile", "litert"),
    _write_mnn: ("mnn",),
    _write_ncnn: ("ncnn",),
    _write_litert: ("litert",),
}
"""The engines that need what a function writes; some read a file made from it."""
