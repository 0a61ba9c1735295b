"""Networks in bfloat16: close to those in floats, the same on any number of threads, or refused."""

import numpy as np
import pytest
from bundled_models import BREEDS, FLOWERS
from command_line import Ghostnet
from noise_images import NETWORKS, draw
from random_parameters import random_parameters

from ghostnet import KernelError, kernels
from ghostnet.cli.options import DtypeChoice
from ghostnet.hub import open_model
from ghostnet.hub.catalog import assets_folder
from ghostnet.kernels.cpu.library import DTYPES, missing_reason, processor_extensions
from ghostnet.models import GHOSTNET_1X, MODELS

PHOTOGRAPHS = sorted((assets_folder() / "images").glob("*.jpg"))

needs_bfloat16 = pytest.mark.skipif(
    bool(missing_reason("bfloat16")), reason="needs a processor with AVX512_BF16"
)

pytestmark = pytest.mark.usefixtures("kernel_settings")


@needs_bfloat16
@pytest.mark.parametrize("name", NETWORKS)
def test_answers_do_not_depend_on_threads_and_batches(name: str) -> None:
    architecture = MODELS[name].architecture
    parameters = random_parameters(architecture, 37)
    session = kernels.Session(architecture, parameters, dtype="bfloat16")
    floats = kernels.Session(architecture, parameters)
    for height, width in ((97, 131), (33, 250)):
        images = draw(5, height, width)
        answers = []
        for threads in (1, 2, 3):
            kernels.set_threads(threads)
            answers += [session(images), np.concatenate([session(x[None]) for x in images])]
        for answer in answers[1:]:
            np.testing.assert_array_equal(answer, answers[0])
        exact = floats(images)
        assert 0 < abs(answers[0] - exact).max() < 0.05 * abs(exact).max()


@needs_bfloat16
def test_photographs_are_named_as_in_floats() -> None:
    model = open_model(BREEDS)
    images = np.stack([model.preprocess(model.preprocess.decode(path)) for path in PHOTOGRAPHS])
    named = model.session(dtype="bfloat16")(images).argmax(1)
    np.testing.assert_array_equal(named, model.session()(images).argmax(1))


@needs_bfloat16
def test_a_fused_network_and_its_graph_answer_as_the_session() -> None:
    from mindspore import Tensor

    from ghostnet.kernels import fuse

    model = open_model(FLOWERS)
    images = draw(2, 64, 64)
    expected = model.session(dtype="bfloat16")(images)
    fused = fuse(model.network, dtype="bfloat16")
    np.testing.assert_array_equal(fused(Tensor(images)).asnumpy(), expected)
    np.testing.assert_array_equal(fused.construct(Tensor(images)).asnumpy(), expected)


@needs_bfloat16
def test_predict_takes_the_type(ghostnet: Ghostnet) -> None:
    words = ("predict", PHOTOGRAPHS[0])
    floats = ghostnet.json(*words)[0]["predictions"][0]
    short = ghostnet.json(*words, "--dtype", "bfloat16")[0]["predictions"][0]
    assert short["label"] == floats["label"]
    assert short["probability"] != floats["probability"]


def test_what_the_processor_has_is_named() -> None:
    kernels.set_instruction_set(kernels.instruction_sets()[-1])
    parameters = random_parameters(GHOSTNET_1X, 2)
    with pytest.raises(KernelError, match="needs a processor with AVX512_BF16") as raised:
        kernels.Session(GHOSTNET_1X, parameters, dtype="bfloat16")
    assert all(extension in str(raised.value) for extension in processor_extensions())


def test_other_engines_do_not_take_the_type(ghostnet: Ghostnet) -> None:
    for words in (("--no-fuse",), ("--backend", "onnxruntime")):
        ghostnet("predict", PHOTOGRAPHS[0], "--dtype", "bfloat16", *words, status=2)
        assert "leave out --ray, --no-fuse" in ghostnet.err


def test_the_command_line_has_every_type() -> None:
    assert {choice.value for choice in DtypeChoice} == set(DTYPES)
