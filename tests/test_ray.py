"""`predict --ray`: the rows of `predict --out`, also where an actor is killed."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from bundled_models import BREEDS
from command_line import Ghostnet
from packed import pack
from waiting import wait_for

from ghostnet.data.transforms import decode
from ghostnet.embeddings import RayEmbedder, read_embeddings
from ghostnet.errors import DatasetError
from ghostnet.hub.catalog import assets_folder
from ghostnet.inference import RayClassifier, ray_cluster
from ghostnet.kernels import threads

ray = pytest.importorskip("ray", reason="needs the extra ray")
pytest.importorskip("ray.data", reason="needs the extra ray")
pandas = pytest.importorskip("pandas", reason="needs the extra ray")
pyarrow = pytest.importorskip("pyarrow", reason="needs the extra parquet")
parquet = pytest.importorskip("pyarrow.parquet", reason="needs the extra parquet")

IMAGES = 180
BLOCK_IMAGES = 12


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Parts of photographs, a broken file, and a name that is not UTF-8."""
    folder = tmp_path_factory.mktemp("photos")
    photographs = [decode(path) for path in sorted((assets_folder() / "images").glob("*.jpg"))]
    for number in range(IMAGES):
        photograph = photographs[number % len(photographs)]
        width, height = photograph.size
        photograph.crop((number, 0, width, height - number)).save(folder / f"{number:03}.jpg")
    (folder / "050.jpg").unlink()
    (folder / "050.jpg").write_bytes(b"no image")
    (folder / os.fsdecode(b"051\xe9.jpg")).symlink_to((folder / "051.jpg").resolve())
    return folder


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """A cluster of two machines with a processor each, and Ray's own settings."""
    from ray.cluster_utils import Cluster

    settings = {"num_cpus": 1, "include_dashboard": False}
    cluster = Cluster(initialize_head=True, head_node_args=settings)
    cluster.add_node(num_cpus=1)
    yield cluster.address
    cluster.shutdown()


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray_cluster, "BLOCK_IMAGES", BLOCK_IMAGES)


@pytest.fixture
def expected(ghostnet: Ghostnet, images: Path, tmp_path: Path) -> list[dict]:
    ghostnet("predict", images, "--out", tmp_path / "expected.parquet", status=1)
    return rows_of(tmp_path / "expected.parquet")


def rows_of(path: Path) -> list[dict]:
    return parquet.read_table(path).to_pylist()


