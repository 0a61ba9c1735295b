"""The kernels with too little memory, too few threads, and arguments that do not fit together.

A call answers or raises, and the call after it is right: each program below is a process of its
own, which fails the test if it ends early or hangs.
"""

import subprocess
import sys
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from noise_images import draw
from random_parameters import random_parameters

from ghostnet import CheckpointError, KernelError, kernels
from ghostnet.kernels.cpu import library
from ghostnet.kernels.cpu.packing import PackedNetwork
from ghostnet.models import MODELS

pytestmark = pytest.mark.usefixtures("kernel_settings")

FOLDERS = [Path(__file__).parent, Path(__file__).parents[1] / "benchmarks"]

PREAMBLE = f"""
import os, resource, sys
sys.path[:0] = {[str(folder) for folder in FOLDERS]}
from noise_images import draw
from random_parameters import random_parameters
from ghostnet import kernels
from ghostnet.models import find_model

MIB = 2**20

def limit_memory(spare):
    pages = int(open("/proc/self/statm").read().split()[0])
    hard = resource.getrlimit(resource.RLIMIT_AS)[1]
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + spare, hard))

def lift_limit():
    hard = resource.getrlimit(resource.RLIMIT_AS)[1]
    resource.setrlimit(resource.RLIMIT_AS, (hard, hard))

architecture = find_model("ghostnet_050").architecture
session = kernels.Session(architecture, random_parameters(architecture, 3))
"""

OUT_OF_MEMORY = """
images = draw(9, 160, 160)
kernels.set_threads(1)
expected = session(images).tobytes()
kernels.set_threads(3)

def call(spare):
    limit_memory(spare)
    try:
        answers = session(images).tobytes()
    except MemoryError as error:
        answers, message = None, str(error)
        assert "memory" in message or "allocate" in message, message
    lift_limit()
    assert answers in (None, expected)
    assert session(images).tobytes() == expected
    return answers is None

failed = 0
for spare in range(0, 60 * MIB, MIB // 2):
    child = os.fork()
    if not child:
        os._exit(call(spare))
    status = os.waitpid(child, 0)[1]
    assert status in (0, 1 << 8), status
    failed += status != 0
print(0 < failed < 120)
"""

