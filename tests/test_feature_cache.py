"""Features on disk: found again, forgotten in time, and never in the way."""

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ghostnet.training.feature_cache import FeatureCache


def five_entries(folder: Path) -> FeatureCache:
    """A cache with five entries of 100 numbers, one written after the other."""
    cache = FeatureCache(folder / "features.sqlite", max_bytes=3 * (400 + 4))
    for age in range(5):
        cache.write({str(age): np.full(100, age, np.float32)})
    return cache


@pytest.fixture
def features(tmp_path: Path) -> FeatureCache:
    return five_entries(tmp_path)


def test_what_is_kept_is_found(features: FeatureCache) -> None:
    found = features.read(["1", "4", "none"], 100)
    assert set(found) == {"1", "4"}
    np.testing.assert_array_equal(found["4"], np.full(100, 4, np.float32))
    assert features.read(["1"], 99) == {}


def test_the_cache_forgets_what_was_longest_unused(features: FeatureCache) -> None:
    features.read(["0"], 100)
    features.prune()
    assert set(features.read("01234", 100)) == {"0", "3", "4"}


@pytest.mark.parametrize("damage", [b"", b"no database" * 100, b"SQLite format 3\0" + bytes(9000)])
def test_a_damaged_cache_is_begun_anew(damage: bytes, features: FeatureCache) -> None:
    features.path.write_bytes(damage)
    assert features.read(["1"], 100) == {}
    features.write({"1": np.ones(100, np.float32)})
    assert set(features.read(["1"], 100)) == {"1"}


def test_damaged_features_are_not_used(features: FeatureCache) -> None:
    data = bytearray(features.path.read_bytes())
    data[data.index(np.full(100, 4, np.float32).tobytes()) + 7] ^= 1
    features.path.write_bytes(data)
    assert set(features.read("01234", 100)) == {"0", "1", "2", "3"}


@given(place=st.integers(0, 1 << 14), damage=st.binary(min_size=1, max_size=4096))
@example(place=18, damage=b"\xff")  # a version that SQLite only reads
@example(place=3940, damage=b"\xff")  # the table's definition, which its errors quote
@example(place=6934, damage=b"\x00")  # the type of a value, which becomes NULL
@settings(deadline=None)
def test_damage_anywhere_never_keeps_a_run_from_its_end(place: int, damage: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        use_damaged(five_entries(Path(folder)), place, damage)


def use_damaged(features: FeatureCache, place: int, damage: bytes) -> None:
    with features.path.open("r+b") as file:
        file.seek(place)
        file.write(damage)
    features.read("01234", 100)
    features.write({"1": np.ones(100, np.float32)})
    features.prune()


def test_several_processes_share_a_cache(features: FeatureCache) -> None:
    program = (
        "import sys, numpy as np; from pathlib import Path\n"
        "from ghostnet.training.feature_cache import FeatureCache\n"
        "cache = FeatureCache(Path(sys.argv[1]))\n"
        "for i in range(50): cache.write({f'{sys.argv[2]} {i}': np.ones(100, np.float32)})\n"
    )
    command = [sys.executable, "-c", program, features.path]
    writers = [subprocess.Popen([*command, str(rank)]) for rank in range(3)]
    assert [writer.wait() for writer in writers] == [0, 0, 0]
    keys = [f"{rank} {i}" for rank in range(3) for i in range(50)]
    assert len(features.read(keys, 100)) == len(keys)
