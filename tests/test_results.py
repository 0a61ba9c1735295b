"""`predict --out`: rows as they come, in order; a run that stopped goes on without loss."""

import csv
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator
from dataclasses import field, fields, make_dataclass, replace
from pathlib import Path

import pytest
from bundled_models import BREEDS, FLOWERS
from command_line import Ghostnet
from extras import PARQUET
from hypothesis import example, given, settings
from hypothesis import strategies as st
from toy_images import draw
from waiting import wait_for

from ghostnet.errors import ResultsError
from ghostnet.hub import open_model
from ghostnet.inference.labeling import label
from ghostnet.inference.provenance import Provenance
from ghostnet.inference.results import open_results
from ghostnet.model import ImageSource

FORMATS = ["csv", "jsonl", *PARQUET]

needs_parquet = pytest.mark.skipif(not PARQUET, reason="needs the extra parquet")


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = draw(tmp_path_factory.mktemp("images") / "a", 12, ("one", "two"))
    (folder / "one" / 'comma, "quote"\nand line.png').write_bytes(
        (folder / "one" / "0.png").read_bytes()
    )
    (folder / "two" / "broken.png").write_bytes(b"no image")
    return folder


def rows_of(path: Path) -> list[dict]:
    """The rows of a file as `predict --json` prints them, without probabilities."""
    if path.suffix == ".parquet":
        import pyarrow.parquet as parquet

        rows = parquet.read_table(path).to_pylist()
    elif path.suffix == ".jsonl":
        rows = [json.loads(line) for line in path.read_text().split("\n")[:-1]]
    else:
        with path.open(newline="") as file:
            rows = list(csv.DictReader(file))
        for row in rows:
            places = [n for n in (1, 2, 3) if row[f"label_{n}"]]
            row["predictions"] = [{"label": row[f"label_{n}"]} for n in places]
    return [
        {
            "file": row["file"],
            "labels": [p["label"] for p in row.get("predictions") or ()],
            "error": row.get("error") or None,
        }
        for row in rows
    ]


@pytest.fixture(scope="module")
def expected(images: Path) -> list[dict]:
    command = [sys.executable, "-m", "ghostnet.cli", "predict", images, "--json"]
    done = subprocess.run([*map(str, command)], capture_output=True, text=True)
    answers = [row for row in json.loads(done.stdout) if "file" in row]
    return [
        {
            "file": row["file"],
            "labels": [p["label"] for p in row.get("predictions", ())],
            "error": row.get("error"),
        }
        for row in answers
    ]


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_file_has_the_answers_in_the_order_of_the_images(
    ghostnet: Ghostnet, images: Path, expected: list[dict], tmp_path: Path, suffix: str
) -> None:
    out = tmp_path / f"rows.{suffix}"
    summary = ghostnet.json("predict", images, "--out", out, status=1)
    assert rows_of(out) == expected
    assert (summary["rows"], summary["resumed"], summary["errors"]) == (26, 0, 1)
    assert ghostnet.json("predict", images, "--out", out, status=1)["error"].startswith(str(out))
    again = ghostnet.json("predict", images, "--out", out, "--resume", status=1)
    assert (again["rows"], again["resumed"], again["retried"], again["errors"]) == (26, 26, 1, 1)
    assert rows_of(out) == expected


