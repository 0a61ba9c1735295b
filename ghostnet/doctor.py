"""Check what works on this machine, and say how to fix what does not.

Every check is a function that yields findings; `examine` calls them all. A check never raises: it
reports errors as findings.
"""

import ctypes
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

from ghostnet.errors import KernelError
from ghostnet.packages import WITHOUT_MINDSPORE
from ghostnet.system import machine

PACKAGE, GPU, HUB = "package", "GPU", "hub client"
"""Parts that findings belong to: this package, MindSpore's GPU target, the original client."""

WITH_MINDSPORE = "train, finetune --mode full and the export to MindIR"
"""What needs MindSpore."""

LIBRARIES = {
    "libcudart.so.11.0": "nvidia-cuda-runtime-cu11",
    "libcublas.so.11": "nvidia-cublas-cu11",
    "libcudnn.so.8": "nvidia-cudnn-cu11<9",
    "libcufft.so.10": "nvidia-cufft-cu11",
    "libcurand.so.10": "nvidia-curand-cu11",
    "libcusolver.so.11": "nvidia-cusolver-cu11",
    "libcusparse.so.11": "nvidia-cusparse-cu11",
    "libnvrtc.so.11.2": "nvidia-cuda-nvrtc-cu11",
}
"""Libraries that MindSpore's plugin for CUDA 11.6 links, and their packages on PyPI."""

RELEASES = ("11.6", "11.7", "11.8")
"""Releases of the compiler in CUDA_HOME for which MindSpore 2.10 loads its CUDA 11.6 plugin."""

PROBE = """
import mindspore
mindspore.set_device("GPU")
print(float((mindspore.Tensor([1.0]) + 1).asnumpy()[0]))
"""

REASON = r"^(?:Load dynamic library: libmindspore_gpu|RuntimeError: \S|The cuda).*"
"""Lines of MindSpore's error that say why a GPU cannot be used."""


@dataclass(frozen=True)
class Finding:
    """The result of a check.

    Attributes:
        part: `PACKAGE`, `GPU` or `HUB`.
        subject: Subject of the check.
        fine: Whether it works.
        found: What was found.
        help: Command or sentence that says how to fix it; empty if nothing needs fixing.
    """

    part: str
    subject: str
    fine: bool
    found: str
    help: str = ""

    def as_dict(self) -> dict[str, str | bool]:
        """Return the finding as JSON types."""
        return asdict(self)


def examine() -> list[Finding]:
    """Return all findings, beginning with those about this package."""
    return [finding for check in CHECKS for finding in check()]


def installed(package: str) -> str | None:
    """Return the version of a package, or None."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def system() -> Iterable[Finding]:
    """Name the system, and say what is possible on it."""
    yield Finding(PACKAGE, "system", True, f"{machine.description()}, {machine.python()}")
    if kernels_reason() is None:
        possible = WITHOUT_MINDSPORE + (f"; {WITH_MINDSPORE}" if installed("mindspore") else "")
        yield Finding(PACKAGE, "possible here", True, possible)


def numpy_version() -> Iterable[Finding]:
    """Check the version of NumPy."""
    yield _package("numpy", (1, 26))


def mindspore_version() -> Iterable[Finding]:
    """Check the version of MindSpore, which inference on a CPU does not need."""
    is_missing = installed("mindspore") is None
    if is_missing and not machine.has_mindspore_releases():
        found = f"no release for {machine.without_mindspore()}; {WITH_MINDSPORE} would need it"
        yield Finding(PACKAGE, "mindspore", True, found)
    elif is_missing and kernels_reason() is None:
        found = f"not installed; {WITH_MINDSPORE} need it, inference on a CPU does not"
        yield Finding(PACKAGE, "mindspore", True, found)
    else:
        yield _package("mindspore", (2, 10))


def _package(name: str, least: tuple[int, int]) -> Finding:
    """Compare the version of a package with the oldest one supported."""
    found = installed(name)
    fine = found is not None and tuple(map(int, re.findall(r"\d+", found)[:2])) >= least
    advice = "" if fine else f"pip install '{name}>={least[0]}.{least[1]}'"
    return Finding(PACKAGE, name, fine, found or "not installed", advice)


def kernels_reason() -> str | None:
    """Return why the CPU kernels cannot be loaded; None if they can."""
    from ghostnet.kernels.cpu import library

    try:
        library.load()
    except KernelError as error:
        return str(error)
    return None


def cpu_kernels() -> Iterable[Finding]:
    """Check that the CPU kernels load, and name their instruction set and what it is chosen by."""
    from ghostnet import kernels
    from ghostnet.kernels.cpu import library

    reason = kernels_reason()
    if reason:
        advice = "pip install --force-reinstall --no-deps mindspore-ghostnet"
        yield Finding(PACKAGE, "CPU kernels", False, reason, advice)
    else:
        yield Finding(PACKAGE, "CPU kernels", True, f"compiled, {kernels.instruction_set()}")
        extensions = ", ".join(library.processor_extensions()) or "none that the kernels can use"
        yield Finding(PACKAGE, "processor extensions", True, extensions)


def gpu_plugin() -> Iterable[Finding]:
    """List the GPU plugins in MindSpore's package."""
    (folder,) = getattr(find_spec("mindspore"), "submodule_search_locations", None) or [""]
    plugins = sorted(path.name for path in Path(folder, "lib/plugin").glob("libmindspore_gpu.so*"))
    advice = "" if plugins else "pip install --force-reinstall --no-deps mindspore==2.10.0"
    found = ", ".join(plugins) or "none"
    yield Finding(GPU, "MindSpore's plugins", bool(plugins), found, advice)


