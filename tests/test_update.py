"""`--update`: new and changed images are labeled, rows whose files are gone are marked."""

import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np
import pytest
from bundled_models import FLOWERS
from command_line import Ghostnet
from extras import PARQUET
from hypothesis import given, settings
from hypothesis import strategies as st
from test_results import rows_of
from toy_images import draw
from waiting import wait_for

from ghostnet.data.left_out import LeftOut
from ghostnet.embeddings.array_file import ArrayFile, names_of
from ghostnet.embeddings.collection import read_embeddings
from ghostnet.inference.provenance import Provenance
from ghostnet.inference.results import FORMATS, open_results
from ghostnet.inference.rows import GONE, Answer
from ghostnet.inference.update import Updated, update
from ghostnet.inference.vectors import Layer, Vectors
from ghostnet.model import ImageSource

LABELS = ["csv", "jsonl", *PARQUET]
VECTORS = ["npy", *PARQUET]


@pytest.fixture
def images(tmp_path: Path) -> Path:
    return draw(tmp_path / "images", 6, ("one",)) / "one"


def counts(summary: dict) -> dict[str, int]:
    """The numbers of a summary that are not 0."""
    rest = ("file", "images_per_second", "left_out")
    return {name: value for name, value in summary.items() if value and name not in rest}


