"""`ghostnet embed`, and `similar` and `duplicates`, which answer from its files."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from bundled_models import FLOWERS
from command_line import Ghostnet
from conftest import REPOSITORY
from extras import PARQUET
from hypothesis import given, settings
from hypothesis import strategies as st

import ghostnet as package
from ghostnet import hub
from ghostnet.embeddings import search
from ghostnet.embeddings.approximate import likely_pairs
from ghostnet.embeddings.array_file import names_of
from ghostnet.embeddings.collection import Embeddings, read_embeddings
from ghostnet.errors import ResultsError
from ghostnet.kernels import Session
from ghostnet.model.pipeline import Logits

IMAGES = REPOSITORY / "assets/images"
FORMATS = [f"out.{suffix}" for suffix in ("npy", *PARQUET)]


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three photographs, a copy of one, and a file that is no image."""
    folder = tmp_path_factory.mktemp("images")
    for name in ("cat.jpg", "kitten.jpg", "pug.jpg"):
        shutil.copy(IMAGES / name, folder)
    shutil.copy(IMAGES / "pug.jpg", folder / "again.jpg")
    (folder / "broken.jpg").write_bytes(b"no image")
    return folder


@pytest.mark.parametrize("name", FORMATS)
def test_embeddings_are_the_features_of_the_model(
    ghostnet: Ghostnet, images: Path, tmp_path: Path, name: str
) -> None:
    out = tmp_path / name
    answer = ghostnet.json("embed", images, "--out", out, "--model", FLOWERS, status=1)
    assert (answer["rows"], answer["errors"]) == (5, 1)
    read = read_embeddings(out)
    assert [Path(file).name for file in read.names] == [
        "again.jpg", "broken.jpg", "cat.jpg", "kitten.jpg", "pug.jpg"
    ]  # fmt: skip
    assert read.vectors.dtype == np.float32
    assert np.isnan(read.vectors[1]).all()
    features = package.open_model(FLOWERS).features(images / "cat.jpg")
    np.testing.assert_array_equal(read.vectors[2], features)


