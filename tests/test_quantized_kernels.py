"""The fused kernels on the int8 network: exact sums, and one answer wherever they run."""

from pathlib import Path

import numpy as np
import pytest
from quantized_reference import QuantizedNetwork
from random_parameters import random_quantized_parameters

from ghostnet import kernels
from ghostnet.checkpoints import Parameters
from ghostnet.models import GHOSTNET_INT8_1X

pytestmark = pytest.mark.usefixtures("kernel_settings")


@pytest.fixture(scope="module")
def parameters() -> Parameters:
    return random_quantized_parameters(37)


@pytest.fixture(scope="module")
def wild(parameters: Parameters) -> Parameters:
    """Weights at the ends of their range, which a byte does not hold, and zeros between steps."""
    changed = dict(parameters)
    for name, values in parameters.items():
        if name.endswith("scale_w"):
            changed[name] = values * np.float32(0.8)
        if name.endswith("zp_a"):
            changed[name] = values + np.float32(0.25)
    return changed


@pytest.mark.parametrize(("height", "width"), [(64, 64), (97, 131), (33, 250), (1, 1)])
def test_the_kernels_sum_whole_numbers(parameters: Parameters, height: int, width: int) -> None:
    """The answer has the same bits on every instruction set, and on any number of threads."""
    images = np.random.default_rng(2).standard_normal((5, 3, height, width)).astype(np.float32)
    expected = QuantizedNetwork(GHOSTNET_INT8_1X, parameters, 37)(images)
    answers = every_answer(kernels.Session(GHOSTNET_INT8_1X, parameters, features=True), images)
    for features in answers[1:]:
        np.testing.assert_array_equal(features, answers[0])
    for logits in every_answer(kernels.Session(GHOSTNET_INT8_1X, parameters), images):
        np.testing.assert_allclose(logits, expected, rtol=0, atol=1e-4)


def test_the_kernels_hold_every_weight_and_zero(wild: Parameters) -> None:
    images = np.random.default_rng(3).standard_normal((2, 3, 75, 53)).astype(np.float32)
    expected = QuantizedNetwork(GHOSTNET_INT8_1X, wild, 37)(images)
    for logits in every_answer(kernels.Session(GHOSTNET_INT8_1X, wild), images):
        np.testing.assert_allclose(logits, expected, rtol=0, atol=1e-4)


def every_answer(session: kernels.Session, images: np.ndarray) -> list[np.ndarray]:
    """The answers of each instruction set on some numbers of threads."""
    answers = []
    for name in kernels.instruction_sets():
        kernels.set_instruction_set(name)
        for threads in (1, 2, 3):
            kernels.set_threads(threads)
            answers.append(session(images))
    return answers


def test_the_released_code_differs_by_steps_alone(parameters: Parameters, shared: Path) -> None:
    """Its sums in floats take some values to another step, in an order that varies."""
    expected = np.load(shared / "spec/ghostnet_int8_1x_reference.npz")["logits"]
    images = np.random.default_rng(8).standard_normal((2, 3, 224, 224)).astype(np.float32)
    logits = kernels.Session(GHOSTNET_INT8_1X, parameters)(images)
    assert np.corrcoef(logits.ravel(), expected.ravel())[0, 1] > 0.9995
    np.testing.assert_array_equal(logits.argmax(1), expected.argmax(1))
