"""What the requests of ``ghostnet serve`` take in memory is bounded, whatever they hold."""

import gzip
import threading
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from command_line import Ghostnet
from deep_images import chunk
from model_server import ModelServer, forget_peak, peak_memory, serving
from serving_requests import CAT, INFER, form, plain_image

from ghostnet import kernels
from ghostnet.serving import memory
from ghostnet.serving.limits import MEBIBYTE
from ghostnet.serving.memory import MemoryBudget
from ghostnet.serving.refusal import Refusal

needs_kernels = pytest.mark.skipif(
    not kernels.available(), reason=f"no fused kernels here: {kernels.unavailable_reason()}"
)

MEMORY = 64
WORK = 48
"""MiB for all requests, and for what is decoded and parsed."""

HEAD = b'{"inputs":[{"name":"images","datatype":"FP32","shape":[1,3,224,224],"data":['


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModelServer]:
    """A server with little memory, which keeps memory for few images, and has answered."""
    words = ("--memory-mib", MEMORY, "--max-body-mib", 8, "--max-batch", 1)
    log = tmp_path_factory.mktemp("memory") / "log"
    with serving(*words, log=log) as server:
        assert server.post("predict", files=form(*[("a.jpg", CAT)] * 8)).status_code == 200
        yield server


@needs_kernels
def test_large_images_wait_for_one_another(small: ModelServer) -> None:
    before = forget_peak(small)
    large = plain_image(2300, 2300)  # two of them are more than there is
    with ThreadPoolExecutor(8) as executor:
        answers = list(executor.map(lambda _: small.post("predict", large), range(8)))
    assert [answer.status_code for answer in answers] == [200] * 8
    assert peak_memory(small) - before < WORK


@needs_kernels
def test_an_image_that_takes_more_than_there_is_is_422(small: ModelServer) -> None:
    before = forget_peak(small)
    files = form(("a.jpg", CAT), ("b.png", plain_image(9990, 9990)))
    response = small.post("predict", files=files)
    assert response.status_code == 422
    good, refused = response.json()
    assert good["predictions"]
    assert refused["error"] == (
        "this image takes up to 694 MiB of memory, more than the 48 MiB that the server has for "
        "it; make a smaller copy"
    )
    assert peak_memory(small) - before < WORK


@needs_kernels
@pytest.mark.parametrize(
    "part",
    [b"[],", b"{},", b'"",', b'{"":{}},', b"[[[[0]]]],", b"null,"],
    ids=lambda part: part.decode(),
)
def test_json_with_more_parts_than_images_have_is_413(small: ModelServer, part: bytes) -> None:
    before = forget_peak(small)
    body = HEAD + b'"",' + part * (6 * MEBIBYTE // len(part)) + b"0]}]}"
    for content, headers in ((body, {}), (gzip.compress(body), {"Content-Encoding": "gzip"})):
        response = small.post(INFER, content, headers=headers)
        assert response.status_code == 413
        assert "send binary data, or fewer images" in response.json()["error"]
    assert peak_memory(small) - before < WORK


@needs_kernels
def test_numbers_in_json_take_little_more_than_their_array(small: ModelServer) -> None:
    before = forget_peak(small)
    response = small.post(INFER, HEAD + b"0," * (3 * MEBIBYTE) + b"0]}]}")
    assert response.status_code == 400
    assert "has 3,145,729 values" in response.json()["error"]
    assert peak_memory(small) - before < WORK


@needs_kernels
def test_many_forms_at_once_take_no_more_than_there_is(small: ModelServer) -> None:
    before = forget_peak(small)
    files = form(*[("a.png", plain_image(700, 700))] * 30, ("b", bytes(4 * MEBIBYTE)))
    with ThreadPoolExecutor(12) as executor:
        answers = list(executor.map(lambda _: small.post("predict", files=files), range(12)))
    assert {answer.status_code for answer in answers} <= {422, 503}
    assert peak_memory(small) - before < MEMORY
    assert small.post("predict", CAT).status_code == 200


def test_bodies_have_to_fit_into_the_memory(ghostnet: Ghostnet) -> None:
    ghostnet("serve", "--memory-mib", 100, "--max-body-mib", 20, status=2)
    assert "--memory-mib must be at least 8 times --max-body-mib" in ghostnet.err


def test_work_that_does_not_fit_waits_until_other_work_is_done() -> None:
    budget, order = MemoryBudget(10), []
    entered = [threading.Event() for _ in range(3)]
    release = threading.Event()

    def work(number: int, size: int) -> None:
        with budget.share(size, "it"):
            order.append(number)
            entered[number].set()
            if number == 0:
                release.wait()

    threads = [threading.Thread(target=work, args=pair) for pair in ((0, 6), (1, 6), (2, 4))]
    threads[0].start()
    entered[0].wait()
    threads[1].start()
    while not budget._turn.locked():
        pass
    threads[2].start()
    assert order == [0]
    release.set()
    for thread in threads:
        thread.join()
    assert order == [0, 1, 2]


def test_work_that_never_fits_and_work_that_waits_too_long_are_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(memory, "WAIT_SECONDS", 0.01)
    budget = MemoryBudget(10 * MEBIBYTE)
    with pytest.raises(Refusal, match="up to 11 MiB of memory, more than the 10") as large:
        budget.share(11 * MEBIBYTE, "this").__enter__()
    with budget.share(6 * MEBIBYTE, "this"), pytest.raises(Refusal, match="try again") as waiting:
        budget.share(6 * MEBIBYTE, "this").__enter__()
    assert (large.value.status, waiting.value.status) == (413, 503)
    with budget.share(10 * MEBIBYTE, "this"):
        pass


@needs_kernels
def test_a_png_image_with_long_texts_is_422(small: ModelServer) -> None:
    texts = [chunk(b"zTXt", b"%d\0\0" % n + zlib.compress(bytes(2**20))) for n in range(40)]
    content = plain_image(40, 40)
    before = forget_peak(small)
    for image in (content[:33] + b"".join(texts) + content[33:], content[:-12] + b"".join(texts)):
        assert small.post("predict", image).status_code == 422
    assert peak_memory(small) - before < 16
