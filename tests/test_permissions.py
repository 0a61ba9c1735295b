"""What the package writes has the permissions that the umask gives to new files."""

import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from bundled_models import FLOWERS

from ghostnet.checkpoints import write_checkpoint
from ghostnet.files import write_whole
from ghostnet.hub.install import install
from ghostnet.hub.verified_file import locked
from ghostnet.inference.provenance import Provenance
from ghostnet.inference.results import open_results
from ghostnet.training.head.feature_cache import FeatureCache

UMASKS = [0o077, 0o027, 0o022, 0o002]


@contextmanager
def umask(mask: int) -> Iterator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


def modes(folder: Path) -> dict[str, int]:
    """The permissions of every file below a folder."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.name: stat.S_IMODE(path.stat().st_mode) for path in files}


def write_rows(suffix: str) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        made_by = Provenance("a model", "0" * 64, ("a", "b"), top_k=1)
        with open_results(folder / f"rows.{suffix}", made_by) as rows:
            assert not list(rows.finished())
            rows.write({"file": "a.png", "error": "no image"})

    return write


WRITERS: dict[str, Callable[[Path], object]] = {
    "a file": lambda folder: write_whole(folder / "x", b"content"),
    "a file again": lambda folder: [write_whole(folder / "x", b"content") for _ in range(2)],
    "a checkpoint": lambda folder: write_checkpoint({"w": np.ones(3)}, folder / "x.ckpt"),
    "features": lambda folder: FeatureCache(folder, "x", 1).write({"a": np.ones(1, np.float32)}),
    "an installed model": lambda folder: install(FLOWERS, folder),
    **{suffix: write_rows(suffix) for suffix in ("csv", "jsonl")},
}


@pytest.mark.parametrize("mask", UMASKS, ids=oct)
@pytest.mark.parametrize("writer", WRITERS)
def test_new_files_have_what_the_umask_gives(writer: str, mask: int, tmp_path: Path) -> None:
    with umask(mask):
        WRITERS[writer](tmp_path)
    found = modes(tmp_path)
    assert found
    assert set(found.values()) == {0o666 & ~mask}


@pytest.mark.nightly
def test_new_parquet_files_have_what_the_umask_gives(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow", reason="needs the extra parquet")
    for mask in UMASKS:
        folder = tmp_path / oct(mask)
        folder.mkdir()
        with umask(mask):
            write_rows("parquet")(folder)
        assert set(modes(folder).values()) == {0o666 & ~mask}


@pytest.mark.parametrize("mask", UMASKS, ids=oct)
@pytest.mark.parametrize("folder", [0o700, 0o755, 0o2770, 0o2775, 0o1777], ids=oct)
def test_whoever_may_write_in_a_folder_of_the_cache_may_lock_it(
    mask: int, folder: int, tmp_path: Path
) -> None:
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache").chmod(folder)
    with umask(mask), locked(tmp_path / "cache"):
        assert modes(tmp_path) == {".lock": folder & 0o666}
