"""`Session`: the same answers on any number of threads and for any number of callers."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from noise_images import NETWORKS, draw
from random_parameters import random_parameters
from schedule import at_night

from ghostnet import kernels
from ghostnet.models import MODELS

SIZES = [(224, 224), (97, 131), (257, 64), (33, 250)]


pytestmark = pytest.mark.usefixtures("kernel_settings")


def make_session(name: str, seed: int = 0) -> kernels.Session:
    architecture = MODELS[name].architecture
    return kernels.Session(architecture, random_parameters(architecture, 37, seed))


LARGE = "ghostnet_600m"
BY_DAY = [*(name for name in NETWORKS if name != LARGE), *at_night(LARGE)]


@pytest.mark.parametrize("size", SIZES, ids=lambda size: "x".join(map(str, size)))
@pytest.mark.parametrize("name", BY_DAY)
def test_answers_do_not_depend_on_the_number_of_threads(name: str, size: tuple[int, int]) -> None:
    session = make_session(name)
    for instruction_set in kernels.instruction_sets():
        kernels.set_instruction_set(instruction_set)
        for batch in (1, 6):
            images = draw(batch, *size)
            answers = []
            for threads in (1, 2, 3, 8):
                kernels.set_threads(threads)
                answers.append(session(images))
            for answer in answers[1:]:
                np.testing.assert_array_equal(answer, answers[0], f"{instruction_set}, {batch}")


@pytest.mark.parametrize("threads", [1, 2, 8])
@pytest.mark.parametrize("name", BY_DAY)
def test_callers_at_once_get_the_answers_of_one(name: str, threads: int) -> None:
    kernels.set_threads(threads)
    session = make_session(name)
    batches = [draw(batch, *size) for batch, size in zip((1, 5, 2, 1), SIZES, strict=True)]
    alone = [session(images) for images in batches]

    def differing(caller: int) -> int:
        images, expected = batches[caller % 4], alone[caller % 4]
        return sum(not np.array_equal(session(images), expected) for _ in range(5))

    with ThreadPoolExecutor(8) as executor:
        assert sum(executor.map(differing, range(8))) == 0


@pytest.mark.parametrize("layer", ["features", "pooled"])
@pytest.mark.parametrize("name", BY_DAY)
def test_layers_of_a_network_share_its_weights(name: str, layer: str) -> None:
    architecture = MODELS[name].architecture
    parameters = random_parameters(architecture, 37, 0)
    whole = kernels.Session(architecture, parameters)
    session = kernels.Session(architecture, parameters, **{layer: True}, sharing=whole)
    assert np.shares_memory(session.packed.weights, whole.packed.weights)
    images = draw(2, 64, 64)
    alone = kernels.Session(architecture, parameters, **{layer: True})
    np.testing.assert_array_equal(session(images), alone(images))
    other = kernels.Session(architecture, random_parameters(architecture, 37, 1))
    stranger = kernels.Session(architecture, parameters, **{layer: True}, sharing=other)
    np.testing.assert_array_equal(stranger(images), alone(images))


def test_a_call_sees_the_old_weights_or_the_new_ones() -> None:
    session = make_session("ghostnet_1x")
    images = draw(1, 64, 64)
    parameters = [random_parameters(session.architecture, 37, seed) for seed in (0, 1)]
    answers = []
    for values in parameters:
        session.refresh(values)
        answers.append(session(images).tobytes())

    def all_known(_: int) -> bool:
        return all(session(images).tobytes() in answers for _ in range(30))

    with ThreadPoolExecutor(2) as executor:
        known = executor.map(all_known, range(2))
        for index in range(6):
            session.refresh(parameters[index % 2])
        assert all(known)
