"""Compile the CUDA kernels with nvcc: at first use into a cache, or at installation.

``python build.py FILE`` writes the library to FILE; CMake does so if the environment has
``GHOSTNET_CUDA=1``.
"""

import functools
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from ghostnet.errors import KernelError
from ghostnet.system.libraries import library_name

KERNELS = Path(__file__).parents[1]
SOURCES = KERNELS / "csrc" / "cuda"
INSTALLED = KERNELS / library_name("ghostnet_cuda")

ARCHITECTURES = (70, 75, 80, 86, 89, 90)
"""Compute capabilities to compile for; drivers of newer GPUs compile the PTX of the last."""

FLAGS = ("-std=c++17", "-O3", "--shared", "-Xcompiler", "-fPIC,-fvisibility=hidden")


def find_nvcc() -> Path:
    """Find the CUDA compiler in ``CUDA_HOME`` or else in ``PATH``.

    Raises:
        KernelError: There is none.
    """
    home = os.environ.get("CUDA_HOME")
    for found in (home and f"{home}/bin/nvcc", shutil.which("nvcc")):
        if found and Path(found).is_file():
            return Path(found)
    raise KernelError(
        "nvcc, which compiles the CUDA kernels, is not in CUDA_HOME or PATH; install the CUDA "
        "toolkit and set CUDA_HOME to its folder"
    )


def run(command: Sequence[str | Path]) -> str:
    """Run a command and return what it prints.

    Raises:
        KernelError: The command failed.
    """
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        error = (done.stderr or done.stdout).strip()
        raise KernelError(f"{' '.join(map(str, command))} failed: {error}")
    return done.stdout


def architectures(nvcc: Path) -> tuple[int, ...]:
    """List the `ARCHITECTURES` that a compiler supports.

    Raises:
        KernelError: It supports none of them.
    """
    listed = set(re.findall(r"compute_(\d+)", run([nvcc, "--list-gpu-arch"])))
    known = tuple(number for number in ARCHITECTURES if str(number) in listed)
    if not known:
        raise KernelError(f"{nvcc} compiles for none of {ARCHITECTURES}; use CUDA 11.6 or later")
    return known


def code_flags(numbers: Sequence[int]) -> list[str]:
    """Return the flags for machine code of each architecture, and PTX of the last."""
    codes = [f"-gencode=arch=compute_{n},code=sm_{n}" for n in numbers]
    return [*codes, f"-gencode=arch=compute_{numbers[-1]},code=compute_{numbers[-1]}"]


def compile_kernels(target: Path, nvcc: Path, numbers: Sequence[int]) -> None:
    """Compile the library and move it to ``target`` in one step.

    Raises:
        KernelError: The compiler failed.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        built = Path(folder) / target.name
        run([nvcc, *FLAGS, *code_flags(numbers), SOURCES / "operator.cu", "-o", built])
        built.replace(target)


def cached(nvcc: Path, numbers: Sequence[int]) -> Path:
    """Return the path in the cache for these sources, this compiler and these architectures.

    Raises:
        KernelError: The user has no home directory, and ``XDG_CACHE_HOME`` is not set.
    """
    digest = hashlib.sha256(run([nvcc, "--version"]).encode())
    digest.update(" ".join([*FLAGS, *code_flags(numbers)]).encode())
    for source in sorted(SOURCES.iterdir()):
        digest.update(source.name.encode() + source.read_bytes())
    root = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache")
    try:
        cache = root.expanduser()
    except RuntimeError as error:
        raise KernelError(
            f"there is no home directory to keep the compiled kernels in ({root}); set "
            "XDG_CACHE_HOME"
        ) from error
    return cache / "ghostnet" / f"cuda-{digest.hexdigest()[:16]}" / INSTALLED.name


@functools.cache
def library_path() -> Path:
    """Return the path of the compiled kernels, compiling them now if necessary.

    Raises:
        KernelError: They are not compiled and cannot be.
    """
    if INSTALLED.exists():
        return INSTALLED
    nvcc = find_nvcc()
    numbers = architectures(nvcc)
    target = cached(nvcc, numbers)
    if not target.exists():
        compile_kernels(target, nvcc, numbers)
    return target


if __name__ == "__main__":
    compiler = find_nvcc()
    compile_kernels(Path(sys.argv[1]).resolve(), compiler, architectures(compiler))
