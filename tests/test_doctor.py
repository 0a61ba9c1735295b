"""`ghostnet doctor`: what it finds on this machine, and the commands that it advises."""

import sys
from pathlib import Path

import numpy as np
import pytest
from command_line import Ghostnet

from ghostnet import doctor, kernels
from ghostnet.doctor import GPU, LIBRARIES, Finding

GPU_SUBJECTS = ("libcuda.so.1", "CUDA_HOME", *LIBRARIES) if sys.version_info < (3, 13) else ()
"""What is examined where MindSpore may run on a GPU: on Linux, with these versions of Python."""


def test_the_package_works_here_and_every_problem_comes_with_advice(ghostnet: Ghostnet) -> None:
    answer = ghostnet.json("doctor")
    findings = {row["subject"]: Finding(**row) for row in answer["findings"]}
    assert not answer["failed"]
    assert findings["CPU kernels"].found == f"compiled, {kernels.instruction_set()}"
    assert findings["processor extensions"].found
    assert findings["numpy"].found == np.__version__
    assert findings.keys() >= {"MindSpore on the GPU", *GPU_SUBJECTS}
    assert all(f.fine != bool(f.help) for f in findings.values())


def test_the_table_shows_each_finding(ghostnet: Ghostnet) -> None:
    shown = ghostnet("doctor")
    for subject in ("mindspore", *GPU_SUBJECTS, "MindSpore on the GPU", "mindspore_hub"):
        assert subject in shown


def test_libraries_are_found_placed_or_missing(tmp_path: Path) -> None:
    assert doctor.library_finding("libm.so.6", "no advice") == Finding(
        GPU, "libm.so.6", True, "found"
    )
    missing = doctor.library_finding("libnone.so.1", "pip install it", [str(tmp_path)])
    assert (missing.found, missing.help) == ("not found", "pip install it")
    folder = tmp_path / "nvidia/none/lib"
    folder.mkdir(parents=True)
    (folder / "libnone.so.1").touch()
    placed = doctor.library_finding("libnone.so.1", "pip install it", [str(tmp_path)])
    assert not placed.fine
    assert placed.help == f"export LD_LIBRARY_PATH={folder}:$LD_LIBRARY_PATH"


@pytest.mark.parametrize(("release", "fine"), [("11.6", True), ("11.8", True), ("13.0", False)])
def test_the_release_of_cuda_home_decides(
    release: str, fine: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nvcc = tmp_path / "bin/nvcc"
    nvcc.parent.mkdir()
    nvcc.write_text(f"#!/bin/sh\necho 'Cuda compilation tools, release {release}, V{release}.1'\n")
    nvcc.chmod(0o755)
    monkeypatch.setenv("CUDA_HOME", str(tmp_path))
    (finding,) = doctor.cuda_home()
    assert finding.fine == fine
    assert f"CUDA {release}" in finding.found


def test_a_folder_without_a_compiler_is_said_to_be_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_HOME", str(tmp_path))
    (finding,) = doctor.cuda_home()
    assert not finding.fine
    assert "no nvcc" in finding.found


def test_a_command_that_cannot_run_is_a_finding_too() -> None:
    assert "No such file" in doctor.output_of(["/no/such/program"])
    assert doctor.output_of([sys.executable, "-c", "print('yes')"]) == "yes\n"