@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
def test_a_run_that_was_cut_anywhere_goes_on(
    ghostnet: Ghostnet, images: Path, expected: list[dict], tmp_path: Path, suffix: str
) -> None:
    whole = tmp_path / f"whole.{suffix}"
    ghostnet("predict", images, "--out", whole, status=1)
    content = whole.read_bytes()
    for size in (0, 1, len(content) // 3, len(content) // 2, len(content) - 1):
        cut = tmp_path / f"cut{size}.{suffix}"
        cut.write_bytes(content[:size])
        ghostnet("predict", images, "--out", cut, "--resume", status=1)
        assert rows_of(cut) == expected, size


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_killed_run_loses_and_doubles_nothing(
    ghostnet: Ghostnet, images: Path, tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [str(file) for file in sorted((images / "one").glob("[0-9]*.png"))] * 40
    listed = tmp_path / "list.txt"
    listed.write_text("\n".join(names))
    out = tmp_path / f"rows.{suffix}"
    words = ["predict", "--list", str(listed), "--out", str(out), "--batch-size", "4"]
    small = "import ghostnet.inference.results as r; r.PART_ROWS = 40; "
    code = small + "from ghostnet.cli.main import main; main()"
    process = subprocess.Popen([sys.executable, "-c", code, *words])
    wait_for(lambda: sum(file.stat().st_size for file in [out, *out.rglob("*")] if file.is_file()))
    process.kill()
    assert process.wait() == -signal.SIGKILL
    monkeypatch.setattr("ghostnet.inference.results.PART_ROWS", 40)
    summary = ghostnet.json(*words, "--resume")
    assert [row["file"] for row in rows_of(out)] == names
    assert summary["rows"] == len(names)


def test_names_come_from_lists_and_stdin(ghostnet: Ghostnet, images: Path, tmp_path: Path) -> None:
    odd = os.fsencode(images / "one" / 'comma, "quote"\nand line.png')
    plain = os.fsencode(images / "two" / "1.png")
    (tmp_path / "lines").write_bytes(b"\r\n".join([plain, b"", plain]))
    ghostnet("predict", "--list", tmp_path / "lines", "--out", tmp_path / "a.jsonl")
    assert [row["file"] for row in rows_of(tmp_path / "a.jsonl")] == [plain.decode()] * 2
    command = [sys.executable, "-m", "ghostnet.cli", "predict", "--list", "-", "-0", "--out"]
    out = tmp_path / "b.csv"
    subprocess.run([*command, str(out)], input=odd + b"\0" + plain + b"\0", check=True)
    assert [row["file"] for row in rows_of(out)] == [odd.decode(), plain.decode()]
    assert len(ghostnet.json("predict", "--list", tmp_path / "lines")) == 2


def test_other_images_do_not_continue_a_file(
    ghostnet: Ghostnet, images: Path, tmp_path: Path
) -> None:
    out = tmp_path / "rows.csv"
    ghostnet("predict", images / "one", "--out", out)
    content = out.read_bytes()
    for words in ((images / "two",), (images / "one" / "0.png",), (images / "one", "--top-k", 2)):
        error = ghostnet.json("predict", *words, "--out", out, "--resume", status=1)["error"]
        assert str(out) in error
    assert out.read_bytes() == content


def test_bad_words_are_refused(ghostnet: Ghostnet, images: Path, tmp_path: Path) -> None:
    ghostnet("predict", status=2)
    ghostnet("predict", images, "--resume", status=2)
    error = ghostnet.json("predict", images, "--out", tmp_path / "a.txt", status=1)["error"]
    assert "the name must end in .csv, .jsonl, .parquet" in error
    words = ("predict", "--list", tmp_path / "none", "--out", tmp_path / "x.csv")
    assert "none: cannot be read" in ghostnet.json(*words, status=1)["error"]
    assert not (tmp_path / "x.csv").exists()


def test_failed_rows_are_tried_again_in_their_places(
    ghostnet: Ghostnet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ghostnet.inference.results.PART_ROWS", 2)
    images = draw(tmp_path / "a", 6, ("one",)) / "one"
    broken = {images / name: (images / name).read_bytes() for name in ("0.png", "3.png", "5.png")}
    outs = [tmp_path / f"rows.{suffix}" for suffix in FORMATS]
    for out in outs:
        for file in broken:
            file.write_bytes(b"no image")
        counts = ghostnet.json("predict", images, "--out", out, status=1)
        assert (counts["rows"], counts["retried"], counts["errors"]) == (6, 0, 3)
        failed = rows_of(out)
        out.chmod(0o750 if out.is_dir() else 0o640)
        for file in [*broken][:2]:
            file.write_bytes(broken[file])
        counts = ghostnet.json("predict", images, "--out", out, "--resume", status=1)
        assert (counts["rows"], counts["retried"], counts["errors"]) == (6, 3, 1)
        found = rows_of(out)
        assert [bool(row["error"]) for row in found] == [False] * 5 + [True]
        assert found[1:3] == failed[1:3]
        assert [row["file"] for row in found] == [row["file"] for row in failed]
        assert out.stat().st_mode & 0o777 in (0o750, 0o640)


@pytest.mark.parametrize("suffix", FORMATS)
def test_an_interrupted_retry_keeps_what_it_has(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"rows.{suffix}"
    write_rows(path, [{"file": str(n), "error": "no image"} for n in range(4)])

    def answers(images: Iterable[ImageSource]) -> Iterator[dict]:
        first = next(iter(images))
        prediction = {"label": "a", "index": 0, "probability": 0.5}
        yield {"file": first.name, "predictions": [prediction]}
        raise KeyboardInterrupt

    with (
        open_results(path, provenance(), resume=True) as rows,
        pytest.raises(KeyboardInterrupt),
    ):
        label(answers, iter("0123"), rows)
    with open_results(path, provenance(), resume=True) as rows:
        found = [*rows.finished()]
    assert [row.file for row in found] == ["0", "1", "2", "3"]
    assert [bool(row.error) for row in found] == [False, True, True, True]


@pytest.mark.parametrize("suffix", FORMATS)
def test_rows_have_one_origin(
    ghostnet: Ghostnet, images: Path, tmp_path: Path, suffix: str
) -> None:
    out, labels = tmp_path / f"rows.{suffix}", tmp_path / "labels.txt"
    names = [f"breed {n}" for n in range(37)]
    labels.write_text("\n".join(names))
    words = ("predict", images / "one", "--out", out)
    ghostnet(*words, "--labels", labels)
    before = rows_of(out)

    def refusal(*more: object) -> str:
        return ghostnet.json(*words, "--resume", *more, status=1)["error"]

    other = ("--model", FLOWERS, "--cache-dir", tmp_path / "cache")
    error = refusal(*other)
    assert f"{out} was made by the model {BREEDS}" in error
    assert f"this run uses {FLOWERS}" in error
    assert "calls class 0 'breed 0', and this run calls it 'Abyssinian'" in refusal()
    error = refusal("--labels", labels, "--top-k", 2)
    assert "has 3 predictions an image, and this run makes 2" in error
    assert rows_of(out) == before
    labels.rename(tmp_path / "moved.txt")
    ghostnet(*words, "--resume", "--labels", tmp_path / "moved.txt")
    assert ghostnet.err == ""


def test_rows_of_an_unknown_origin_are_said(
    ghostnet: Ghostnet, images: Path, tmp_path: Path
) -> None:
    out = tmp_path / "rows.jsonl"
    words = ("predict", images / "one", "--out", out)
    ghostnet(*words)
    record = tmp_path / "rows.jsonl.model.json"
    record.unlink()
    ghostnet(*words, "--resume")
    assert f"{out}: nothing says which model made its rows" in ghostnet.err
    record.write_text("{}")
    assert f"{record}: this is not what" in ghostnet.json(*words, "--resume", status=1)["error"]


@pytest.mark.parametrize("suffix", FORMATS)
def test_one_process_writes_a_file(
    ghostnet: Ghostnet, images: Path, tmp_path: Path, suffix: str
) -> None:
    out = tmp_path / f"rows.{suffix}"
    words = ("predict", images / "one", "--out", out)
    with open_results(out, provenance(3)) as rows:
        assert not list(rows.finished())
        for more in ((), ("--resume",)):
            error = ghostnet.json(*words, *more, status=1)["error"]
            assert error.startswith(f"{out}: another process is writing it")
        (tmp_path / f"link.{suffix}").symlink_to(out)
        words = ("predict", images / "one", "--out", tmp_path / f"link.{suffix}")
        assert "another process" in ghostnet.json(*words, status=1)["error"]
    ghostnet(*words)
    assert len(rows_of(out)) == 13
    assert not [*tmp_path.rglob("*.lock")]


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_file_without_rows_is_no_obstacle(
    ghostnet: Ghostnet, images: Path, tmp_path: Path, suffix: str
) -> None:
    out = tmp_path / f"rows.{suffix}"
    (tmp_path / "empty").mkdir()
    ghostnet("predict", tmp_path / "empty", "--out", out, status=1)
    assert f"ghostnet: no image was labeled in {tmp_path / 'empty'}\n" in ghostnet.err
    ghostnet("predict", images / "one", "--out", out)
    assert len(rows_of(out)) == 13


def test_nothing_labeled_is_a_failure(ghostnet: Ghostnet, tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "photos.7z").write_bytes(b"7z")
    (tmp_path / "list").write_bytes(b"")
    for words in ((tmp_path / "a",), ("--list", tmp_path / "list")):
        counts = ghostnet.json("predict", *words, "--out", tmp_path / "rows.csv", status=1)
        assert counts["rows"] == 0
        assert "no image was labeled in" in ghostnet.err
        assert "no images in" in ghostnet.json("predict", *words, status=1)["error"]


def unreadable(folder: Path) -> None:
    """Make folders so deep that the path of the last is too long to be read."""
    here = os.open(folder, os.O_RDONLY)
    for _ in range(25):
        os.mkdir("x" * 200, dir_fd=here)
        inner = os.open("x" * 200, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = inner
    os.close(here)


def test_a_part_that_cannot_be_read_is_a_failure(ghostnet: Ghostnet, tmp_path: Path) -> None:
    root = draw(tmp_path / "a", 2, ("roses", "tulips"))
    unreadable(root / "roses")
    model = ("--model", FLOWERS, "--cache-dir", tmp_path / "cache")
    try:
        *answers, last = ghostnet.json("predict", root, *model, status=1)
        assert (len(answers), last) == (4, {"left_out": {"file name too long": 1}})
        assert "left out: 1 file name too long, such as" in ghostnet.err
        counts = ghostnet.json("predict", root, *model, "--out", tmp_path / "x.csv", status=1)
        assert (counts["rows"], counts["errors"]) == (4, 0)
        assert ghostnet.json("eval", root, *model, status=1)["images"] == 4
    finally:
        subprocess.run(["rm", "-rf", root / "roses"], check=True)


@needs_parquet
@pytest.mark.nightly
def test_parquet_finds_an_unwritable_place_before_the_work(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with (
        pytest.raises(ResultsError, match=r"rows\.parquet: cannot be written"),
        open_results(tmp_path / "file" / "rows.parquet", provenance()),
    ):
        raise AssertionError("the rows can be written")


@needs_parquet
@pytest.mark.nightly
def test_parquet_has_a_part_in_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also if the next row does not come, as from a pipe that pauses."""
    monkeypatch.setattr("ghostnet.inference.results.PART_SECONDS", 0.01)
    path = tmp_path / "rows.parquet"
    with open_results(path, provenance()) as rows:
        assert not list(rows.finished())
        for number in range(2):
            rows.write({"file": str(number), "error": "no image"})
            wait_for(lambda number=number: len([*path.glob("part-*")]) == number + 1)
    assert [row["file"] for row in rows_of(path)] == ["0", "1"]


@needs_parquet
@pytest.mark.nightly
def test_a_lost_part_of_parquet_overwrites_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ghostnet.inference.results.PART_ROWS", 1)
    path = tmp_path / "rows.parquet"
    write_rows(path, [{"file": str(n), "error": "no image"} for n in range(3)])
    (path / "part-000001.parquet").unlink()
    with open_results(path, provenance(), resume=True) as rows:
        rows.write({"file": "3", "error": "no image"})
    assert [row["file"] for row in rows_of(path)] == ["0", "2", "3"]


NAME = "[old] [red] :cat: \x1b[31m.png"


def test_names_do_not_command_the_terminal(ghostnet: Ghostnet, tmp_path: Path) -> None:
    folder = tmp_path / "[/a] :dog:"
    file = draw(folder, 1, ("one",)) / "one" / "0.png"
    named = file.rename(file.with_name(NAME))
    file.write_bytes(b"no image")
    shown = str(named).replace("\x1b", "\\x1b")
    for words in ((), ("--out", tmp_path / "[b]o[/y].csv")):
        printed = ghostnet("predict", named, *words)
        assert "\x1b" not in printed + ghostnet.err
        expected = "[b]o[/y].csv" if words else shown
        assert "".join(expected.split()) in "".join(printed.split())
    (folder / "\x1b[2J.txt").write_bytes(b"x")
    ghostnet("predict", folder, status=1)
    assert "\\x1b[2J.txt" in ghostnet.err
    assert "\x1b" not in ghostnet.err
    missing = f"{named}.none"
    ghostnet("eval", missing, status=1)
    assert f"{shown}.none is not a folder" in ghostnet.err


def test_a_later_field_of_architectures_leaves_old_files_valid() -> None:
    """As long as it has its default value."""
    model = open_model(FLOWERS)
    architecture = model.architecture
    values = {field.name: getattr(architecture, field.name) for field in fields(architecture)}

    def provenance_with(**later: bool) -> Provenance:
        later_fields = [(name, bool, field(default=False)) for name in later]
        kind = make_dataclass(
            "Architecture", later_fields, bases=(type(architecture),), frozen=True
        )
        return Provenance.of(replace(model, architecture=kind(**values, **later)), 3)

    made_by = Provenance.of(model, 3)
    assert provenance_with(gated=False) == made_by
    assert provenance_with(gated=True) != made_by


def provenance(top_k: int = 1) -> Provenance:
    return Provenance("a model", "0" * 64, ("a", "b"), top_k)


def write_rows(path: Path, answers: list[dict], *, resume: bool = False) -> list[str]:
    """Write the answers that are not there yet; returns the names of those that are."""
    with open_results(path, provenance(), resume=resume) as rows:
        done = [row.file for row in rows.finished()]
        for answer in answers[len(done) :]:
            rows.write(answer)
    return done


@example(names=["\r", "a\r\nb"], suffix="csv", kept=0.5)
@settings(max_examples=60, deadline=None)
@given(
    names=st.lists(
        st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1), max_size=5
    ),
    suffix=st.sampled_from(["csv", "jsonl"]),
    kept=st.floats(0, 1),
)
def test_any_names_and_any_cut_leave_whole_rows(
    tmp_path_factory: pytest.TempPathFactory, names: list[str], suffix: str, kept: float
) -> None:
    path = tmp_path_factory.mktemp("rows") / f"rows.{suffix}"
    prediction = {"label": "a", "index": 0, "probability": 0.5}
    answers = [{"file": name, "predictions": [prediction]} for name in names]
    write_rows(path, answers)
    content = path.read_bytes()
    path.write_bytes(content[: round(kept * len(content))])
    done = write_rows(path, answers, resume=True)
    assert done == names[: len(done)]
    assert path.read_bytes() == content
    assert write_rows(path, answers, resume=True) == names


@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
def test_any_cut_inside_an_error_leaves_whole_rows(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"rows.{suffix}"
    answers = [{"file": f'{n}, "a"\n.png', "error": f'no\r\nimage, "{n}"\n'} for n in range(3)]
    write_rows(path, answers)
    content = path.read_bytes()
    for size in range(len(content)):
        path.write_bytes(content[:size])
        write_rows(path, answers, resume=True)
        assert path.read_bytes() == content, size


def test_a_row_of_something_else_loses_no_rows_behind_it(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    content = b"file,label_1,index_1,probability_1,error\r\na,b\r\nc,d,0,0.5,\r\n"
    path.write_bytes(content)
    with (
        pytest.warns(UserWarning, match="nothing says which model made its rows"),
        pytest.raises(ResultsError, match="row 2 does not have the columns for 1 predictions"),
    ):
        write_rows(path, [], resume=True)
    assert path.read_bytes() == content


def test_a_file_of_something_else_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"other": 1}\n')
    with (
        pytest.warns(UserWarning, match="nothing says which model made its rows"),
        pytest.raises(ResultsError, match="is not a line that this command wrote"),
    ):
        write_rows(path, [], resume=True)
    assert path.read_text() == '{"other": 1}\n'
