"""``ghostnet serve`` with several models, which are loaded, replaced and unloaded while it runs."""

import os
import pty
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests
from bundled_models import BREEDS, FLOWER_LABELS, FLOWERS
from command_line import Ghostnet
from model_server import ADDRESS, ModelServer, serving, serving_children
from schedule import at_night
from serving_requests import CAT, SLOW, form
from waiting import WAIT_SECONDS, wait_for

from ghostnet import kernels
from ghostnet.hub.catalog import assets_folder

pytestmark = pytest.mark.skipif(
    not kernels.available(), reason=f"no fused kernels here: {kernels.unavailable_reason()}"
)

BOTH = ("--model", f"breeds={BREEDS}", "--model", FLOWERS)
FLOWER_MODEL = "v2/models/ghostnet_v1.0_flowers"
RAW = {"Inference-Header-Content-Length": "0"}
TOKEN = {"Authorization": "Bearer secret"}


@pytest.fixture(scope="module")
def controlled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModelServer]:
    """A server of two models, which clients with the token may load and unload."""
    log = tmp_path_factory.mktemp("server") / "log"
    with serving(*BOTH, "--control-models", log=log, GHOSTNET_TOKEN="secret") as running:
        running.session.headers.update(TOKEN)
        yield running


def logits(server: ModelServer, model: str, headers: dict[str, str] = TOKEN) -> list[float]:
    response = server.post(f"{model}/infer", CAT, headers=headers | RAW)
    assert response.status_code == 200, response.text
    return response.json()["outputs"][0]["data"]


def change(server: ModelServer, what: str) -> requests.Response:
    return server.post(f"v2/repository/{what}", headers=TOKEN)


def states(server: ModelServer) -> dict[str, str]:
    return {entry["name"]: entry["state"] for entry in change(server, "index").json()}


def test_each_model_has_its_address_and_the_first_answers_without_one(
    controlled: ModelServer,
) -> None:
    for name, classes in (("breeds", 37), ("ghostnet_v1.0_flowers", 5)):
        metadata = controlled.get(f"v2/models/{name}").json()
        assert (metadata["name"], metadata["outputs"][0]["shape"]) == (name, [-1, classes])
        assert len(logits(controlled, f"v2/models/{name}")) == classes
        assert controlled.get(f"v2/models/{name}/config").json()["name"] == name
    (answer,) = controlled.post("predict", CAT, headers=TOKEN).json()
    assert answer["predictions"][0]["label"] == "Abyssinian"
    (counted,) = controlled.get(f"{FLOWER_MODEL}/stats").json()["model_stats"]
    assert counted["inference_count"] == 1


def test_an_unknown_model_is_404_with_those_that_there_are(controlled: ModelServer) -> None:
    for path in ("v2/models/cats", f"{FLOWER_MODEL}/versions/2", "v2/models/cats/ready"):
        response = controlled.get(path)
        assert response.status_code == 404
        assert "choose from breeds, ghostnet_v1.0_flowers" in response.json()["error"]
    assert change(controlled, "models/cats/load").status_code == 404
    assert change(controlled, "models/cats/unload").status_code == 404


def test_a_model_is_unloaded_and_loaded_and_what_has_begun_is_finished(
    controlled: ModelServer,
) -> None:
    before = logits(controlled, FLOWER_MODEL)
    images = controlled.metric("ghostnet_batch_images_sum")
    with ThreadPoolExecutor(1) as executor:
        begun = executor.submit(
            controlled.post, "predict", files=form(*[("a.png", SLOW)] * 8), headers=TOKEN
        )
        wait_for(lambda: controlled.metric("ghostnet_batch_images_sum") > images)
        assert change(controlled, "models/breeds/unload").status_code == 200
        assert begun.result().status_code == 200
    assert states(controlled) == {"breeds": "UNAVAILABLE", "ghostnet_v1.0_flowers": "READY"}
    assert controlled.get("v2/models/breeds/ready").status_code == 503
    assert controlled.get("readyz").status_code == 200
    assert controlled.post("predict", CAT, headers=TOKEN).status_code == 503
    assert logits(controlled, FLOWER_MODEL) == before
    assert change(controlled, "models/breeds/load").status_code == 200
    assert set(states(controlled).values()) == {"READY"}
    assert controlled.post("predict", CAT, headers=TOKEN).status_code == 200


def test_the_repository_is_for_those_with_the_token(controlled: ModelServer) -> None:
    for path in ("index", "models/breeds/load", "models/breeds/unload"):
        assert controlled.post(f"v2/repository/{path}").status_code == 401
    assert set(states(controlled).values()) == {"READY"}


def test_without_the_option_there_is_no_repository(server: ModelServer) -> None:
    for path in ("index", "models/x/load", "models/x/unload"):
        assert server.post(f"v2/repository/{path}").status_code == 404


def test_triton_client_controls_models(controlled: ModelServer) -> None:
    triton = pytest.importorskip("tritonclient.http", reason="needs the extra dev")
    client = triton.InferenceServerClient(f"127.0.0.1:{controlled.port}", network_timeout=60)
    try:
        client.unload_model("breeds", headers=TOKEN)
        assert not client.is_model_ready("breeds", headers=TOKEN)
        client.load_model("breeds", headers=TOKEN)
        assert client.is_model_ready("breeds", headers=TOKEN)
        index = client.get_model_repository_index(headers=TOKEN)
        assert [entry["name"] for entry in index] == ["breeds", "ghostnet_v1.0_flowers"]
    finally:
        client.close()