def actors() -> list[int]:
    """The processes of Ray's actors that label images."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it has ended
            if b"MapBatches(RayClassifier)" in (process / "cmdline").read_bytes():
                found.append(int(process.name))
    return found


def kill_one_after_the_first_row(out: Path) -> int:
    """Kill an actor while a file is written; returns the number of rows that were there."""
    wait_for(lambda: out.exists() and out.stat().st_size)
    os.kill(actors()[0], signal.SIGKILL)
    return out.read_bytes().count(b"\n")


def test_two_actors_write_the_rows_of_one_process(
    ghostnet: Ghostnet, images: Path, expected: list[dict], address: str, tmp_path: Path
) -> None:
    out = tmp_path / "rows.parquet"
    words = ("predict", images, "--out", out, "--ray", "--address", address)
    summary = ghostnet.json(*words, status=1)
    assert ghostnet.err == ""
    assert rows_of(out) == expected
    assert (summary["rows"], summary["resumed"], summary["errors"]) == (len(expected), 0, 1)
    again = ghostnet.json(*words, "--resume", status=1)
    assert (again["rows"], again["retried"], again["errors"]) == (len(expected), 1, 1)
    assert rows_of(out) == expected


def test_actors_embed_as_one_process(
    ghostnet: Ghostnet, images: Path, address: str, tmp_path: Path
) -> None:
    words = ("--layer", "pooled", "--normalize", "--list", tmp_path / "list")
    listed = [*sorted(images.glob("00?.jpg")), images / "050.jpg", *images.glob("051*.jpg")]
    (tmp_path / "list").write_bytes(b"\n".join(map(os.fsencode, listed)))
    ghostnet("embed", *words, "--out", tmp_path / "expected.npy", status=1)
    expected = read_embeddings(tmp_path / "expected.npy")
    cluster = ("--ray", "--address", address)
    for out in (tmp_path / "out.npy", tmp_path / "out.parquet"):
        summary = ghostnet.json("embed", *words, "--update", out, *cluster, status=1)
        assert (summary["new"], summary["errors"]) == (len(listed), 1)
        found = read_embeddings(out)
        assert found.names == expected.names
        np.testing.assert_array_equal(found.vectors, expected.vectors)
    ghostnet("embed", *words, "--out", tmp_path / "other.npy", "--address", address, status=2)
    ghostnet("embed", "-", "--out", tmp_path / "other.npy", "--ray", status=2)


def test_batches_are_embedded_with_their_other_columns(images: Path) -> None:
    embedder = RayEmbedder(BREEDS, "pooled", folder=images)
    batch = {"path": np.array(["003.jpg", "050.jpg"]), "id": np.array([3, 50])}
    table = embedder(batch)
    assert table.column_names == ["file", "embedding", "error", "id"]
    first, broken = table.to_pylist()
    expected = embedder.model.session().architecture.last_channels
    assert len(first["embedding"]) == expected
    assert (broken["embedding"], bool(broken["error"]), broken["id"]) == (None, True, 50)
    with pytest.raises(DatasetError, match="are those of the answers; rename embedding"):
        embedder(batch | {"embedding": np.array([0, 1])})


def test_a_killed_actor_loses_and_doubles_nothing(
    ghostnet: Ghostnet, images: Path, expected: list[dict], address: str, tmp_path: Path
) -> None:
    out = tmp_path / "rows.jsonl"
    words = ("predict", images, "--out", out, "--ray", "--address", address)
    with ThreadPoolExecutor(1) as executor:
        killing = executor.submit(kill_one_after_the_first_row, out)
        ghostnet(*words, status=1)
    assert killing.result() < len(expected) - BLOCK_IMAGES
    answers = [json.loads(line) for line in out.read_text().split("\n")[:-1]]
    assert [{"predictions": None, "error": None, **answer} for answer in answers] == expected


def test_the_documented_pipeline_labels_what_ray_reads(
    images: Path, expected: list[dict], address: str, tmp_path: Path
) -> None:
    document = (Path(__file__).resolve().parents[1] / "docs/scaling.md").read_text()
    (program,) = re.findall(r"```py\n(import ray\n.*?)```", document, re.DOTALL)
    bucket = tmp_path / "bucket"
    (bucket / "photos").mkdir(parents=True)
    for photo in images.glob("???.jpg"):  # Ray reads no names that are not UTF-8
        (bucket / "photos" / photo.name).symlink_to(photo.resolve())
    program = program.replace("s3://bucket", str(bucket))
    environment = os.environ | {"RAY_ADDRESS": address}
    subprocess.run([sys.executable, "-c", program], check=True, env=environment, timeout=200)
    found = {Path(row["file"]).name: row["predictions"] for row in rows_of(bucket / "labels")}
    named = {Path(row["file"]).name: row["predictions"] for row in expected}
    assert found == {name: row for name, row in named.items() if len(name) == len("000.jpg")}


def test_batches_are_encoded_images_or_paths(images: Path, expected: list[dict]) -> None:
    names = [f"{number:03}.jpg" for number in (3, 50, 1)]
    wanted = [
        {**row, "file": name} for name in names for row in expected if row["file"].endswith(name)
    ]
    classifier = RayClassifier(BREEDS, folder=images)
    assert threads() == 1
    paths = {"path": np.array(names)}
    encoded = np.array([(images / name).read_bytes() for name in names], dtype=object)
    for batch in (paths, {**paths, "bytes": encoded}):
        rows = classifier(batch).to_pylist()
        assert [row["predictions"] for row in rows] == [row["predictions"] for row in wanted]
        assert [row["file"] for row in rows] == names
        assert [bool(row["error"]) for row in rows] == [False, True, False]
    with pytest.raises(DatasetError, match="the columns are bytes, and none is named path"):
        classifier({"bytes": encoded})


def test_paths_may_lead_into_archives(images: Path, expected: list[dict], tmp_path: Path) -> None:
    pack(
        tmp_path / "a.tar", {name: (images / name).read_bytes() for name in ("003.jpg", "001.jpg")}
    )
    classifier = RayClassifier(BREEDS, folder=tmp_path)
    rows = classifier({"path": np.array(["a.tar/001.jpg", "a.tar/003.jpg"])}).to_pylist()
    named = {Path(row["file"]).name: row["predictions"] for row in expected}
    assert [row["predictions"] for row in rows] == [named["001.jpg"], named["003.jpg"]]


def test_other_columns_are_kept_and_nulls_are_rows(images: Path, expected: list[dict]) -> None:
    names = np.array(["003.jpg", None, None], dtype=object)
    contents = np.array([None, (images / "001.jpg").read_bytes(), None], dtype=object)
    boxes = np.arange(6).reshape(3, 2)
    batch = {"id": np.array(["a", None, "c"], object), "path": names, "bytes": contents}
    classifier = RayClassifier(BREEDS, folder=images)
    rows = classifier(batch | {"box": boxes}).to_pylist()
    named = {Path(row["file"]).name: row["predictions"] for row in expected}
    assert [row["predictions"] for row in rows] == [named["003.jpg"], named["001.jpg"], None]
    assert [row["file"] for row in rows] == ["003.jpg", None, None]
    assert rows[2]["error"] == "this row has neither the name nor the content of an image"
    assert [(row["id"], row["box"]) for row in rows] == [
        ("a", [0, 1]),
        (None, [2, 3]),
        ("c", [4, 5]),
    ]
    with pytest.raises(DatasetError, match="are those of the answers; rename file"):
        classifier(batch | {"file": names})
    with pytest.raises(DatasetError, match="the column thing cannot be kept in a table"):
        classifier(batch | {"thing": np.array([object()] * 3)})


def test_images_of_hugging_face_are_labeled(images: Path, expected: list[dict]) -> None:
    named = {Path(row["file"]).name: row["predictions"] for row in expected}
    content = (images / "001.jpg").read_bytes()
    structs = [
        {"bytes": content, "path": None},
        {"bytes": None, "path": "003.jpg"},
        {"bytes": content, "path": "cat.jpg"},
        None,
    ]
    data = pyarrow.table({"image": structs, "label": [3, 1, 2, 0]})
    classifier = RayClassifier(BREEDS, folder=images)
    answers = [named["001.jpg"], named["003.jpg"], named["001.jpg"], None]
    arrays = {"image": np.array(structs, object), "label": np.array([3, 1, 2, 0])}
    for batch in (data, arrays):
        rows = classifier(batch).to_pylist()
        assert [row["predictions"] for row in rows] == answers
        assert [row["file"] for row in rows] == [None, "003.jpg", "cat.jpg", None]
        assert [row["label"] for row in rows] == [3, 1, 2, 0]
        assert [*rows[0]] == ["file", "predictions", "error", "label"]


HOLD = """
import ray, sys, time
from pathlib import Path
folder = Path(sys.argv[2])

