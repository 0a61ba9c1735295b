"""The C++ tests as zig compiles them for other systems and processors, each in its emulator."""

import os
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import pytest

pytest.importorskip("ziglang", reason="needs requirements/wheels.txt")

from platforms import cmake_variables, compiler

ROOT = Path(__file__).parents[1]

FOLDER = TemporaryDirectory()

EMULATORS = {"qemu-aarch64": "qemu-user", "wine": "wine64 and wine"}
"""Debian's packages of emulators."""

PROGRAMS = {"kernels_test": ("2",), "training_test": (), "memory_test": ()}
"""The C++ tests and their arguments: batches of more than 2 images take minutes in an emulator."""


class Machine(NamedTuple):
    """What programs run on.

    Attributes:
        target: As zig says it.
        emulator: The command before a program; none for this machine.
        extensions: Those of the processor, as the kernels find them; None: those of this machine.
    """

    target: str
    emulator: tuple[str, ...]
    extensions: str | None = None


def arm(processor: str, extensions: str) -> Machine:
    """A processor of ARM under Linux."""
    return Machine("aarch64-linux-musl", ("qemu-aarch64", "-cpu", processor), extensions)


MACHINES = {
    "musl": Machine("x86_64-linux-musl", ()),
    "cortex-a53": arm("cortex-a53", ""),
    "cortex-a72": arm("cortex-a72", ""),
    "cortex-a76": arm("cortex-a76", "asimddp"),
    "every extension of ARM": arm("max", "asimddp i8mm bf16"),
    "windows": Machine("x86_64-windows-gnu", ("wine",)),
}


@cache
def programs(target: str) -> Path:
    """The folder of the C++ tests, compiled for a target."""
    folder = Path(FOLDER.name) / target
    variables = cmake_variables(target) | {"GHOSTNET_TESTS": "ON"}
    options = [f"-D{name}={value}" for name, value in variables.items()]
    run("cmake", "-S", ROOT, "-B", folder, "-G", "Ninja", *options, CXX=compiler(target))
    run("cmake", "--build", folder, "--target", *PROGRAMS, "processor")
    return folder / "tests/cpp"


def run(*command: object, **environment: str) -> str:
    """Run a program, and return what it prints."""
    search = {"PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])}
    done = subprocess.run(
        [str(part) for part in command],
        env=os.environ | search | environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(params=MACHINES)
def machine(request: pytest.FixtureRequest) -> Machine:
    """A machine that is at hand."""
    chosen = MACHINES[request.param]
    if not chosen.emulator and os.uname().machine != chosen.target.partition("-")[0]:
        pytest.skip("needs an x86-64 machine")
    for program in chosen.emulator[:1]:
        if shutil.which(program) is None:
            pytest.skip(f"needs {program}: apt-get install {EMULATORS[program]}")
    return chosen


def run_on(machine: Machine, program: str, *arguments: str) -> str:
    """Run one of the C++ tests on a machine, and return what it prints."""
    suffix = ".exe" if "windows" in machine.target else ""
    path = programs(machine.target) / f"{program}{suffix}"
    home = Path(FOLDER.name) / "home"
    return run(*machine.emulator, path, *arguments, WINEDEBUG="-all", WINEPREFIX=str(home))


@pytest.mark.nightly
@pytest.mark.slow
def test_the_processor_is_known(machine: Machine) -> None:
    extensions, sets = run_on(machine, "processor").splitlines()
    if machine.extensions is not None:
        assert extensions.split() == machine.extensions.split()
        assert sets.split() == ["neon"]
    else:
        from ghostnet import kernels
        from ghostnet.kernels.cpu import library

        assert tuple(extensions.split()) == library.processor_extensions()
        assert set(sets.split()) >= set(kernels.instruction_sets()) - {"amx"}


@pytest.mark.nightly
@pytest.mark.slow
@pytest.mark.parametrize("program", PROGRAMS)
def test_the_kernels_pass(machine: Machine, program: str) -> None:
    run_on(machine, program, *PROGRAMS[program])
