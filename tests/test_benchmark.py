"""The benchmark runs every engine on the same weights and reports what came of it."""

import json
import os
import signal
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from bundled_models import FLOWERS
from command_line import FROM_A_TERMINAL, Ghostnet
from model_server import children
from waiting import wait_for

from ghostnet import BenchmarkError, CardError, ghostnet_nose_1x, mobilenet_v2_1x
from ghostnet.benchmark.runner import Measurement, benchmark, own_process
from ghostnet.checkpoints import parameters_of, write_checkpoint


@pytest.mark.nightly
def test_engines_take_turns_and_agree() -> None:
    turns: list[int] = []
    engines = ("ghostnet", "mindspore-fused-graph")
    results = benchmark(FLOWERS, engines, batch=2, rounds=2, progress=turns.append)
    assert [result.engine for result in results] == list(engines)
    assert turns == [1] * 4
    for result in results:
        assert result.error is None
        assert result.calls >= 2
        assert 0 < result.low <= result.milliseconds <= result.high
        assert result.images_per_second == pytest.approx(2000 / result.milliseconds)
        assert result.peak_mib > 50
        assert result.difference < 1e-4
        assert result.batch == 2


@pytest.mark.nightly
def test_an_engine_that_cannot_run_says_why_and_does_not_stop_the_others(tmp_path: Path) -> None:
    write_checkpoint(parameters_of(ghostnet_nose_1x(3)), tmp_path / "nose.ckpt")
    engines = ("mindcv", "ghostnet")
    refused, other = benchmark(str(tmp_path / "nose.ckpt"), engines, rounds=1)
    assert "MindCV does not have this network" in refused.error
    assert refused.milliseconds is None
    assert other.error is None


@pytest.mark.nightly
def test_mobilenet_v2_is_timed_too(tmp_path: Path) -> None:
    write_checkpoint(parameters_of(mobilenet_v2_1x(3)), tmp_path / "mobilenet.ckpt")
    engines = ("ghostnet", "torch")
    fused, refused = benchmark(str(tmp_path / "mobilenet.ckpt"), engines, rounds=1)
    assert fused.difference < 1e-4
    assert "builds only GhostNets in PyTorch" in refused.error


@pytest.mark.nightly
def test_an_engine_that_is_not_installed_says_how_and_does_not_stop_the_others(
    tmp_path: Path,
) -> None:
    for package in ("torch", "onnx"):  # found before the installed ones, if there are any
        (tmp_path / package).mkdir()
        (tmp_path / package / "__init__.py").write_text("raise ImportError('not installed')")
    done = subprocess.run(
        [sys.executable, "-m", "ghostnet.cli", "benchmark", "--model", FLOWERS, "--json"]
        + ["--against", "torch,openvino", "--rounds", "1"],
        env=os.environ | {"PYTHONPATH": f"{tmp_path}:{os.environ.get('PYTHONPATH', '')}"},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (1, "")
    fused, torch, openvino = json.loads(done.stdout)
    assert "pip install 'mindspore-ghostnet[torch]'" in torch["error"]
    assert "pip install 'mindspore-ghostnet[export]'" in openvino["error"]
    assert fused["error"] is None


def test_engines_start_without_the_libraries_of_mindspore() -> None:
    assert "/mindspore/lib" in os.environ["LD_LIBRARY_PATH"]
    with own_process() as process:
        assert "/mindspore/lib" not in process.submit(os.getenv, "LD_LIBRARY_PATH").result()
    assert "/mindspore/lib" in os.environ["LD_LIBRARY_PATH"]


INTERRUPTED_START = """
import multiprocessing, os, signal, threading
from ghostnet.benchmark.runner import own_process

def interrupt():
    while not multiprocessing.active_children():
        pass
    os.kill(os.getpid(), signal.SIGINT)

signal.signal(signal.SIGINT, signal.default_int_handler)
threading.Thread(target=interrupt).start()
try:
    with own_process():
        pass
except KeyboardInterrupt as interruption:
    print(multiprocessing.active_children())
"""


def test_an_interruption_of_its_start_ends_a_process() -> None:
    done = subprocess.run(
        [sys.executable, "-c", INTERRUPTED_START], capture_output=True, text=True, timeout=60
    )
    assert (done.stdout, done.stderr) == ("[]\n", "")


def test_an_interruption_is_one_line_and_ends_the_engines() -> None:
    words = ["--model", FLOWERS, "--rounds", "1000", "--against", "mindspore-fused"]
    process = subprocess.Popen(
        [sys.executable, "-c", FROM_A_TERMINAL, "benchmark", *words],
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,  # Ctrl-C reaches every process of a terminal's job
    )
    # An engine stands still while the other has its turn.
    wait_for(lambda: "T" in [state_of(child) for child in children(process.pid)])
    os.killpg(process.pid, signal.SIGINT)
    assert process.communicate()[1] == "ghostnet: interrupted\n"
    assert process.returncode == 130


def state_of(process: int) -> str:
    """The kernel's letter for the state of a process."""
    return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]


def test_what_cannot_be_measured_is_refused() -> None:
    with pytest.raises(BenchmarkError, match="no engine abacus"):
        benchmark(FLOWERS, ("abacus",))
    with pytest.raises(CardError, match="no card with this UID ships"):
        benchmark("nobody/cpu/1.0/nothing", ("onnxruntime",))


PACKAGES = {
    "onnxruntime": ("onnxruntime", "export"),
    "openvino": ("openvino", "export"),
    "torch": ("torch", "torch"),
    "mindcv": ("mindcv", "bench"),
    "mnn": ("MNN", "bench"),
    "ncnn": ("pnnx", "bench"),
    "litert": ("litert_torch", "bench"),
}
"""The package that an engine runs on, and the extra that brings it."""


@pytest.fixture(scope="module")
def measured() -> dict[str, Measurement]:
    """Engines by name, all that are installed; to import them here would change this process."""
    engines = tuple(engine for engine, (package, _) in PACKAGES.items() if find_spec(package))
    results = benchmark(FLOWERS, engines, batch=2, threads=1, rounds=1)
    return {result.engine: result for result in results}


@pytest.mark.parametrize(
    "engine", [name for name in PACKAGES if find_spec(PACKAGES[name][0])] or ["onnxruntime"]
)
def test_engines_of_other_packages(engine: str, measured: dict[str, Measurement]) -> None:
    if engine not in measured:
        pytest.skip(f"needs the extra {PACKAGES[engine][1]}")
    result = measured[engine]
    assert result.error is None
    assert result.difference is None if engine == "mindcv" else result.difference < 1e-4


def test_the_command_prints_a_table_or_json(
    ghostnet: Ghostnet,
) -> None:
    words = ("benchmark", "--model", FLOWERS, "--threads", 1, "--rounds", 1)
    fused, other = ghostnet.json(*words, "--against", "mindspore-fused")
    assert (fused["engine"], other["engine"]) == ("ghostnet", "mindspore-fused")
    assert fused["threads"] == 1
    out = ghostnet(*words, "--against", "")
    assert "images/s" in out
    assert "ghostnet" in out
    ghostnet("benchmark", "--against", "abacus", status=1)
    assert "abacus" in ghostnet.err
