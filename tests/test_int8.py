"""Networks in 8 bits: close to those in floats, and the same on any number of threads."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from bundled_models import BREEDS, FLOWERS
from mindspore import Tensor
from noise_images import NETWORKS, draw
from random_parameters import random_parameters

from ghostnet import KernelError, kernels
from ghostnet.data.image_folder import read_folder
from ghostnet.hub import open_model
from ghostnet.hub.catalog import assets_folder
from ghostnet.kernels import fuse
from ghostnet.kernels.cpu.library import missing_reason
from ghostnet.models import MODELS

PHOTOGRAPHS = sorted((assets_folder() / "images").glob("*.jpg"))

needs_vnni = pytest.mark.skipif(bool(missing_reason("int8")), reason="needs a processor with VNNI")


pytestmark = pytest.mark.usefixtures("kernel_settings")


def instruction_sets() -> Iterator[str]:
    """Set one instruction set with VNNI after the other."""
    for name in kernels.instruction_sets():
        kernels.set_instruction_set(name)
        if not missing_reason("int8"):
            yield name


@needs_vnni
@pytest.mark.parametrize("name", NETWORKS)
def test_answers_do_not_depend_on_threads_and_batches(name: str) -> None:
    architecture = MODELS[name].architecture
    session = kernels.Session(architecture, random_parameters(architecture, 37), dtype="int8")
    for instruction_set in instruction_sets():
        for height, width in ((224, 224), (97, 131), (33, 250)):
            images = draw(6, height, width)
            answers = []
            for threads in (1, 2, 3, 8):
                kernels.set_threads(threads)
                answers += [session(images), np.concatenate([session(x[None]) for x in images])]
            for answer in answers[1:]:
                np.testing.assert_array_equal(answer, answers[0], instruction_set)


@needs_vnni
def test_photographs_are_named_as_in_floats() -> None:
    model = open_model(BREEDS)
    images = np.stack([model.preprocess(model.preprocess.decode(path)) for path in PHOTOGRAPHS])
    floats = kernels.Session(model.architecture, model.parameters)(images)
    session = kernels.Session(model.architecture, model.parameters, dtype="int8")
    for instruction_set in instruction_sets():
        np.testing.assert_array_equal(
            session(images).argmax(1), floats.argmax(1), err_msg=instruction_set
        )


@needs_vnni
def test_flowers_are_named_as_in_floats(shared: Path) -> None:
    model = open_model(FLOWERS)
    folder = read_folder(shared / "data/flowers/val")
    images = np.stack([model.preprocess(model.preprocess.decode(file)) for file, _ in folder.files])
    labels = np.array([index for _, index in folder.files])
    floats = kernels.Session(model.architecture, model.parameters)(images).argmax(1)
    session = kernels.Session(model.architecture, model.parameters, dtype="int8")
    for instruction_set in instruction_sets():
        found = session(images).argmax(1)
        assert (found == labels).sum() >= (floats == labels).sum() - 3, instruction_set


@needs_vnni
def test_a_fused_network_and_its_graph_answer_as_the_session() -> None:
    model = open_model(FLOWERS)
    images = draw(2, 64, 64)
    session = kernels.Session(model.architecture, model.parameters, dtype="int8")
    fused = fuse(model.network, dtype="int8")
    np.testing.assert_array_equal(fused(Tensor(images)).asnumpy(), session(images))
    np.testing.assert_array_equal(fused.construct(Tensor(images)).asnumpy(), session(images))
    fused.refresh(model.network)
    np.testing.assert_array_equal(fused(Tensor(images)).asnumpy(), session(images))


@needs_vnni
def test_an_instruction_set_without_vnni_is_named() -> None:
    model = open_model(FLOWERS)
    session = kernels.Session(model.architecture, model.parameters, dtype="int8")
    last = kernels.instruction_sets()[-1]
    kernels.set_instruction_set(last)
    reason = f"dtype int8 needs a processor with VNNI.*{last} is without it here, .*use float32"
    with pytest.raises(KernelError, match=reason):
        session(draw(1, 32, 32))
    with pytest.raises(KernelError, match=reason):
        fuse(model.network, dtype="int8")


def test_another_dtype_is_named() -> None:
    model = open_model(FLOWERS)
    with pytest.raises(KernelError, match="dtype 'int4' is not one of float32, int8, bfloat16"):
        kernels.Session(model.architecture, model.parameters, dtype="int4")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="trained in float32, not in 'int8'"):
        fuse(model.network, training=True, dtype="int8")
