"""What of this package works on this machine, and the command that mends what does not.

Every check is a function that returns findings; `examine` calls them all. A check never raises:
what it runs into is what it reports.
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

PACKAGE, GPU, HUB = "package", "GPU", "hub client"
"""What a finding matters to: the package itself, MindSpore's GPU target, the original client."""

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
"""What MindSpore's plugin for CUDA 11.6 links, and the packages on PyPI that have it."""

RELEASES = ("11.6", "11.7", "11.8")
"""Of the compiler in CUDA_HOME, by which MindSpore 2.10 chooses the plugin for CUDA 11.6."""

PROBE = """
import mindspore
mindspore.set_device("GPU")
print(float((mindspore.Tensor([1.0]) + 1).asnumpy()[0]))
"""

REASON = r"^(?:Load dynamic library: libmindspore_gpu|RuntimeError: \S|The cuda).*"
"""The lines of MindSpore's error that say why a GPU cannot be used."""


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        part: what it matters to, `PACKAGE`, `GPU` or `HUB`.
        subject: what was looked at.
        fine: whether it is as it should be.
        found: what is there.
        help: a command or a sentence that mends it; empty where nothing needs to be.
    """

    part: str
    subject: str
    fine: bool
    found: str
    help: str = ""

    def as_dict(self) -> dict[str, str | bool]:
        """For JSON."""
        return asdict(self)


def examine() -> list[Finding]:
    """All findings, those that the package needs first."""
    return [finding for check in CHECKS for finding in check()]


def installed(package: str) -> str | None:
    """The version of a package, or None."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def numpy_fits() -> Iterable[Finding]:
    """MindSpore 2.10's PyNative operators are built against NumPy 1."""
    found = installed("numpy") or "not installed"
    fine = found.startswith("1.")
    yield Finding(PACKAGE, "numpy", fine, found, "" if fine else "pip install 'numpy<2'")


def mindspore_version() -> Iterable[Finding]:
    """Which MindSpore is installed."""
    found = installed("mindspore")
    fine = found is not None and tuple(map(int, re.findall(r"\d+", found)[:2])) >= (2, 10)
    advice = "" if fine else "pip install 'mindspore>=2.10'"
    yield Finding(PACKAGE, "mindspore", fine, found or "not installed", advice)


def cpu_kernels() -> Iterable[Finding]:
    """Whether the CPU kernels load, and for which instruction set."""
    from ghostnet.kernels import library

    try:
        found = f"compiled, {library.load().ghostnet_instruction_set().decode()}"
    except KernelError as error:
        advice = "pip install --force-reinstall --no-deps mindspore-ghostnet"
        yield Finding(PACKAGE, "CPU kernels", False, str(error), advice)
    else:
        yield Finding(PACKAGE, "CPU kernels", True, found)


def gpu_plugin() -> Iterable[Finding]:
    """The GPU plugins that lie in MindSpore's package."""
    (folder,) = getattr(find_spec("mindspore"), "submodule_search_locations", None) or [""]
    plugins = sorted(path.name for path in Path(folder, "lib/plugin").glob("libmindspore_gpu.so*"))
    advice = "" if plugins else "pip install --force-reinstall --no-deps mindspore==2.10.0"
    found = ", ".join(plugins) or "none"
    yield Finding(GPU, "MindSpore's plugins", bool(plugins), found, advice)


def driver() -> Iterable[Finding]:
    """NVIDIA's driver."""
    advice = "install NVIDIA's driver; start a container with --gpus all"
    yield library_finding("libcuda.so.1", advice)


def cuda_libraries() -> Iterable[Finding]:
    """The libraries of CUDA 11 that MindSpore's plugin links."""
    for name, package in LIBRARIES.items():
        yield library_finding(name, f"pip install '{package}'")


def library_finding(name: str, advice: str, folders: Iterable[str] = sys.path) -> Finding:
    """Whether MindSpore's plugin finds a library, or where PyPI's packages have put it.

    Args:
        name: of the file.
        advice: for where it is nowhere.
        folders: that packages are installed in.
    """
    if not any(map(loads, (name, f"/usr/local/cuda/lib64/{name}"))):
        placed = [p.parent for f in folders for p in Path(f).glob(f"nvidia/*/lib/{name}")]
        if not placed:
            return Finding(GPU, name, False, "not found", advice)
        export = f"export LD_LIBRARY_PATH={placed[0]}:$LD_LIBRARY_PATH"
        return Finding(GPU, name, False, f"in {placed[0]}, where the linker does not look", export)
    return Finding(GPU, name, True, "found")


def loads(library: str) -> bool:
    """Whether the dynamic linker finds a library and all that it needs."""
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


def cuda_home() -> Iterable[Finding]:
    """The compiler in CUDA_HOME, which MindSpore asks for its release before it loads a plugin."""
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
    """Whether MindSpore adds two numbers on a GPU, in a process of its own."""
    text = output_of([sys.executable, "-c", PROBE], GLOG_v="4")
    fine = text.strip().endswith("2.0")
    reasons = re.findall(REASON, text, re.MULTILINE)
    reason = reasons[-1] if reasons else (text.strip().splitlines() or ["no answer"])[-1]
    found = "works" if fine else reason.split(". Please")[0]
    advice = "" if fine else "mend the lines of this part above, the first one first"
    yield Finding(GPU, "MindSpore on the GPU", fine, found, advice)


def cuda_kernels() -> Iterable[Finding]:
    """Whether the CUDA kernels are compiled, or can be."""
    from ghostnet.kernels import cuda_build

    try:
        if cuda_build.INSTALLED.exists():
            found = "compiled at installation"
        else:
            nvcc = cuda_build.find_nvcc()
            numbers = cuda_build.architectures(nvcc)
            ready = cuda_build.cached(nvcc, numbers).exists()
            when = "in the cache" if ready else "compiled when first used"
            found = f"{when}, by {nvcc} for {', '.join(f'sm_{n}' for n in numbers)}"
    except KernelError as error:
        advice = "install the CUDA toolkit and set CUDA_HOME to its folder"
        yield Finding(GPU, "CUDA kernels", False, str(error), advice)
    else:
        yield Finding(GPU, "CUDA kernels", True, found)


def hub_client() -> Iterable[Finding]:
    """Whether the original client is there; the package does not need it."""
    found = "installed" if find_spec("mindspore_hub") else "not installed; ghostnet.hub stands in"
    yield Finding(HUB, "mindspore_hub", True, found)


def output_of(command: list[str], **environment: str) -> str:
    """What a command prints, or why it could not be run."""
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


CHECKS: tuple[Callable[[], Iterable[Finding]], ...] = (
    numpy_fits,
    mindspore_version,
    cpu_kernels,
    driver,
    cuda_libraries,
    gpu_plugin,
    cuda_home,
    mindspore_on_gpu,
    cuda_kernels,
    hub_client,
)