@ray.remote(num_cpus=1)
def hold(number):
    (folder / f"held {number}").touch()
    while not (folder / "free").exists():
        time.sleep(0.1)

ray.init(sys.argv[1], log_to_driver=False)
ray.get([hold.remote(number) for number in range(2)])
"""

IMPATIENT = """
from ghostnet.inference import ray_cluster
ray_cluster.WAIT_SECONDS = 1
from ghostnet.cli.main import main
main()
"""


@pytest.mark.nightly
def test_a_cluster_without_a_free_processor_is_said(
    images: Path, address: str, tmp_path: Path
) -> None:
    hold = [sys.executable, "-c", HOLD, address, tmp_path]
    out = tmp_path / "rows.jsonl"
    words = ["predict", images / "001.jpg", "--out", out, "--ray", "--address", address]
    predict = [sys.executable, "-c", IMPATIENT, *words]
    with subprocess.Popen(hold, stderr=subprocess.DEVNULL) as holding:
        try:
            wait_for(lambda: len([*tmp_path.glob("held ?")]) == 2)
            with subprocess.Popen(predict, stderr=subprocess.PIPE, text=True) as predicting:
                said = predicting.stderr.readline()
                (tmp_path / "free").touch()
                assert predicting.wait() == 0
        finally:
            (tmp_path / "free").touch()
    assert "ghostnet: Ray: waiting for a free processor; all 2 of the cluster are in use" in said
    assert holding.returncode == 0
    assert out.read_text().count("predictions") == 1


def test_what_the_engine_does_not_take_is_refused(
    ghostnet: Ghostnet, images: Path, tmp_path: Path
) -> None:
    words = ("predict", images / "001.jpg", "--ray")
    ghostnet(*words, status=2)
    assert "--ray needs --out" in ghostnet.err
    out = ("--out", tmp_path / "rows.csv")
    for option in (("--no-fuse",), ("--backend", "openvino"), ("--device", "GPU")):
        ghostnet(*words, *out, *option, status=2)
        assert "--ray runs the fused kernels on CPUs" in ghostnet.err
    ghostnet("predict", images, *out, "--address", "auto", status=2)
    assert "--address needs --ray" in ghostnet.err


@pytest.mark.parametrize("address", ["127.0.0.1:1", "ray://localhost:1", "nowhere"])
def test_an_address_without_a_cluster_is_an_error(
    ghostnet: Ghostnet, images: Path, tmp_path: Path, address: str
) -> None:
    words = ("predict", images, "--out", tmp_path / "rows.csv", "--ray")
    error = ghostnet.json(*words, "--address", address, status=1)["error"]
    assert f"{address}: there is no Ray cluster" in error
    assert not [*tmp_path.iterdir()]


def test_a_cluster_starts_and_stops_with_the_command(
    ghostnet: Ghostnet, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(images)
    out = tmp_path / "rows.csv"
    ghostnet("predict", "001.jpg", "002.jpg", "--out", out, "--ray")
    assert ghostnet.err == ""
    ghostnet("predict", "001.jpg", "002.jpg", "--out", tmp_path / "expected.csv")
    assert out.read_bytes() == (tmp_path / "expected.csv").read_bytes()
    assert not ray.is_initialized()
    wait_for(lambda: not actors())
