"""Compile the CUDA kernels with nvcc: at first use into a cache, or at installation.

``python cuda_build.py FILE`` writes the library to FILE; CMake does that where the environment has
``GHOSTNET_CUDA=1``. MindSpore is not imported.
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

SOURCES = Path(__file__).with_name("csrc") / "cuda"
INSTALLED = Path(__file__).with_name("libghostnet_cuda.so")

ARCHITECTURES = (70, 75, 80, 86, 89, 90)
"""Compute capabilities to compile for; newer GPUs compile the PTX of the last."""

FLAGS = ("-std=c++17", "-O3", "--shared", "-Xcompiler", "-fPIC,-fvisibility=hidden")


def find_nvcc() -> Path:
    """The CUDA compiler: that of ``CUDA_HOME``, or of ``PATH``.

    Raises:
        KernelError: there is none.
    """
    home = os.environ.get("CUDA_HOME")
    for found in (home and f"{home}/bin/nvcc", shutil.which("nvcc")):
        if found and Path(found).is_file():
            return Path(found)
    raise KernelError(
        "the CUDA kernels are not compiled, and neither CUDA_HOME nor PATH has nvcc to compile "
        "them: install the CUDA toolkit and set CUDA_HOME to its folder"
    )


def run(command: Sequence[str | Path]) -> str:
    """What a command prints.

    Raises:
        KernelError: it failed.
    """
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        error = (done.stderr or done.stdout).strip()
        raise KernelError(f"{' '.join(map(str, command))} failed: {error}")
    return done.stdout


def architectures(nvcc: Path) -> tuple[int, ...]:
    """Those of `ARCHITECTURES` that this nvcc knows.

    Raises:
        KernelError: it knows none of them.
    """
    listed = set(re.findall(r"compute_(\d+)", run([nvcc, "--list-gpu-arch"])))
    known = tuple(number for number in ARCHITECTURES if str(number) in listed)
    if not known:
        raise KernelError(f"{nvcc} compiles for none of {ARCHITECTURES}; use one of CUDA 11.6 on")
    return known


def code_flags(numbers: Sequence[int]) -> list[str]:
    """Machine code for each architecture, and PTX of the last."""
    codes = [f"-gencode=arch=compute_{n},code=sm_{n}" for n in numbers]
    return [*codes, f"-gencode=arch=compute_{numbers[-1]},code=compute_{numbers[-1]}"]


def compile_kernels(target: Path, nvcc: Path, numbers: Sequence[int]) -> None:
    """Write the library; whoever reads ``target`` meanwhile sees nothing or all of it.

    Raises:
        KernelError: the compiler failed.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        built = Path(folder) / target.name
        run([nvcc, *FLAGS, *code_flags(numbers), SOURCES / "operator.cu", "-o", built])
        built.replace(target)


def cached(nvcc: Path, numbers: Sequence[int]) -> Path:
    """Where the library of these sources, this nvcc and these architectures is kept."""
    digest = hashlib.sha256(run([nvcc, "--version"]).encode())
    digest.update(" ".join([*FLAGS, *code_flags(numbers)]).encode())
    for source in sorted(SOURCES.iterdir()):
        digest.update(source.name.encode() + source.read_bytes())
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "ghostnet" / f"cuda-{digest.hexdigest()[:16]}" / INSTALLED.name


@functools.cache
def library_path() -> Path:
    """The compiled kernels: installed, or compiled now where the cache has none.

    Raises:
        KernelError: they are not compiled and cannot be.
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