def test_a_second_model_takes_no_more_memory_than_its_weights(controlled: ModelServer) -> None:
    def resident(count: int) -> float:
        for _ in range(count):
            assert controlled.post("predict", CAT, headers=TOKEN).status_code == 200
        return controlled.metric("process_resident_memory_bytes")

    weights = next(assets_folder().rglob("ghostnet_v1.0_flowers.ckpt")).stat().st_size
    both = resident(4)
    assert change(controlled, "models/ghostnet_v1.0_flowers/unload").status_code == 200
    one = resident(4)
    assert change(controlled, "models/ghostnet_v1.0_flowers/load").status_code == 200
    again = resident(4)
    slack = 2 * 2**20
    assert 0.5 * weights < both - one < weights + slack
    assert again - one < weights + slack


# Reading the models again ---------------------------------------------------------------------


@pytest.fixture
def card(tmp_path: Path) -> Path:
    """A card of one's own, which a test may change."""
    for suffix in (".md", ".ckpt"):
        source = next(assets_folder().rglob(f"ghostnet_v1.0_flowers{suffix}"))
        shutil.copy(source, tmp_path / f"own{suffix}")
    path = tmp_path / "own.md"
    path.write_text(path.read_text().replace("<ghostnet_v1.0_flowers.ckpt>", "<own.ckpt>"))
    return path


def relabel(card: Path, old: str, new: str) -> None:
    text = card.read_text()
    assert f"[{old}" in text
    card.with_suffix(".new").write_text(text.replace(f"[{old}", f"[{new}"))
    card.with_suffix(".new").replace(card)


def labels(server: ModelServer) -> set[str]:
    """Labels of some answers, which any of the workers may give."""
    answers = [server.post("predict?top_k=5", CAT).json() for _ in range(8)]
    return {row["label"] for (answer,) in answers for row in answer["predictions"]}


@pytest.mark.parametrize("workers", [1, *at_night(2)])
def test_sighup_reads_the_cards_again(card: Path, tmp_path: Path, workers: int) -> None:
    with serving("--model", card, "--workers", workers, log=tmp_path / "log") as server:
        assert labels(server) == {*FLOWER_LABELS}
        relabel(card, "daisy", "marguerite")
        with ThreadPoolExecutor(1) as executor:
            begun = executor.submit(server.post, "predict", files=form(*[("a.png", SLOW)] * 8))
            server.process.send_signal(signal.SIGHUP)
            wait_for(lambda: labels(server) == {"marguerite", *FLOWER_LABELS[1:]})
            assert begun.result().status_code == 200


def test_a_bad_new_model_leaves_the_old_one_serving(card: Path, tmp_path: Path) -> None:
    log = tmp_path / "log"
    with serving("--model", card, log=log) as server:
        card.with_suffix(".ckpt").write_bytes(b"broken")
        relabel(card, "daisy", "marguerite")
        server.process.send_signal(signal.SIGHUP)
        wait_for(lambda: "cannot load own" in log.read_text())
        assert "the old one goes on" in log.read_text()
        assert labels(server) == {*FLOWER_LABELS}


@pytest.mark.nightly
def test_a_worker_that_dies_beside_a_bad_model_is_tried_again(card: Path, tmp_path: Path) -> None:
    log = tmp_path / "log"
    checkpoint = card.with_suffix(".ckpt")
    with serving("--model", card, "--workers", 2, log=log) as server:
        workers = wait_for(lambda: (found := serving_children(server))[1:] and found)
        content = checkpoint.read_bytes()
        checkpoint.write_bytes(b"broken")
        os.kill(workers[0], signal.SIGKILL)
        wait_for(lambda: "a worker cannot start: " in log.read_text())
        assert labels(server) == {*FLOWER_LABELS}
        checkpoint.write_bytes(content)
        wait_for(lambda: len(serving_children(server)) == 2)


def test_a_terminal_that_closes_ends_the_server_in_order() -> None:
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "ghostnet.cli", "serve", "--port", "0"]
    process = subprocess.Popen(command, stderr=theirs, start_new_session=True)
    os.close(theirs)
    try:
        text = b""
        while not ADDRESS.search(text.decode().replace("\r", "")):
            text += os.read(ours, 1000)
        found = ADDRESS.search(text.decode().replace("\r", ""))
        url = f"http://127.0.0.1:{found[2]}/readyz"
        assert requests.get(url, timeout=WAIT_SECONDS).status_code == 200
        process.send_signal(signal.SIGHUP)  # the terminal is there: read the models again
        assert requests.get(url, timeout=WAIT_SECONDS).status_code == 200
        os.close(ours)
        process.send_signal(signal.SIGHUP)
        assert process.wait(WAIT_SECONDS) == 0
    finally:
        process.kill()
        process.wait()


# Words that are wrong -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        (["--model", BREEDS, "--model", BREEDS], 1, "two models are called ghostnet_v1.0_pets"),
        (["--model", f"a={BREEDS}", "--model", f"a={FLOWERS}"], 1, "two models are called a;"),
        (["--model", "a=none.ckpt"], 1, "none.ckpt"),
        (["--model", ""], 1, "names no model"),
        (["--control-models"], 2, "needs a token"),
    ],
)
def test_models_that_cannot_be_served(
    ghostnet: Ghostnet, words: list[str], status: int, message: str
) -> None:
    ghostnet("serve", "--port", 0, *words, status=status)
    assert message in ghostnet.err


def test_requests_control_one_process_only(ghostnet: Ghostnet, tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("secret")
    words = ("--token-file", file, "--control-models", "--workers", 2)
    ghostnet("serve", "--port", 0, *words, status=2)
    assert "SIGHUP" in ghostnet.err
