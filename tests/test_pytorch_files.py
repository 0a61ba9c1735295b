"""PyTorch's files, as PyTorch writes them."""

import argparse
import os
import pickle
from collections import OrderedDict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_line import Ghostnet
from hypothesis import given, settings
from hypothesis import strategies as st
from test_checkpoint_files import OTHERS, PARAMETERS, assert_same
from timm_names import timm_names

from ghostnet import hub
from ghostnet.checkpoints import Parameters, convert, read_foreign
from ghostnet.errors import CheckpointError

torch = pytest.importorskip("torch", reason="needs the extra torch")


def state_dict(prefix: str = "", parameters: Parameters = PARAMETERS) -> dict:
    state = OrderedDict()
    for name, array in timm_names(parameters).items():
        state[prefix + name] = torch.tensor(array)
        if name.endswith("running_var"):
            counter = name.replace("running_var", "num_batches_tracked")
            state[prefix + counter] = torch.tensor(3)
    return state


def timms() -> dict:
    """What timm's training script saves."""
    settings = argparse.Namespace(lr=0.1, data=Path("/data"), ema=argparse.Namespace(decay=0.9))
    return {
        "epoch": 7,
        "arch": "ghostnet_050",
        "state_dict": state_dict("module."),
        "optimizer": {
            "state": {0: {"exp_avg": torch.ones(3)}, 1: {"step": torch.tensor(1.0)}},
            "param_groups": [{"lr": 0.1, "params": [0, 1]}],
        },
        "version": 2,
        "args": settings,
        "metric": np.float64(71.5),
        "best": np.arange(3),
        "state_dict_ema": state_dict(parameters=OTHERS),
    }


CONTAINERS: dict[str, Callable[[], Any]] = {
    "a state dict": state_dict,
    "DistributedDataParallel's": lambda: state_dict("module."),
    "torch.compile's": lambda: state_dict("_orig_mod."),
    "Lightning's": lambda: {
        "state_dict": state_dict("model._orig_mod."),
        "hyper_parameters": {"lr": 0.1},
        "callbacks": {"ModelCheckpoint{'monitor': None}": {"best": torch.tensor(0.1)}},
    },
    "OpenMMLab's": lambda: {
        "meta": {"epoch": 3},
        "state_dict": state_dict("backbone."),
    },
    "detectron's": lambda: {"model": state_dict(), "iteration": 3, 0: "zero"},
    "nested": lambda: {"model": {"state_dict": state_dict("module.")}},
    "a copy for the best epoch": lambda: {
        "state_dict": state_dict(),
        "best_state_dict": state_dict(parameters=OTHERS),
    },
    "state_dict before model": lambda: {
        "model": state_dict(parameters=OTHERS),
        "state_dict": state_dict(),
    },
    "parameters": lambda: {
        name: torch.nn.Parameter(t) if t.is_floating_point() else t
        for name, t in state_dict().items()
    },
    "double": lambda: {name: t.double() for name, t in state_dict().items()},
    "an average alone": lambda: {"model_ema": state_dict(), "model": None},
}