def test_the_pooled_layer_is_what_the_head_reads(
    ghostnet: Ghostnet, images: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out.npy"
    words = ("--model", FLOWERS, "--layer", "pooled", "--normalize")
    ghostnet("embed", images / "cat.jpg", "--out", out, *words)
    (vector,) = np.load(out)
    assert vector.shape == (960,)
    assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-5)
    model = hub.open_model(FLOWERS)
    parameters = model.parameters
    forward = Session(model.architecture, parameters, pooled=True)
    ((_, outcome),) = model.outcomes([images / "cat.jpg"], batch_size=1, forward=forward)
    assert isinstance(outcome, Logits)
    pooled = outcome.values
    head = parameters["conv_head.weight"][:, :, 0, 0]
    features = np.maximum(head @ pooled + parameters["conv_head.bias"], 0)
    np.testing.assert_allclose(features, model.features(images / "cat.jpg"), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(vector, pooled / np.linalg.norm(pooled), rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("name", FORMATS)
def test_a_file_is_continued_and_failed_rows_are_tried_again(
    ghostnet: Ghostnet, images: Path, tmp_path: Path, name: str
) -> None:
    folder = shutil.copytree(images, tmp_path / "images")
    (folder / "pug.jpg").rename(tmp_path / "pug.jpg")
    out = tmp_path / name
    words = ("embed", folder, "--out", out, "--model", FLOWERS)
    ghostnet(*words, status=1)
    (tmp_path / "pug.jpg").rename(folder / "pug.jpg")
    shutil.copy(IMAGES / "german_shepherd.jpg", folder / "broken.jpg")
    assert "--resume" in ghostnet.json(*words, status=1)["error"]
    answer = ghostnet.json(*words, "--resume")
    assert (answer["rows"], answer["resumed"], answer["retried"], answer["errors"]) == (5, 4, 1, 0)
    ghostnet("embed", folder, "--out", tmp_path / f"whole {name}", "--model", FLOWERS)
    found, whole = read_embeddings(out), read_embeddings(tmp_path / f"whole {name}")
    assert found.names == whole.names
    np.testing.assert_array_equal(found.vectors, whole.vectors)
    other = ghostnet.json(*words, "--resume", "--layer", "pooled", status=1)
    assert "has embeddings of the layer head, and this run makes embeddings of" in other["error"]


def test_what_a_kill_left_is_refused_and_continued(
    ghostnet: Ghostnet, images: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out.npy"
    words = ("embed", images / "cat.jpg", images / "pug.jpg", "--out", out, "--model", FLOWERS)
    ghostnet(*words)
    whole = out.read_bytes()
    names = names_of(out).read_bytes().splitlines(keepends=True)
    names_of(out).write_bytes(names[0] + names[1][:9])
    with pytest.raises(ResultsError, match="continue it with --resume"):
        read_embeddings(out)
    ghostnet(*words, "--resume")
    assert out.read_bytes() == whole
    out.write_bytes(whole[:-9])
    assert "fewer rows" in ghostnet.json(*words, "--resume", status=1)["error"]


@pytest.mark.parametrize("name", FORMATS)
def test_similar_images_and_duplicates_are_found(
    ghostnet: Ghostnet, images: Path, tmp_path: Path, name: str
) -> None:
    out = tmp_path / name
    ghostnet("embed", images, "--out", out, "--model", FLOWERS, status=1)
    matches = ghostnet.json("similar", images / "pug.jpg", out, "--count", 3)
    assert {Path(match["file"]).name for match in matches[:2]} == {"again.jpg", "pug.jpg"}
    assert matches[0]["similarity"] == pytest.approx(1, abs=1e-5)
    assert matches[2]["similarity"] < 0.999
    assert len(ghostnet.json("similar", images / "pug.jpg", out)) == 4  # without the broken one
    (group,) = ghostnet.json("duplicates", out, "--at-least", 0.999)
    assert [Path(file).name for file in group] == ["again.jpg", "pug.jpg"]
    assert "again.jpg" in ghostnet("duplicates", out, "--at-least", 0.999)
    assert "pug.jpg" in ghostnet("similar", images / "pug.jpg", out)
    ghostnet("similar", tmp_path / "nothing.jpg", out, status=1)


def test_another_model_and_other_files_are_refused(
    ghostnet: Ghostnet, images: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out.npy"
    ghostnet("embed", images / "cat.jpg", "--out", out, "--model", FLOWERS)
    words = ("similar", images / "cat.jpg", out)
    error = ghostnet.json(*words, "--model", "ghostnet/cpu/2.10/ghostnet_v1.0_pets", status=1)
    assert "made by the model" in error["error"]
    np.save(tmp_path / "other.npy", np.zeros((2, 3)))
    for path in (tmp_path / "other.npy", tmp_path / "none.npy", IMAGES / "cat.jpg"):
        error = ghostnet.json("duplicates", path, status=1)
        assert "ghostnet embed" in error["error"]
    assert ".npy, .parquet" in ghostnet.json(
        "embed", images, "--out", tmp_path / "out.csv", "--model", FLOWERS, status=1
    )["error"]  # fmt: skip
    ghostnet("embed", "--out", out, status=2)


@settings(deadline=None)
@given(st.integers(0, 12), st.integers(1, 5), st.integers(0, 2**32))
def test_search_is_exact_whatever_the_blocks(rows: int, block: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    vectors = random.integers(-2, 3, (rows, 3)).astype(np.float32)
    embeddings = Embeddings([f"{row}" for row in range(rows)], vectors)
    query = np.array([1, 2, 0], np.float32)
    lengths = np.linalg.norm(vectors, axis=1)
    with np.errstate(invalid="ignore"):
        cosines = vectors @ query / lengths / np.linalg.norm(query)
    expected = [f"{row}" for row in np.argsort(-cosines, kind="stable") if lengths[row]]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(search, "BLOCK", block)
        found = search.similar(query, embeddings, rows + 1)
        groups = search.duplicates(embeddings, 0.99)
    np.testing.assert_allclose(
        [match.similarity for match in found], sorted(cosines[lengths > 0])[::-1], atol=1e-6
    )
    assert sorted(match.name for match in found) == sorted(expected)
    grouped = {name for group in groups for name in group}
    for row in range(rows):
        with np.errstate(invalid="ignore"):
            others = vectors @ vectors[row] / lengths / lengths[row]
        others[row] = 0
        assert (f"{row}" in grouped) == bool((others > 0.99).any())


def test_an_index_finds_the_pairs_that_exact_search_finds(
    ghostnet: Ghostnet, images: Path, tmp_path: Path
) -> None:
    pytest.importorskip("faiss", reason="needs the extra faiss")
    random = np.random.default_rng(0)
    vectors = random.standard_normal((3000, 96)).astype(np.float32)
    vectors[2000:2200] = vectors[:200] + random.normal(0, 0.1, (200, 96))
    vectors[7] = np.nan
    gone = np.zeros(len(vectors), bool)
    gone[9] = True
    embeddings = Embeddings([f"{row}" for row in range(len(vectors))], vectors, gone=gone)
    exact = search.duplicates(embeddings, 0.9)
    assert len(exact) == 198
    found = search.duplicates(embeddings, 0.9, likely_pairs)
    assert set(map(tuple, found)) <= set(map(tuple, exact))
    assert len(found) >= 190
    assert search.duplicates(Embeddings([], vectors[:0]), 0.9, likely_pairs) == []
    out = tmp_path / "out.npy"
    ghostnet("embed", images, "--out", out, "--model", FLOWERS, status=1)
    words = ("duplicates", out, "--at-least", 0.999)
    assert ghostnet.json(*words, "--approximate") == ghostnet.json(*words)
