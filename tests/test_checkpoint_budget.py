"""Small files that ask for much: each is refused, or read, within a bounded memory."""

import contextlib
import math
import struct
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pytorch_files import a_pickle, legacy_file, pickled, tensor, zip_file
from safetensors.numpy import save_file

from ghostnet.checkpoints import find_network, read_foreign, write_checkpoint
from ghostnet.checkpoints.budget import LARGEST_NETWORK, MAX_BYTES
from ghostnet.checkpoints.pickles import MAX_OPERATIONS, Call, Name, Reference
from ghostnet.checkpoints.pytorch import parse_pytorch
from ghostnet.errors import CheckpointError
from ghostnet.files import read_whole
from ghostnet.models import MODELS, network_spec

MEBIBYTE = 1024**2

READ = """
import resource, sys
from pathlib import Path
from ghostnet.checkpoints import read_foreign
from ghostnet.errors import CheckpointError

pages = int(Path("/proc/self/statm").read_text().split()[0])
room = pages * resource.getpagesize() + int(sys.argv[2])
resource.setrlimit(resource.RLIMIT_AS, (room, room))
try:
    print(len(read_foreign(Path(sys.argv[1]))))
except CheckpointError as error:
    print(error)
"""


def read_within(room: int, path: Path) -> str:
    """The number of tensors or the error that a process finds, given so many bytes of memory."""
    words = [sys.executable, "-c", READ, str(path), str(room)]
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def state_dict(*, legacy: bool = False) -> dict[str, Any]:
    return {
        "state_dict": {
            "w": tensor("0", (2, 3), legacy=legacy),
            "half": Call(
                Name("torch._utils._rebuild_parameter"),
                (tensor("1", (3,), "float16", strides=(2,), offset=1, legacy=legacy), True, None),
            ),
        },
        "epoch": 3,
        "args": Call(Name("argparse.Namespace"), ()),
    }


STORAGES = {"0": np.arange(6, dtype=np.float32), "1": np.arange(6, dtype=np.float16)}
BYTES = {key: storage.tobytes() for key, storage in STORAGES.items()}


@pytest.mark.parametrize(
    "content",
    [
        zip_file(a_pickle(state_dict()), BYTES),
        zip_file(a_pickle(state_dict()), BYTES, zipfile.ZIP_DEFLATED),
        legacy_file(a_pickle(state_dict(legacy=True)), STORAGES),
    ],
    ids=["zip", "deflated", "legacy"],
)
def test_pytorchs_files_are_read_without_pytorch(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "x.pth").write_bytes(content)
    found = read_foreign(tmp_path / "x.pth")
    assert list(found) == ["state_dict/w", "state_dict/half", "epoch", "args"]
    np.testing.assert_array_equal(found["state_dict/w"], [[0, 1, 2], [3, 4, 5]])
    np.testing.assert_array_equal(found["state_dict/half"], [1, 3, 5])


LEGACY = legacy_file(a_pickle(state_dict(legacy=True)), STORAGES)
FILES = [zip_file(a_pickle(state_dict()), BYTES), LEGACY]
OPERATIONS = [
    *(b"(", b")", b"]", b"}", b"N", b"0", b"1", b"a", b"b", b"e", b"s", b"u", b"t", b"R", b"Q"),
    *(b"\x81", b"\x85", b"\x86", b"\x87", b"\x88", b"q\x00", b"h\x00", pickled(7), pickled("0")),
    *map(pickled, (tensor("0", (2, 3)), Name("collections.OrderedDict"), ("storage",))),
]


@given(data=st.data())
@settings(max_examples=300, deadline=None)
def test_damage_gives_tensors_or_our_error(data: st.DataObject) -> None:
    content = bytearray(data.draw(st.sampled_from(FILES)))
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(CheckpointError):
        parse_pytorch(bytes(content[: data.draw(st.integers(0, len(content)))]))


def test_an_unknown_escape_in_a_name_is_damage() -> None:
    damaged = LEGACY.replace(b"ctorch._utils", rb"ctorch\outils", 1)
    with pytest.raises(CheckpointError, match="damaged, or not a pickle"):
        parse_pytorch(damaged)


@given(rows=st.lists(st.lists(st.sampled_from(OPERATIONS), max_size=12), min_size=3, max_size=3))
@settings(max_examples=300, deadline=None)
def test_any_pickle_gives_tensors_or_our_error(rows: list[list[bytes]]) -> None:
    system, state, keys = (b"\x80\x02" + b"".join(row) + b"." for row in rows)
    beginning = a_pickle(0x1950A86A20F9469CFC6C) + a_pickle(1001)
    little_endian = a_pickle({"little_endian": True})
    for content in (
        zip_file(state, BYTES),
        beginning + system + state + keys,
        beginning + little_endian + state + keys,
        legacy_file(state, STORAGES),
    ):
        with contextlib.suppress(CheckpointError):
            parse_pytorch(content)


def aliases() -> bytes:
    names = {f"blocks.{n}.weight": tensor("0", (524_288,), "float16") for n in range(3_000)}
    return zip_file(a_pickle(names), {"0": bytes(MEBIBYTE)})


