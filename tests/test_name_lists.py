"""Lists of images: names come back as they were given, from files and pipes, once each."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from command_line import Ghostnet
from toy_images import draw
from waiting import wait_for

from ghostnet.cli.name_list import MAX_NAME_BYTES, NameList
from ghostnet.data.image_folder import walk_images
from ghostnet.data.left_out import LeftOut
from ghostnet.errors import ResultsError

COMMAND = [sys.executable, "-m", "ghostnet.cli", "predict"]


@pytest.fixture
def images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder named ``a`` in the current one."""
    monkeypatch.chdir(tmp_path)
    return draw(tmp_path / "a", 2, ("one", "two")).relative_to(tmp_path)


def files_in(out: Path) -> list[str]:
    return [json.loads(line)["file"] for line in out.read_text().splitlines()]


def listed(content: bytes, *, null: bool = False) -> list[str]:
    """The names in a list with this content."""
    Path("list").write_bytes(content)
    return [*NameList([], "list", null=null)]


def test_a_row_has_the_name_that_was_given(ghostnet: Ghostnet, images: Path) -> None:
    names = ["./a/one/0.png", "a//two/1.png", "a/../a/one/1.png", "file://host/x.jpg", "./a//two/"]
    ghostnet("predict", *names, "--out", "rows.jsonl", status=1)
    expected = [*names[:-1], "./a//two/0.png"]  # the other is listed before
    assert files_in(Path("rows.jsonl")) == expected
    *answers, last = ghostnet.json("predict", *names, status=1)
    assert last == {"left_out": {"listed before the folder that it is in": 1}}
    assert [answer["file"] for answer in answers] == expected
    assert answers[3]["error"].startswith("file://host/x.jpg: of URLs, only https://")


@pytest.mark.parametrize("name", ["list", "-"])
def test_a_list_is_read_from_a_pipe_as_it_is_written(images: Path, name: str) -> None:
    if name == "list":
        os.mkfifo("list")
    command = [*COMMAND, "--list", name, "--out", "rows.jsonl"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        with open("list", "wb") if name == "list" else process.stdin as pipe:
            for count in (1, 2):  # the second is written once the first has its row
                pipe.write(b"a/one/0.png\n")
                pipe.flush()
                wait_for(lambda count=count: Path("rows.jsonl").exists() and rows() == count)
        assert (process.wait(), process.stderr.read()) == (0, b"")


def rows() -> int:
    return Path("rows.jsonl").read_bytes().count(b"\n")


def test_lists_of_windows_are_recognized(images: Path) -> None:
    with pytest.warns(UserWarning, match="the list") as said:
        assert listed(b"\xef\xbb\xbfa/one/0.png\r\nb\r\n\r\nc") == ["a/one/0.png", "b", "c"]
    assert sorted(str(warning.message) for warning in said) == [
        "list: the list begins with a byte order mark, which is left out",
        "list: the list has lines that end in CR LF, and is read without the CR",
    ]
    with pytest.warns(UserWarning, match="byte order mark"):
        assert listed(b"\xef\xbb\xbfa") == ["a"]
    assert listed(b"") == listed(b"\n") == []
    with pytest.raises(ResultsError, match="list: the list is UTF-16 text; save it as UTF-8"):
        listed("a/one/0.png\r\nb\r\n".encode("utf-16"))


def test_names_that_end_in_nul_are_recognized(images: Path) -> None:
    names = [f"{'x' * 300}\n{number}" for number in range(5000)]  # more than a chunk
    content = b"".join(name.encode() + b"\0" for name in names)
    with pytest.warns(UserWarning, match="has names that end in NUL, and is read as with -0"):
        assert listed(content) == names
    assert listed(content, null=True) == names
    assert listed(b"a\r\0\xef\xbb\xbfb\0", null=True) == ["a\r", "\ufeffb"]


def test_what_is_no_list_is_refused(images: Path) -> None:
    with pytest.raises(ResultsError, match="some names end in a newline and some in NUL"):
        listed(b"a\n" * 1_000_000 + b"b\0c\0")
    for null, end in ((True, b"\n"), (False, b"\r")):
        with pytest.raises(ResultsError, match=f"a name has more than {MAX_NAME_BYTES:,} bytes"):
            listed((b"some name" + end) * MAX_NAME_BYTES, null=null)


def test_what_find_prints_is_labeled_once(ghostnet: Ghostnet, images: Path) -> None:
    Path("a/.hidden.png").write_bytes(b"")
    for folder in ("a", "./a", "a/", "."):
        printed = subprocess.run(["find", folder], capture_output=True, text=True).stdout
        found = printed.splitlines()
        whole = walk_images([folder], LeftOut())
        assert [*walk_images(found, LeftOut())] == [*whole]
    Path("list").write_text(printed)
    answers = ghostnet.json("predict", "--list", "list")
    counts = answers.pop()["left_out"]
    assert [answer["file"] for answer in answers] == [
        f"./a/{name}" for name in ("one/0.png", "one/1.png", "two/0.png", "two/1.png")
    ]
    assert counts["below a folder that is listed before it"] == len(found) - 1


@pytest.mark.parametrize("kept", [1, 1000])
def test_what_find_prints_depth_first_is_labeled_once(
    images: Path, kept: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ghostnet.data.path_set.KEPT", kept)
    whole = sorted(walk_images(["a"], LeftOut()))
    before, below = (
        "listed before the folder that it is in",
        "below a folder that is listed before it",
    )
    for words, reason in (((), before), (("-type", "d"), below)):
        command = ["find", "a", "-depth", *words]
        printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        left_out = LeftOut()
        found = [*walk_images(printed.splitlines(), left_out)]
        assert sorted(found) == whole, words
        assert reason in str(left_out)


def test_a_folder_hides_only_what_is_below_it(images: Path) -> None:
    names = ["a/one", "a/one.png", "a/two/0.png", "../x.png", "a/one/../two/1.png"]
    assert [*walk_images([".", "../x"], LeftOut())][-1] == "../x"
    assert [*walk_images(names, LeftOut())] == ["a/one/0.png", "a/one/1.png", *names[1:]]


def test_a_dash_is_the_image_on_stdin(images: Path) -> None:
    with open("a/one/0.png", "rb") as stdin:
        subprocess.run([*COMMAND, "-", "--out", "rows.jsonl"], stdin=stdin, check=True)
    assert files_in(Path("rows.jsonl")) == ["-"]
    assert "error" not in json.loads(Path("rows.jsonl").read_text())


def test_stdin_is_one_thing(ghostnet: Ghostnet, images: Path) -> None:
    ghostnet("predict", "-", "--list", "-", status=2)
    assert "stdin is either an image (-) or a list (--list -)" in ghostnet.err
    ghostnet("predict", "-", "--ray", "--out", "rows.jsonl", status=2)
    assert "--ray works on files" in ghostnet.err