TOO_FEW_THREADS = """
images = draw(5, 64, 64)
kernels.set_threads(1)
expected = session(images).tobytes()
before = len(os.listdir("/proc/self/task"))
limit_memory(MIB)  # less than the stack of a thread
for count in (4, 10_000):
    kernels.set_threads(count)
    assert session(images).tobytes() == expected
    assert kernels.threads() == count
assert len(os.listdir("/proc/self/task")) == before
lift_limit()
assert session(images).tobytes() == expected
print(len(os.listdir("/proc/self/task")) > before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="needs Linux's limits")
@pytest.mark.parametrize("program", [OUT_OF_MEMORY, TOO_FEW_THREADS], ids=["memory", "threads"])
def test_a_call_that_cannot_have_what_it_needs(program: str) -> None:
    command = [sys.executable, "-c", PREAMBLE + program]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240)
    assert done.stdout == "True\n", done.stderr


@pytest.mark.parametrize("count", [0, -1, 2**31, 2**32 + 1, 65_537, True, 1.0, "2", None])
def test_what_is_no_number_of_threads_is_refused(count: object) -> None:
    kernels.set_threads(3)
    with pytest.raises(KernelError, match="a whole number from 1 to 65,536"):
        kernels.set_threads(count)  # type: ignore[arg-type]
    assert kernels.threads() == 3


def test_numbers_of_numpy_are_numbers_of_threads() -> None:
    kernels.set_threads(np.int64(2))  # type: ignore[arg-type]
    assert kernels.threads() == 2


@cache
def packed() -> PackedNetwork:
    return small_session().packed


def small_session() -> kernels.Session:
    architecture = MODELS["ghostnet_050"].architecture
    return kernels.Session(architecture, random_parameters(architecture, 3))


@pytest.mark.parametrize("outputs", [1, 2, 4, 1000])
def test_an_output_of_another_length_is_refused(outputs: int) -> None:
    with pytest.raises(KernelError, match=f"to {outputs} outputs"):
        library.forward(draw(1, 33, 33), *packed(), outputs)


def test_images_too_large_to_count_are_refused(tmp_path: Path) -> None:
    shape = (1, 3, 2**28 + 1, 1)
    images = np.memmap(tmp_path / "images", np.float32, "w+", shape=shape)
    with pytest.raises(KernelError, match="at most 2²⁸ pixels"):
        small_session()(images)


@settings(deadline=None, max_examples=300)
@given(st.data())
def test_no_plan_makes_the_kernels_read_elsewhere(data: st.DataObject) -> None:
    plan = packed().plan.copy()
    index = data.draw(st.integers(0, len(plan) - 1))
    plan[index] = data.draw(st.integers(-(2**31), 2**31 - 1) | st.integers(-2, 64))
    plan = plan[: data.draw(st.sampled_from([len(plan), len(plan) - 1, 4, 0]))]
    try:
        shape = library.forward(draw(1, 33, 33), plan, packed().weights, 3).shape
    except KernelError:
        shape = (1, 3)
    assert shape == (1, 3)


def shifted(array: np.ndarray, by: int) -> np.ndarray:
    """The array as a read-only view of bytes that begins ``by`` bytes beyond an aligned address."""
    memory = np.frombuffer(bytes(by) + array.tobytes(), array.dtype, offset=by)
    return memory.reshape(array.shape)


@pytest.mark.parametrize("by", [1, 2, 3])
def test_parameters_and_images_lie_at_any_address(by: int) -> None:
    session = small_session()
    parameters = random_parameters(session.architecture, 3)
    images = draw(2, 33, 40)
    expected = session(images)
    session.refresh({name: shifted(array, by) for name, array in parameters.items()})
    np.testing.assert_array_equal(session(shifted(images, by)), expected)


def test_parameters_and_images_lie_in_any_order() -> None:
    session = small_session()
    parameters = random_parameters(session.architecture, 3)
    images = draw(2, 33, 40)
    expected = session(images)
    session.refresh({name: np.asfortranarray(array) for name, array in parameters.items()})
    np.testing.assert_array_equal(session(np.asfortranarray(images)), expected)
    np.testing.assert_array_equal(session(images[::-1, ::1, ::1, ::1])[::-1], expected)
    swapped = {name: array.astype(">f4") for name, array in parameters.items()}
    session.refresh(swapped)
    np.testing.assert_array_equal(session(images), expected)


@pytest.mark.parametrize("dtype", [">f4", "f8", "f2", "i4"])
def test_images_of_another_dtype_are_refused(dtype: str) -> None:
    with pytest.raises(KernelError, match="float32"):
        small_session()(draw(1, 33, 33).astype(dtype))


@pytest.mark.parametrize("classes", [1, 2, 4, 300])
def test_a_refresh_with_other_classes_changes_nothing(classes: int) -> None:
    session = small_session()
    images = draw(1, 33, 33)
    expected = session(images)
    with pytest.raises(KernelError, match=f"has 3 classes and the parameters have {classes}"):
        session.refresh(random_parameters(session.architecture, classes))
    np.testing.assert_array_equal(session(images), expected)


def test_features_are_refreshed_from_any_number_of_classes() -> None:
    architecture = MODELS["ghostnet_050"].architecture
    session = kernels.Session(architecture, random_parameters(architecture, 3), features=True)
    expected = session(draw(1, 33, 33))
    wide = random_parameters(architecture, 300)
    session.refresh(wide)
    alone = kernels.Session(architecture, wide, features=True)
    np.testing.assert_array_equal(session(draw(1, 33, 33)), alone(draw(1, 33, 33)))
    assert expected.shape == (1, session.outputs)


@pytest.mark.parametrize("name", ["conv_stem.weight", "bn1.gamma", "classifier.bias"])
@pytest.mark.parametrize("damage", ["missing", "wrong shape"])
def test_a_refresh_with_damaged_parameters_changes_nothing(name: str, damage: str) -> None:
    session = small_session()
    images = draw(1, 33, 33)
    expected = session(images)
    parameters = random_parameters(session.architecture, 3)
    array = parameters.pop(name)
    if damage == "wrong shape":
        parameters[name] = array[:-1]
    with pytest.raises(CheckpointError, match=f"{damage}: {name}"):
        session.refresh(parameters)
    np.testing.assert_array_equal(session(images), expected)