def driver() -> Iterable[Finding]:
    """Check NVIDIA's driver."""
    advice = "install NVIDIA's driver; start a container with --gpus all"
    yield library_finding("libcuda.so.1", advice)


def cuda_libraries() -> Iterable[Finding]:
    """Check for the CUDA 11 libraries that MindSpore's plugin links."""
    for name, package in LIBRARIES.items():
        yield library_finding(name, f"pip install '{package}'")


def library_finding(name: str, advice: str, folders: Iterable[str] = sys.path) -> Finding:
    """Check that MindSpore's plugin finds a library.

    Args:
        name: File name of the library.
        advice: How to install it.
        folders: Folders that packages are installed in.
    """
    if not any(map(loads, (name, f"/usr/local/cuda/lib64/{name}"))):
        placed = [p.parent for f in folders for p in Path(f).glob(f"nvidia/*/lib/{name}")]
        if not placed:
            return Finding(GPU, name, False, "not found", advice)
        export = f"export LD_LIBRARY_PATH={placed[0]}:$LD_LIBRARY_PATH"
        return Finding(
            GPU, name, False, f"in {placed[0]}, where the dynamic linker does not look", export
        )
    return Finding(GPU, name, True, "found")


def loads(library: str) -> bool:
    """Whether the dynamic linker finds a library and its dependencies."""
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


def cuda_home() -> Iterable[Finding]:
    """Check the compiler in CUDA_HOME, whose release determines MindSpore's plugin."""
    home = os.environ.get("CUDA_HOME", "")
    advice = "export CUDA_HOME=FOLDER of CUDA 11.6 to 11.8, with bin/nvcc (see docs/gpu.md)"
    if not home:
        yield Finding(GPU, "CUDA_HOME", False, "not set", advice)
        return
    text = output_of([f"{home}/bin/nvcc", "--version"])
    release = re.search(r"release (\d+\.\d+)", text)
    fine = release is not None and release[1] in RELEASES
    found = f"CUDA {release[1]}" if release else f"no nvcc in {home}/bin"
    yield Finding(GPU, "CUDA_HOME", fine, f"{home}: {found}", "" if fine else advice)


def mindspore_on_gpu() -> Iterable[Finding]:
    """Check that MindSpore can add two numbers on a GPU, in a separate process."""
    text = output_of([sys.executable, "-c", PROBE], GLOG_v="4")
    fine = text.strip().endswith("2.0")
    reasons = re.findall(REASON, text, re.MULTILINE)
    reason = reasons[-1] if reasons else (text.strip().splitlines() or ["no answer"])[-1]
    found = "works" if fine else reason.split(". Please")[0]
    advice = "" if fine else "Fix the GPU findings above, in order."
    yield Finding(GPU, "MindSpore on the GPU", fine, found, advice)


def cuda_kernels() -> Iterable[Finding]:
    """Check that the CUDA kernels are compiled, or can be."""
    from ghostnet.kernels.cuda import build

    try:
        if build.INSTALLED.exists():
            found = "compiled at installation"
        else:
            nvcc = build.find_nvcc()
            numbers = build.architectures(nvcc)
            ready = build.cached(nvcc, numbers).exists()
            when = "in the cache" if ready else "compiled when first used"
            found = f"{when}, by {nvcc} for {', '.join(f'sm_{n}' for n in numbers)}"
    except KernelError as error:
        advice = "install the CUDA toolkit and set CUDA_HOME to its folder"
        yield Finding(GPU, "CUDA kernels", False, str(error), advice)
    else:
        yield Finding(GPU, "CUDA kernels", True, found)


def hub_client() -> Iterable[Finding]:
    """Check whether the original client is installed; the package does not need it."""
    found = "installed" if find_spec("mindspore_hub") else "not installed; ghostnet.hub replaces it"
    yield Finding(HUB, "mindspore_hub", True, found)


def output_of(command: list[str], **environment: str) -> str:
    """Run a command and return its output, or the reason why it could not be run."""
    try:
        done = subprocess.run(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=120,
            env=os.environ | environment,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    return done.stdout


def mindspore_gpu() -> Iterable[Finding]:
    """Check what MindSpore needs on a GPU, where it is released for one."""
    if machine.has_gpu_releases():
        for check in GPU_CHECKS:
            yield from check()
    else:
        found = "MindSpore runs on GPUs only on Linux on x86-64, with Python 3.10 to 3.12"
        yield Finding(GPU, "MindSpore on the GPU", False, found, "use the CPU here")


GPU_CHECKS: tuple[Callable[[], Iterable[Finding]], ...] = (
    driver,
    cuda_libraries,
    gpu_plugin,
    cuda_home,
    mindspore_on_gpu,
    cuda_kernels,
)

CHECKS: tuple[Callable[[], Iterable[Finding]], ...] = (
    system,
    numpy_version,
    mindspore_version,
    cpu_kernels,
    mindspore_gpu,
    hub_client,
)
