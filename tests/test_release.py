"""The wheels of every platform, as `make wheels` builds them with zig, and their inspection."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

pytest.importorskip("ziglang", reason="needs requirements/wheels.txt")

from inspection import problems
from platforms import PLATFORMS, Platform

from ghostnet import kernels
from ghostnet.kernels.cpu import library

REPOSITORY = Path(__file__).resolve().parents[1]

VERSION = "mindspore_ghostnet-1.0"

ONE = next(platform for platform in PLATFORMS if platform.tag == "musllinux_1_2_x86_64")


def build(out: Path, *tags: str) -> list[Path]:
    """The wheels of some platforms, by default of all."""
    command = [sys.executable, REPOSITORY / "release/wheels.py", "--out", out, *tags]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return sorted(out.glob("*.whl"))


@pytest.mark.nightly
@pytest.mark.slow
def test_wheels_of_every_platform_pass_inspection_and_come_out_the_same_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    wheels = build(tmp_path / "all")
    tags = {wheel.stem.partition("-py3-none-")[2] for wheel in wheels}
    assert tags == {platform.tag for platform in PLATFORMS}
    (again,) = build(tmp_path / "one", ONE.tag)
    (first,) = (wheel for wheel in wheels if wheel.name == again.name)
    assert again.read_bytes() == first.read_bytes()


def wheel_with(path: Path, folder: Path, platform: Platform) -> Path:
    """A wheel of a platform that holds a library and little else."""
    name = f"ghostnet/kernels/{path.name}"
    info = f"{VERSION}.dist-info"
    wheel = folder / f"{VERSION}-py3-none-{platform.tag}.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.write(path, name)
        archive.writestr(
            f"{info}/METADATA", "Metadata-Version: 2.1\nName: ghostnet\nVersion: 1.0\n"
        )
        archive.writestr(f"{info}/WHEEL", f"Wheel-Version: 1.0\nTag: py3-none-{platform.tag}\n")
        archive.writestr(f"{info}/RECORD", f"{name},,\n")
    return wheel


@pytest.mark.skipif(not kernels.available(), reason="needs the compiled kernels")
@pytest.mark.skipif(sys.platform != "linux", reason="the compiler's library is that of Linux")
def test_a_library_of_this_machine_is_not_for_others(tmp_path: Path) -> None:
    older = Platform("manylinux_2_17_aarch64", "aarch64-linux-gnu.2.17")
    found = " ".join(problems(wheel_with(library.PATH, tmp_path, older), older))
    assert "needs libstdc++.so.6, which the system may not have" in found
    assert "auditwheel does not find it consistent with its tag" in found


def test_a_wheel_without_kernels_is_refused(tmp_path: Path) -> None:
    other = tmp_path / "other.so"
    other.touch()
    (problem,) = problems(wheel_with(other, tmp_path, ONE), ONE)
    assert problem == "it has 0 libraries of kernels, where one is needed"
