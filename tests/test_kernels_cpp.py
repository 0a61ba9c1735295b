"""The kernels' own C++ tests and those of the Python API, under sanitizers; and the build."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import pytest
from schedule import at_night

ASK = """
import sys
from pathlib import Path
from ghostnet import kernels
from ghostnet.kernels.cpu import library
library.PATH = Path(sys.argv[1])
print(kernels.unavailable_reason())
"""

SELECTIONS = {
    "test_session.py": "(mobilenet or nose) and 33x250 or old_weights",
    "test_kernel_limits.py": "not cannot_have",
    "test_quantized_kernels.py": "33 or 1-1 or every",
}
"""Tests of the Python API without MindSpore that are quick under sanitizers, by file."""

ROOT = Path(__file__).parent.parent

pytestmark = pytest.mark.skipif(
    shutil.which("cmake") is None or shutil.which("c++") is None,
    reason="needs CMake and a C++ compiler",
)


class Sanitizers(NamedTuple):
    """Sanitizers that run together.

    Attributes:
        names: As the compiler calls them.
        runtime: What has to be loaded before Python.
        largest_batch: Of the kernels' own test, so that it ends in a few minutes.
    """

    names: str
    runtime: str
    largest_batch: int


SANITIZERS = (
    Sanitizers("address,undefined", "libasan.so", 9),
    Sanitizers("thread", "libtsan.so", 4),
)

PROGRAMS = ("kernels_test", "training_test", "memory_test")


@pytest.fixture(scope="module", params=SANITIZERS, ids=lambda sanitizers: sanitizers.names)
def sanitizers(request: pytest.FixtureRequest) -> Sanitizers:
    """Sanitizers that run together."""
    chosen: Sanitizers = request.param
    return chosen


@pytest.fixture(scope="module")
def sanitized(sanitizers: Sanitizers, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the C++ tests and of the library, compiled with sanitizers."""
    folder = tmp_path_factory.mktemp("sanitized")
    options = [
        "-DGHOSTNET_TESTS=ON",
        # GCC takes seven times as long to optimize sanitized vectors any further.
        "-DCMAKE_BUILD_TYPE=Debug",
        "-DCMAKE_CXX_FLAGS_DEBUG=-O1 -g1",
        f"-DGHOSTNET_SANITIZE={sanitizers.names}",
    ]
    run("cmake", "-S", ROOT, "-B", folder, *options)
    targets = (*PROGRAMS, "ghostnet_sanitized")
    run("cmake", "--build", folder, "--parallel", "2", "--target", *targets)
    return folder / "tests/cpp"


@pytest.mark.nightly
@pytest.mark.slow
def test_kernels_against_the_reference(sanitizers: Sanitizers, sanitized: Path) -> None:
    run(sanitized / "kernels_test", sanitizers.largest_batch)
    run(sanitized / "training_test")
    run(sanitized / "memory_test")


@pytest.mark.nightly
@pytest.mark.slow
@pytest.mark.parametrize("file", SELECTIONS)
def test_the_python_api(file: str, sanitizers: Sanitizers, sanitized: Path) -> None:
    environment = {
        # A sanitizer comes before all else, and finds the exceptions of C++ only in a library.
        "LD_PRELOAD": f"{found(sanitizers.runtime)}:{found('libstdc++.so')}",
        "PYTHONPATH": str(ROOT / "tests"),
        "SANITIZED_KERNELS": str(sanitized / "libghostnet_sanitized.so"),
        # Python does not free everything at its end.
        "ASAN_OPTIONS": "detect_leaks=0",
        # Those of this run may name tests.
        "PYTEST_ADDOPTS": "",
    }
    command = [sys.executable, "-m", "pytest", "-p", "sanitized_kernels", "-p", "no:cacheprovider"]
    # Of what is printed, only Python's own is captured: a sanitizer prints and ends the process.
    command += ["--capture=sys", "--numprocesses=0", ROOT / "tests" / file, "-k", SELECTIONS[file]]
    run(*command, environment=environment)


def test_no_compiler_is_one_clear_line(tmp_path: Path) -> None:
    cmake, true = shutil.which("cmake"), shutil.which("true")
    result = subprocess.run(
        [
            str(cmake),
            "-S",
            str(ROOT),
            "-B",
            str(tmp_path),
            f"-DCMAKE_MAKE_PROGRAM={true}",
            "-DCMAKE_FIND_USE_CMAKE_SYSTEM_PATH=OFF",
        ],
        env={"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode != 0
    assert "No C++ compiler: install g++ 12" in result.stderr


@pytest.mark.parametrize("way", ["CXX", *at_night("CMAKE_CXX_COMPILER")])
def test_the_compiler_is_the_one_that_cmake_is_told(way: str, tmp_path: Path) -> None:
    compiler = tmp_path / "own-compiler"
    compiler.symlink_to(str(shutil.which("c++")))
    environment = {"CXX": f"{compiler} -DOWN_FLAG"} if way == "CXX" else {}
    option = [f"-DCMAKE_CXX_COMPILER={compiler};-DOWN_FLAG"] if way != "CXX" else []
    commands = "-DCMAKE_EXPORT_COMPILE_COMMANDS=ON"
    folder = tmp_path / "build"
    run("cmake", "-S", ROOT, "-B", folder, commands, *option, environment=environment)
    (first, *_) = json.loads((folder / "compile_commands.json").read_text())
    assert first["command"].split()[:2] == [str(compiler), "-DOWN_FLAG"]


def test_a_library_of_another_version_says_so(tmp_path: Path) -> None:
    source = 'extern "C" void GhostNetForward() {}'
    library = tmp_path / "libghostnet_cpu.so"
    compiler = ["c++", "-shared", "-fPIC", "-x", "c++", "-", "-o", library]
    subprocess.run(compiler, input=source, text=True, check=True)
    result = subprocess.run(
        [sys.executable, "-c", ASK, str(library)], capture_output=True, text=True, check=True
    )
    assert "belongs to another version" in result.stdout
    assert "it has no GhostNetBatchNorm; install the package again" in result.stdout


def found(library: str) -> str:
    """The path of a library of the compiler."""
    return subprocess.check_output(["c++", f"-print-file-name={library}"], text=True).strip()


def run(*command: object, environment: Mapping[str, str] = MappingProxyType({})) -> None:
    result = subprocess.run(
        [str(part) for part in command],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr
