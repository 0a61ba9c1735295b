"""Features on disk: found again, forgotten in time, and never in the way."""

import os
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ghostnet.training.head.feature_cache import FeatureCache


def five_entries(folder: Path, network: str = "one", max_bytes: int = 1 << 20) -> FeatureCache:
    """A cache with five entries of 100 numbers."""
    cache = FeatureCache(folder, network, 100, max_bytes)
    cache.write({str(age): np.full(100, age, np.float32) for age in range(5)})
    return cache


def test_what_is_kept_is_found(tmp_path: Path) -> None:
    found = five_entries(tmp_path).read()
    assert list(found) == list("01234")
    np.testing.assert_array_equal(found["4"], np.full(100, 4, np.float32))


def test_features_of_another_length_are_not_used(tmp_path: Path) -> None:
    five_entries(tmp_path)
    assert FeatureCache(tmp_path, "one", 99).read() == {}


def test_of_too_many_features_the_last_stay(tmp_path: Path) -> None:
    cache = five_entries(tmp_path, max_bytes=3 * 400)
    assert list(cache.read()) == list("234")


def test_the_network_unused_for_longest_is_forgotten(tmp_path: Path) -> None:
    caches = [five_entries(tmp_path, network) for network in ("old", "used", "new")]
    for age, cache in enumerate(caches):
        os.utime(cache.path, (age, age))
    caches[1].read()
    five_entries(tmp_path, "last", max_bytes=3 * caches[0].path.stat().st_size)
    assert {path.stem for path in tmp_path.iterdir()} == {"used", "new", "last"}


def test_damaged_features_are_not_used(tmp_path: Path) -> None:
    cache = five_entries(tmp_path)
    data = bytearray(cache.path.read_bytes())
    data[data.index(np.full(100, 4, np.float32).tobytes()) + 7] ^= 1
    cache.path.write_bytes(data)
    assert cache.read() == {}
    cache.write({"1": np.ones(100, np.float32)})
    assert set(cache.read()) == {"1"}


@given(place=st.integers(0, 1 << 12), damage=st.binary(min_size=1, max_size=1024))
@example(place=0, damage=b"no archive" * 500)
@settings(deadline=None)
def test_damage_anywhere_gives_right_features_or_none(place: int, damage: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        cache = five_entries(Path(folder))
        with cache.path.open("r+b") as file:
            file.seek(place)
            file.write(damage)
        for key, features in cache.read().items():
            np.testing.assert_array_equal(features, np.full(100, int(key), np.float32))


def test_a_folder_that_cannot_be_written_is_reported(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("not a folder")
    cache = five_entries(tmp_path / "file")
    assert cache.read() == {}
    assert "cannot be written" in caplog.text