def test_only_what_is_new_or_has_changed_is_labeled(
    ghostnet: Ghostnet, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In each format, also where another has just been brought up to date."""
    monkeypatch.setattr("ghostnet.inference.results.PART_ROWS", 2)
    outs = [tmp_path / f"rows.{suffix}" for suffix in LABELS]
    for out in outs:
        ghostnet("predict", images, "--out", out)
        assert counts(ghostnet.json("predict", images, "--update", out)) == {
            "rows": 6, "unchanged": 6
        }  # fmt: skip
        assert ghostnet.err == ""
    before = rows_of(outs[0])
    shutil.copy(images / "5.png", images / "1.png")
    (images / "4.png").write_bytes(b"no image")
    (images / "2.png").unlink()
    shutil.copy(images / "0.png", images / "00.png")
    shutil.copy(images / "0.png", images / "9.png")
    for out in outs:
        summary = ghostnet.json("predict", images, "--update", out, status=1)
        assert counts(summary) == {
            "rows": 8, "new": 2, "changed": 2, "unchanged": 3, "gone": 1, "errors": 1
        }  # fmt: skip
        rows = rows_of(out)
        assert [Path(row["file"]).name for row in rows] == [
            *(f"{number}.png" for number in range(6)), "00.png", "9.png"
        ]  # fmt: skip
        assert rows[0] == before[0]
        assert rows[1]["labels"] == before[5]["labels"]
        assert (rows[2]["labels"], rows[2]["error"]) == (before[2]["labels"], GONE)
        assert rows[4]["error"]
        assert rows[6]["labels"] == rows[7]["labels"] == before[0]["labels"]


def test_what_comes_back_has_its_labels_again(
    ghostnet: Ghostnet, images: Path, tmp_path: Path
) -> None:
    """Such as the files of a drive that was not there; a broken file was not labeled before."""
    (images / "3.png").write_bytes(b"no image")
    outs = [tmp_path / f"rows.{suffix}" for suffix in LABELS]
    for out in outs:
        ghostnet("predict", images, "--out", out, status=1)
    before = rows_of(outs[0])
    images.rename(tmp_path / "away")
    images.mkdir()
    for out in outs:
        summary = ghostnet.json("predict", images, "--update", out, status=1)
        assert counts(summary) == {"rows": 6, "gone": 6}
        assert f"no image was labeled in {images}" in ghostnet.err
        assert {row["error"] for row in rows_of(out)} == {GONE}
    images.rmdir()
    (tmp_path / "away").rename(images)
    for out in outs:
        summary = ghostnet.json("predict", images, "--update", out, status=1)
        assert counts(summary) == {"rows": 6, "unchanged": 5, "changed": 1, "errors": 1}
        assert rows_of(out) == before
    shutil.copy(images / "0.png", images / "3.png")
    summary = ghostnet.json("predict", images, "--update", outs[0])
    assert counts(summary) == {"rows": 6, "unchanged": 5, "retried": 1}


def test_contents_are_compared_whatever_the_time(
    ghostnet: Ghostnet, images: Path, tmp_path: Path
) -> None:
    words = ("predict", images, "--update", tmp_path / "rows.csv")
    assert counts(ghostnet.json(*words, "--by-content")) == {"rows": 6, "new": 6}
    status = (images / "1.png").stat()
    content = (images / "1.png").read_bytes()
    (images / "1.png").write_bytes(content[:-5] + b"\0" + content[-4:])
    os.utime(images / "1.png", ns=(status.st_atime_ns, status.st_mtime_ns))
    os.utime(images / "2.png", (0, 0))
    summary = ghostnet.json(*words, "--by-content")
    assert counts(summary) == {"rows": 6, "changed": 1, "unchanged": 5}
    assert counts(ghostnet.json(*words)) == {"rows": 6, "unchanged": 6}
    os.utime(images / "2.png", (1, 1))
    assert counts(ghostnet.json(*words)) == {"rows": 6, "changed": 1, "unchanged": 5}


def test_rows_of_other_folders_stay(ghostnet: Ghostnet, images: Path, tmp_path: Path) -> None:
    """A list need not have what is there already; what has changed there is labeled, too."""
    out = tmp_path / "rows.jsonl"
    ghostnet("predict", images, "--out", out)
    other = draw(tmp_path / "more", 2, ("two",))
    shutil.copy(images / "0.png", images / "1.png")
    (tmp_path / "list").write_text(f"{other}/two/1.png\n{other}/two/1.png\n")
    summary = ghostnet.json("predict", "--list", tmp_path / "list", "--update", out)
    assert counts(summary) == {"rows": 7, "new": 1, "changed": 1, "unchanged": 5}


def test_images_in_archives_are_compared_with_what_is_packed_now(
    ghostnet: Ghostnet, images: Path, tmp_path: Path
) -> None:
    def pack() -> None:
        for suffix, mode in (("zip", "zip"), ("tar.gz", "gztar")):
            shutil.make_archive(str(tmp_path / "packed"), mode, images)
            os.utime(tmp_path / f"packed.{suffix}", (0, next(seconds)))

    seconds = itertools.count()
    archives = [tmp_path / "packed.zip", tmp_path / "packed.tar.gz"]
    words = ("predict", *archives, "--update", tmp_path / "rows.csv")
    pack()
    assert counts(ghostnet.json(*words, "--by-content")) == {"rows": 12, "new": 12}
    assert counts(ghostnet.json(*words)) == {"rows": 12, "unchanged": 12}
    shutil.copy(images / "0.png", images / "1.png")
    (images / "2.png").unlink()
    shutil.copy(images / "0.png", images / "9.png")
    pack()
    assert counts(ghostnet.json(*words, "--by-content")) == {
        "rows": 14, "new": 2, "changed": 2, "gone": 2, "unchanged": 8
    }  # fmt: skip
    pack()
    assert counts(ghostnet.json(*words)) == {
        "rows": 14, "changed": 12, "gone": 2
    }  # fmt: skip


def test_names_that_are_not_utf_8_are_found_again(
    ghostnet: Ghostnet, images: Path, tmp_path: Path
) -> None:
    odd = images / os.fsdecode(b"caf\xe9.png")
    shutil.copy(images / "0.png", odd)
    (images / r"\udce9.png").symlink_to(images / "1.png")
    words = ("predict", images, "--update", tmp_path / "rows.csv")
    ghostnet(*words)
    assert counts(ghostnet.json(*words)) == {"rows": 8, "unchanged": 8}
    shutil.copy(images / "1.png", odd)
    assert counts(ghostnet.json(*words)) == {"rows": 8, "unchanged": 7, "changed": 1}


def test_without_the_record_all_is_labeled_again(
    ghostnet: Ghostnet, images: Path, tmp_path: Path
) -> None:
    out = tmp_path / "rows.csv"
    ghostnet("predict", images, "--out", out)
    record = tmp_path / "rows.csv.images.sqlite"
    record.unlink()
    words = ("predict", images, "--update", out)
    assert counts(ghostnet.json(*words)) == {"rows": 6, "changed": 6}
    assert "nothing says how the files of 6 rows were" in ghostnet.err
    record.write_bytes(b"no database, but longer than the header of one" * 99)
    error = ghostnet.json(*words, status=1)["error"]
    assert error.startswith(f"{record}: cannot be used")
    record.unlink()
    out.unlink()
    ghostnet("predict", images, "--out", out)
    (images / "0.png").unlink()
    out.unlink()
    ghostnet(*words)  # what is left of a file that was removed says nothing
    assert len(rows_of(out)) == 5


def test_another_origin_and_other_words_are_refused(
    ghostnet: Ghostnet, images: Path, tmp_path: Path
) -> None:
    out = tmp_path / "rows.csv"
    ghostnet("predict", images, "--update", out)
    content = out.read_bytes()
    error = ghostnet.json("predict", images, "--update", out, "--top-k", 2, status=1)["error"]
    assert "has 3 predictions an image, and this run makes 2" in error
    assert out.read_bytes() == content
    assert "--update in place of --out" in ghostnet.json(
        "predict", images, "--out", out, status=1
    )["error"]  # fmt: skip
    for words in (("--out", out), ("--resume",), ("--report", tmp_path / "a.html"), ("-",)):
        ghostnet("predict", images, "--update", out, *words, status=2)
    ghostnet("predict", images, "--by-content", status=2)
    ghostnet("embed", images, status=2)


@pytest.mark.parametrize("suffix", VECTORS)
def test_embeddings_are_brought_up_to_date(
    ghostnet: Ghostnet, images: Path, tmp_path: Path, suffix: str
) -> None:
    out = tmp_path / f"vectors.{suffix}"
    words = ("--model", FLOWERS, "--update", out)
    assert counts(ghostnet.json("embed", images, *words)) == {"rows": 6, "new": 6}
    before = read_embeddings(out)
    shutil.copy(images / "5.png", images / "1.png")
    (images / "2.png").unlink()
    shutil.copy(images / "0.png", images / "00.png")
    assert counts(ghostnet.json("embed", images, *words)) == {
        "rows": 7, "new": 1, "changed": 1, "unchanged": 4, "gone": 1
    }  # fmt: skip
    after = read_embeddings(out)
    assert [Path(name).name for name in after.names[-2:]] == ["5.png", "00.png"]
    for now, earlier in {0: 0, 1: 5, 3: 3, 6: 0}.items():
        np.testing.assert_array_equal(after.vectors[now], before.vectors[earlier])
    found = ghostnet.json("similar", images / "0.png", out)
    assert {Path(match["file"]).name for match in found} == {
        "0.png", "00.png", "1.png", "3.png", "4.png", "5.png"
    }  # fmt: skip
    (group,) = ghostnet.json("duplicates", out, "--at-least", 0)
    assert len(group) == 6


@pytest.mark.parametrize(
    "suffix", ["csv", *(pytest.param(suffix, marks=pytest.mark.nightly) for suffix in LABELS[1:])]
)
def test_a_killed_update_is_done_by_the_next(
    ghostnet: Ghostnet, images: Path, tmp_path: Path, suffix: str
) -> None:
    """All the old rows stay whole, and those that were not replaced yet are replaced then."""
    for number in range(200):
        os.link(images / "0.png", images / f"a{number:03}.png")
    out = tmp_path / f"rows.{suffix}"
    ghostnet("predict", images, "--out", out)
    before = rows_of(out)
    for file in images.iterdir():
        os.utime(file, (0, 0))
    words = [str(images), "--update", str(out), "--batch-size", "4"]
    code = (
        "import ghostnet.inference.row_writer as w; w.REPLACED_TOGETHER = 20; "
        "from ghostnet.cli.main import main; main()"
    )
    process = subprocess.Popen([sys.executable, "-c", code, "predict", *words])
    file = out if out.is_file() else out / "part-000000.parquet"
    identity = file.stat().st_ino
    wait_for(lambda: file.stat().st_ino != identity)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    assert rows_of(out) == before
    summary = counts(ghostnet.json("predict", *words))
    assert summary["rows"] == 206
    assert summary["changed"] + summary.get("unchanged", 0) == 206
    assert rows_of(out) == before
    assert counts(ghostnet.json("predict", *words)) == {"rows": 206, "unchanged": 206}


def test_an_interrupted_update_keeps_what_it_has(images: Path, tmp_path: Path) -> None:
    for number, suffix in enumerate(LABELS):
        out = tmp_path / f"rows.{suffix}"
        run(out, images, answers)
        for file in images.iterdir():
            os.utime(file, (0, number))

        def stopping(asked: Iterable[ImageSource]) -> Iterator[Answer]:
            for number, answer in enumerate(answers(asked)):
                if number == 2:
                    raise KeyboardInterrupt
                yield answer

        with pytest.raises(KeyboardInterrupt):
            run(out, images, stopping)
        done = run(out, images, answers)
        assert (done.changed, done.unchanged) == (4, 2), suffix


def test_what_is_at_a_url_is_labeled_once(tmp_path: Path) -> None:
    """What failed is tried again."""
    broken = {"https://host/b.jpg"}

    def remote(images: Iterable[ImageSource]) -> Iterator[Answer]:
        for image in images:
            label = {"label": "a", "index": 0, "probability": 0.5}
            failed = image.name in broken
            yield {"file": image.name, **({"error": "404"} if failed else {"predictions": [label]})}

    def run() -> Updated:
        names = [f"https://host/{name}.jpg" for name in "abc"]
        with open_results(tmp_path / "rows.jsonl", PREDICTIONS, resume=True) as rows:
            return update(remote, iter(names), rows, LeftOut())

    assert (run().new, run().unchanged, run().retried) == (3, 2, 1)
    broken.clear()
    assert (run().errors, run().unchanged) == (0, 3)


PREDICTIONS = Provenance("a model", "0" * 64, ("a", "b"), 3)
EMBEDDINGS = Provenance("a model", "0" * 64, ("a", "b"), 0, Vectors(Layer.HEAD, 1, False))


def answers(images: Iterable[ImageSource]) -> Iterator[Answer]:
    """Answer with the size of each file, as a prediction and as an embedding."""
    for image in images:
        try:
            value = float(Path(image.name).stat().st_size)
        except OSError:
            yield {"file": image.name, "error": "no file"}
        else:
            label = {"label": f"{value}", "index": 0, "probability": value}
            yield {"file": image.name, "predictions": [label] * 3, "embedding": [value]}


def run(out: Path, images: Path, labeler: Callable = answers) -> Updated:
    made_by = EMBEDDINGS if out.suffix == ".npy" else PREDICTIONS
    formats = {**FORMATS, ".npy": ArrayFile}
    names = [str(file) for file in images.iterdir()]
    with open_results(out, made_by, formats=formats, resume=True) as rows:
        return update(labeler, iter(names), rows, LeftOut())


@settings(max_examples=25, deadline=None)
@given(
    suffix=st.sampled_from(["csv", "jsonl", "npy", *PARQUET]),
    steps=st.lists(
        st.dictionaries(st.sampled_from("abcdef"), st.integers(0, 3), max_size=6), max_size=4
    ),
)
def test_any_changes_give_the_rows_of_the_files(
    tmp_path_factory: pytest.TempPathFactory, suffix: str, steps: list[dict[str, int]]
) -> None:
    folder = tmp_path_factory.mktemp("update")
    images, out = folder / "images", folder / f"rows.{suffix}"
    images.mkdir()
    met: dict[str, int] = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ghostnet.inference.results.PART_ROWS", 2)
        patch.setattr("ghostnet.inference.row_writer.REPLACED_TOGETHER", 2)
        patch.setattr("ghostnet.inference.row_index.MARKED_TOGETHER", 2)
        for step in steps:
            for file in images.iterdir():
                if file.name not in step:
                    file.unlink()
            for name, size in step.items():
                if not (images / name).exists() or (images / name).stat().st_size != size:
                    (images / name).write_bytes(b"x" * size)
            before = set(met)
            met |= step
            done = run(out, images)
            assert (done.rows, done.new) == (len(met), len(met) - len(before))
            assert (done.gone, done.errors) == (len(met) - len(step), 0)
            found = {Path(name).name: found for name, found in labels_of(out).items()}
            assert found == {name: (met[name], None if name in step else GONE) for name in met}


def labels_of(out: Path) -> dict[str, tuple[float, str | None]]:
    """What `answers` said about each file, and its error."""
    if out.suffix == ".npy":
        names = map(json.loads, names_of(out).read_text().splitlines())
        vectors = np.load(out)[:, 0]
        return {
            row["file"]: (float(vector), row.get("error"))
            for row, vector in zip(names, vectors, strict=True)
        }
    return {row["file"]: (float(row["labels"][0]), row["error"]) for row in rows_of(out)}
