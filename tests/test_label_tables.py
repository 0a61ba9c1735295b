"""`--labels-csv`: classes of images in a table beside them."""

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from command_line import Ghostnet
from extras import PARQUET
from toy_images import COLORS, draw

from ghostnet.data.label_table import LabelTable
from ghostnet.data.split import read_measured, read_split
from ghostnet.errors import DatasetError
from ghostnet.training.config import check
from ghostnet.training.run.task import open_task

Row = dict[str, object]


@pytest.fixture
def flat(tmp_path: Path) -> tuple[Path, list[Row]]:
    """Images of three classes in one folder, and their rows."""
    sorted_images = draw(tmp_path / "sorted", 6)
    folder = tmp_path / "images"
    folder.mkdir()
    rows: list[Row] = []
    for file in sorted(sorted_images.rglob("*.png")):
        name = f"{file.parent.name[:2]}_{file.name}"
        shutil.move(file, folder / name)
        rows.append({"id": name, "label": file.parent.name})
    return folder, rows


def write_csv(path: Path, rows: list[Row], delimiter: str = ",") -> Path:
    with path.open("w", newline="", encoding="utf-8-sig") as file:
        writer = csv.DictWriter(file, [*rows[0]], delimiter=delimiter)
        writer.writeheader()
        writer.writerows(rows)
    return path


def write_semicolons(path: Path, rows: list[Row]) -> Path:
    return write_csv(path, rows, ";")


def write_lines(path: Path, rows: list[Row]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def write_parquet(path: Path, rows: list[Row]) -> Path:
    import pyarrow
    from pyarrow import parquet

    parquet.write_table(pyarrow.Table.from_pylist(rows), path)
    return path


WRITERS: dict[str, Callable[[Path, list[Row]], Path]] = {
    "csv": write_csv,
    "tsv": write_semicolons,
    "jsonl": write_lines,
    "parquet": write_parquet,
}


@pytest.mark.parametrize("suffix", ["csv", "tsv", "jsonl", *PARQUET])
def test_a_table_of_any_kind_labels_images(
    flat: tuple[Path, list[Row]], tmp_path: Path, suffix: str
) -> None:
    folder, rows = flat
    table = LabelTable(WRITERS[suffix](tmp_path / f"train.{suffix}", rows))
    found = read_measured(folder, table)
    assert found.classes == tuple(COLORS)
    assert {file.name: found.classes[index] for file, index in found.files} == {
        row["id"]: row["label"] for row in rows
    }
    assert not found.left_out


@pytest.mark.parametrize("spelled", ["{name}", "{stem}", "./{name}", "deep/{name}", "deep\\{stem}"])
def test_an_image_has_a_path_or_a_name_with_or_without_suffix(
    flat: tuple[Path, list[Row]], tmp_path: Path, spelled: str
) -> None:
    folder, rows = flat
    if "deep" in spelled:
        shutil.move(folder, tmp_path / "root" / "deep")
        folder = tmp_path / "root"
    renamed = [
        {"image": spelled.format(name=row["id"], stem=str(row["id"])[:-4]), "breed": row["label"]}
        for row in rows
    ]
    found = read_measured(folder, LabelTable(write_csv(tmp_path / "t.csv", renamed)))
    assert len(found.files) == len(rows)


def test_what_does_not_fit_is_counted(flat: tuple[Path, list[Row]], tmp_path: Path) -> None:
    folder, rows = flat
    rows[0]["label"] = ""
    rows.append(dict(rows[1]))
    rows.append({**rows[2], "label": "another"})
    rows.append({"id": "missing.png", "label": "rot"})
    del rows[5]
    found = read_measured(folder, LabelTable(write_csv(tmp_path / "t.csv", rows)))
    assert len(found.files) == 18 - 3
    assert found.left_out.counts == {
        "listed again in t.csv": 2,
        "without a class": 1,
        "in t.csv, but not in the folder": 1,
        "listed with several classes": 1,
        "not listed in t.csv": 2,  # the row without a class, and the one that is not there
    }


def test_a_column_says_what_is_held_out(flat: tuple[Path, list[Row]], tmp_path: Path) -> None:
    folder, rows = flat
    for number, row in enumerate(rows):
        row["fold"] = ("Train", "valid", "TEST", "train", "train", "other")[number % 6]
    path = write_csv(tmp_path / "t.csv", rows)
    table = LabelTable(path, split_column="fold")
    train, held_out = read_split(folder, None, table)
    assert (len(train.files), len(held_out.files)) == (9, 3)
    assert len(read_measured(folder, table).files) == 3
    assert train.left_out.counts["of the part 'other', which is not known"] == 3
    train, held_out = read_split(folder, 0.34, table)
    assert (len(train.files), len(held_out.files)) == (6, 3)


@pytest.mark.parametrize(
    ("rows", "columns", "message"),
    [
        ([{"a": 1, "label": "x"}], {}, "none of the columns image, .*name one with --image-column"),
        ([{"id": 1, "b": "x"}], {}, "none of the columns label, .*its columns are id, b"),
        ([{"id": 1, "label": "x"}], {"label_column": "B"}, "no column B"),
        ([{"id": 1, "label": "x"}], {"split_column": "s"}, "no column s"),
        ([{"id": "nothing", "label": "x"}], {}, "no row names an image"),
    ],
)
def test_a_table_that_does_not_fit_is_an_error(
    flat: tuple[Path, list[Row]], tmp_path: Path, rows: list[Row], columns: dict, message: str
) -> None:
    table = LabelTable(write_csv(tmp_path / "t.csv", rows), **columns)
    with pytest.raises(DatasetError, match=message):
        read_measured(flat[0], table)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("t.csv", b""),
        ("t.csv", b"\xff\xfe\x00,"),
        ("t.jsonl", b"[1]\n"),
        ("t.jsonl", b"{"),
        *((f"t.{suffix}", b"no table") for suffix in PARQUET),
        ("none.csv", None),
    ],
)
def test_a_damaged_table_is_an_error(
    flat: tuple[Path, list[Row]], tmp_path: Path, name: str, content: bytes | None
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(DatasetError, match=name):
        read_measured(flat[0], LabelTable(tmp_path / name))


def test_verbs_read_a_table(
    ghostnet: Ghostnet, flat: tuple[Path, list[Row]], tmp_path: Path
) -> None:
    folder, rows = flat
    table = write_csv(tmp_path / "t.csv", rows[:-1])
    words = (folder, "--labels-csv", table)
    answer = ghostnet.json("finetune", *words, "--out", tmp_path / "out", "--val", "0.34")
    assert answer["labels"] == list(COLORS)
    assert answer["left_out"] == {"not listed in t.csv": 1}
    evaluation = ghostnet.json("eval", *words, "--model", answer["card"])
    assert evaluation["images"] == 17
    settings = {"data": folder, "labels_csv": table, "val": 0.34}
    task = open_task(check(settings, "test").data)
    assert (task.labels, len(task.source) + len(task.held_out.files)) == (tuple(COLORS), 17)
    ghostnet("eval", folder, "--label-column", "x", status=2)
    assert "a column needs --labels-csv" in ghostnet.err
