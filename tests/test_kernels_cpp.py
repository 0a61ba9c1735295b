"""The kernels' own C++ test, under sanitizers: what it prints says which shape is wrong."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ASK = """
import sys
from pathlib import Path
from ghostnet import kernels
from ghostnet.kernels.cpu import library
library.PATH = Path(sys.argv[1])
print(kernels.unavailable_reason())
"""

ROOT = Path(__file__).parent.parent

pytestmark = pytest.mark.skipif(
    shutil.which("cmake") is None or shutil.which("c++") is None,
    reason="needs CMake and a C++ compiler",
)


@pytest.mark.nightly
@pytest.mark.slow
@pytest.mark.parametrize(("sanitizers", "batch"), [("address,undefined", 9), ("thread", 4)])
def test_kernels_against_the_reference(sanitizers: str, batch: int, tmp_path: Path) -> None:
    options = [
        "-DGHOSTNET_TESTS=ON",
        # GCC takes seven times as long to optimize sanitized vectors any further.
        "-DCMAKE_BUILD_TYPE=Debug",
        "-DCMAKE_CXX_FLAGS_DEBUG=-O1 -g1",
        f"-DGHOSTNET_SANITIZE={sanitizers}",
    ]
    run("cmake", "-S", ROOT, "-B", tmp_path, *options)
    tests = ("kernels_test", "training_test")
    run("cmake", "--build", tmp_path, "--parallel", "2", "--target", *tests)
    run(tmp_path / "tests/cpp/kernels_test", batch)
    run(tmp_path / "tests/cpp/training_test")


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


def test_a_library_of_another_version_says_so(tmp_path: Path) -> None:
    source = 'extern "C" void GhostNetForward() {}'
    library = tmp_path / "libghostnet_cpu.so"
    compiler = ["c++", "-shared", "-fPIC", "-x", "c++", "-", "-o", library]
    subprocess.run(compiler, input=source, text=True, check=True)
    result = subprocess.run(
        [sys.executable, "-c", ASK, str(library)], capture_output=True, text=True, check=True
    )
    assert "expected the kernels of this version" in result.stdout
    assert "found no GhostNetBatchNorm in them; install the package again" in result.stdout


def run(*command: object) -> None:
    result = subprocess.run(
        [str(part) for part in command], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stdout + result.stderr