@pytest.mark.parametrize("suffix", ["pth", "pth.tar", "bin", "ckpt", "weights"])
@pytest.mark.parametrize("container", CONTAINERS)
def test_pytorchs_containers(container: str, suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"x.{suffix}"
    legacy = suffix == "pth.tar"  # how PyTorch wrote before version 1.6
    torch.save(CONTAINERS[container](), path, _use_new_zipfile_serialization=not legacy)
    conversion = convert(read_foreign(path))
    assert_same(conversion.parameters, PARAMETERS)
    tracked = [n for n in conversion.found.left_out if n.endswith("num_batches_tracked")]
    assert len(tracked) >= 80
    assert_same(hub.open_model(path).parameters, PARAMETERS)


@pytest.mark.parametrize("averages", ["state_dict_ema", "model_ema", "ema", "ema_state_dict"])
def test_averages_come_first_and_can_be_chosen(
    averages: str, ghostnet: Ghostnet, tmp_path: Path
) -> None:
    file = timms()
    file[averages] = file.pop("state_dict_ema")
    source, target = tmp_path / "model_best.pth.tar", tmp_path / "x.ckpt"
    torch.save(file, source)
    wanted = {"ema": OTHERS, "raw": PARAMETERS}
    for words, use in (((), "ema"), (("--use", "ema"), "ema"), (("--use", "raw"), "raw")):
        answer = ghostnet.json("convert", source, target, "--force", *words)
        assert_same(read_foreign(target), wanted[use])
        assert answer["use"] == use
        assert answer["prefix"] == {"ema": f"{averages}/", "raw": "state_dict/module."}[use]
        assert {"epoch", "args", "metric", "optimizer/state/0/exp_avg"} < set(answer["left_out"])
    assert f"{averages}/" in ghostnet("convert", source, target, "--force")
    with pytest.warns(UserWarning, match="--use raw"):
        assert_same(hub.open_model(source).parameters, OTHERS)


def test_bfloat16_and_half_of_pytorch(tmp_path: Path) -> None:
    for dtype in (torch.bfloat16, torch.float16):
        state = {name: t.to(dtype) for name, t in state_dict().items()}
        torch.save(state, tmp_path / "x.bin")
        expected = {n: torch.tensor(a).to(dtype).float().numpy() for n, a in PARAMETERS.items()}
        assert_same(convert(read_foreign(tmp_path / "x.bin")).parameters, expected)


def test_safetensors_of_pytorch(tmp_path: Path) -> None:
    from safetensors.torch import save_file as save_tensors

    state = {f"module.{name}": t.bfloat16() for name, t in state_dict().items()}
    save_tensors(state, tmp_path / "x.bin", {"format": "pt"})
    expected = {n: torch.tensor(a).bfloat16().float().numpy() for n, a in PARAMETERS.items()}
    assert_same(convert(read_foreign(tmp_path / "x.bin")).parameters, expected)


class Harm:
    """Makes a file when it is unpickled by whoever runs what a pickle asks for."""

    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> tuple[Any, ...]:
        return self.call


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("place", ["alone", "beside the weights", "as a weight", "in the settings"])
def test_nothing_in_a_file_is_run(place: str, legacy: bool, tmp_path: Path) -> None:
    mark = tmp_path / "harm"
    for harm in (
        Harm(os.system, f"touch {mark}"),
        Harm(eval, f"open({str(mark)!r}, 'w')"),
        Harm(open, str(mark), "w"),
        Harm(Path.touch, mark),
    ):
        file = {
            "alone": harm,
            "beside the weights": state_dict() | {"epoch": harm},
            "as a weight": state_dict() | {"conv_stem.weight": harm},
            "in the settings": {"args": argparse.Namespace(x=harm), "model": state_dict()},
        }[place]
        torch.save(file, tmp_path / "x.pth", _use_new_zipfile_serialization=not legacy)
        with pytest.raises(CheckpointError, match="never run") as caught:
            read_foreign(tmp_path / "x.pth")
        assert not mark.exists()
        message = str(caught.value)
        assert len(message) < 400 + len(str(tmp_path))
        for advice in ("weights_only", "safe_globals", "trust", "allowlist"):
            assert advice not in message


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_a_pickle_without_pytorch(protocol: int, tmp_path: Path) -> None:
    content = pickle.dumps(PARAMETERS, protocol)
    (tmp_path / "x.pt").write_bytes(content)
    with pytest.raises(CheckpointError, match="cannot be read as a plain PyTorch state dict"):
        read_foreign(tmp_path / "x.pt")


def odd_files() -> Iterator[Any]:
    yield torch.ones(3)
    yield [state_dict()]
    circle: dict[Any, Any] = {}
    circle["again"] = circle
    yield circle
    deep: dict[Any, Any] = {}
    for _ in range(200):
        deep = {"deeper": deep, "again": deep}
    yield deep
    yield state_dict() | {"classifier.bias": torch.ones(1).expand(10**15)}
    yield state_dict() | {"classifier.bias": torch.eye(3).to_sparse()}
    yield state_dict() | {"classifier.bias": "a text"}
    yield state_dict() | {"classifier.bias": torch.ones(3, device="meta")}
    yield state_dict() | {"classifier.bias": torch.ones(3, dtype=torch.complex64)}


def test_files_that_are_no_networks(tmp_path: Path) -> None:
    for index, file in enumerate(odd_files()):
        torch.save(file, tmp_path / f"{index}.pth")
        with pytest.raises(CheckpointError):
            convert(read_foreign(tmp_path / f"{index}.pth"))


@given(data=st.data())
@settings(max_examples=50, deadline=None)
def test_damaged_files_are_refused_or_read(data: st.DataObject, tmp_path_factory: Any) -> None:
    path = tmp_path_factory.getbasetemp() / "damaged.pth"
    state = {name: torch.ones(2) for name in ("conv_stem.weight", "bn1.weight", "epoch")}
    legacy = data.draw(st.booleans())
    torch.save({"model": state}, path, _use_new_zipfile_serialization=not legacy)
    content = bytearray(path.read_bytes())
    content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content[: data.draw(st.integers(len(content) // 2, len(content)))])
    with pytest.raises(CheckpointError):
        convert(read_foreign(path))