def deflated_zeros() -> bytes:
    length = MAX_BYTES + MEBIBYTE
    pickle = a_pickle({"w": tensor("0", (length // 4,))})
    return zip_file(pickle, {"0": bytes(length)}, zipfile.ZIP_DEFLATED)


def deflated_zeros_said_to_be_few() -> bytes:
    storage = bytes(300 * MEBIBYTE)
    content = zip_file(a_pickle({"w": tensor("0", (2,))}), {"0": storage}, zipfile.ZIP_DEFLATED)
    few, many = struct.pack("<I", 8), struct.pack("<I", len(storage))
    assert content.count(many) == 2
    return content.replace(many, few)


def long_names() -> bytes:
    inner = {f"{n}": None for n in range(10_000)}
    return zip_file(a_pickle({"a" * 100_000: inner}), {})


HOSTILE: dict[str, Callable[[], bytes]] = {
    "aliases": aliases,
    "deflated zeros": deflated_zeros,
    "a lie about the size": deflated_zeros_said_to_be_few,
    "long names": long_names,
    "dicts": lambda: zip_file(a_pickle({})[:-1] + b"}" * 20 * MAX_OPERATIONS + b".", {}),
    "a buffer": lambda: zip_file(a_pickle({"w": Call(Name("builtins.bytearray"), (10**11,))}), {}),
    "a storage": lambda: legacy_file(
        a_pickle({"w": tensor("0", (10**12,), legacy=True)}), {"0": np.ones(3)}
    ),
    "a memo": lambda: zip_file(b"\x80\x02}r\xff\xff\xff\xff.", {}),
    "an expanded tensor": lambda: zip_file(
        a_pickle({"w": tensor("0", (10**6, 10**6), strides=(0, 0))}), {"0": bytes(4)}
    ),
    "negative strides": lambda: zip_file(
        a_pickle({"w": tensor("0", (2,), strides=(-1,), offset=1)}), {"0": bytes(8)}
    ),
    "beyond the storage": lambda: zip_file(a_pickle({"w": tensor("0", (1000,))}), {"0": bytes(8)}),
    "an unknown storage": lambda: zip_file(a_pickle({"w": Reference(("storage", 1, 2, 3, 4))}), {}),
}


@pytest.mark.parametrize("file", HOSTILE)
def test_a_hostile_file_is_refused_or_read_within_its_memory(file: str, tmp_path: Path) -> None:
    path = tmp_path / "x.pth"
    path.write_bytes(HOSTILE[file]())
    answer = read_within(path.stat().st_size * 4 + 150 * MEBIBYTE, path)
    assert answer.strip().isdigit() or "cannot be read as a plain PyTorch state dict" in answer


def test_a_key_that_takes_years_to_hash(tmp_path: Path) -> None:
    """A tuple of a tuple twice, of a tuple twice, and so on."""
    twice = b"".join(b"h%ch%c\x86q%c0" % (n, n, n + 1) for n in range(100))
    pickle = b"\x80\x02})q\x000" + twice + b"h\x64" + pickled(1) + b"s."
    (tmp_path / "x.pth").write_bytes(zip_file(pickle, {}))
    assert read_foreign(tmp_path / "x.pth") == {}


@pytest.mark.parametrize("suffix", ["ckpt", "safetensors"])
def test_a_file_is_read_into_the_memory_that_it_needs(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"x.{suffix}"
    tensors = {"w": np.ones(4 * MEBIBYTE, np.float32)}
    (write_checkpoint if suffix == "ckpt" else save_file)(tensors, path)
    assert read_within(100 * MEBIBYTE, path) == "1\n"


@pytest.mark.parametrize("start", [b"", b"\x80\x02", b"PK\x03\x04"])
def test_a_file_beyond_the_budget_is_not_read(start: bytes, tmp_path: Path) -> None:
    path = tmp_path / "x.ckpt"
    with path.open("wb") as file:
        file.write(start)
        file.truncate(MAX_BYTES + 1)
    with pytest.raises(CheckpointError, match=f"more than the {MAX_BYTES:,} allowed"):
        read_foreign(path)


def test_the_largest_network_is_that_of_the_registry() -> None:
    specs = [network_spec(entry.architecture, 1000) for entry in MODELS.values()]
    sizes = [sum(map(math.prod, spec.parameter_shapes().values())) for spec in specs]
    assert max(sizes) * np.dtype(np.float32).itemsize == LARGEST_NETWORK


def test_a_file_is_read_within_a_limit(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"content")
    assert read_whole(tmp_path / "x", 7) == b"content"
    with pytest.raises(OSError, match="7 bytes are more than the 6 allowed"):
        read_whole(tmp_path / "x", 6)


def test_two_hundred_thousand_networks_are_told_apart() -> None:
    value = np.ones(1, np.float32)
    leaves = ("blocks.0.bn.moving_mean", "blocks.0.conv.weight")
    tensors = {f"copy_{n}.{leaf}": value for n in range(100_000) for leaf in leaves}
    with pytest.raises(CheckpointError, match="and 99,990 more"):
        find_network(tensors)
    nested = {f"wrapper_{n}.{name}": value for n in range(100_000) for name in leaves}
    found = find_network(nested | dict.fromkeys(leaves, value))
    assert list(found.parameters) == list(leaves)
    assert len(found.left_out) == 200_000
