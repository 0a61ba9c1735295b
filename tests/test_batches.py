"""Batches for training: order, augmentation, several workers, MindRecord."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from mindspore.mindrecord import FileWriter
from toy_images import draw

from ghostnet.data.image_folder import read_folder
from ghostnet.errors import DatasetError
from ghostnet.training.augment import Augment
from ghostnet.training.config import DataSettings, Layout
from ghostnet.training.run.batches import Batches, Worker
from ghostnet.training.run.task import open_task
from ghostnet.training.source import FolderSource, MindRecordSource


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw(tmp_path_factory.mktemp("images") / "train")


def make_batches(images: Path, batch_size: int = 4, worker: Worker = Worker()) -> Batches:  # noqa: B008
    source = FolderSource(read_folder(images).files)
    return Batches(source, Augment(32, color_jitter=0.4), batch_size, 3, 2, worker)


def test_batches_hold_images_with_their_labels(images: Path) -> None:
    batches = make_batches(images)
    epoch = list(batches.epoch(0))
    assert len(epoch) == batches.steps == 4
    for batch in epoch:
        assert batch.images.shape == (4, 3, 32, 32)
        assert batch.images.dtype == np.float32
        files = batches.source.files
        assert batch.labels.tolist() == [files[index][1] for index in batch.indices]
    met = np.concatenate([batch.indices for batch in epoch])
    assert len(set(met.tolist())) == 16


def test_an_epoch_goes_on_from_any_step(images: Path) -> None:
    batches = make_batches(images)
    whole = list(batches.epoch(1))
    for step in range(4):
        for found, expected in zip(batches.epoch(1, step), whole[step:], strict=True):
            np.testing.assert_array_equal(found.images, expected.images)
            np.testing.assert_array_equal(found.indices, expected.indices)


def test_threads_beyond_the_processors_are_not_started(images: Path) -> None:
    few = make_batches(images)
    many = replace(few, threads=10_000)
    for found, expected in zip(many.epoch(0), few.epoch(0), strict=True):
        np.testing.assert_array_equal(found.images, expected.images)


def test_epochs_differ_in_order_and_augmentation(images: Path) -> None:
    batches = make_batches(images)
    orders = [batches.order(epoch) for epoch in (0, 1)]
    assert not np.array_equal(*orders)
    seen = [{int(i): x for b in batches.epoch(e) for i, x in zip(b.indices, b.images, strict=True)}
            for e in (0, 1)]  # fmt: skip
    common = seen[0].keys() & seen[1].keys()
    assert all(not np.array_equal(seen[0][index], seen[1][index]) for index in common)


def test_workers_share_the_batches_of_one(images: Path) -> None:
    alone = make_batches(images, 4).order(2)
    shares = [make_batches(images, 2, Worker(rank, 2)).order(2) for rank in (0, 1)]
    for step in range(4):
        parts = np.concatenate([share[step] for share in shares])
        assert sorted(parts) == sorted(alone[step])


def test_less_than_one_batch_is_an_error(images: Path) -> None:
    with pytest.raises(DatasetError, match=r"18 .* do not fill a batch of 10 for each of 2"):
        _ = make_batches(images, 10, Worker(0, 2)).steps


def test_a_broken_image_is_named(tmp_path: Path) -> None:
    images = draw(tmp_path / "images")
    (images / "rot" / "2.png").write_bytes(b"no image")
    with pytest.raises(DatasetError, match=r"rot/2\.png: .*not an image"):
        list(make_batches(images, 9).epoch(0))


@pytest.mark.parametrize("content", [None, b"", b"no image", "a folder"])
def test_an_image_that_is_lost_in_training_is_named_in_one_line(
    content: object, tmp_path: Path
) -> None:
    images = draw(tmp_path / "images")
    batches = make_batches(images, 9)
    file = images / "rot" / "2.png"
    file.unlink()
    if isinstance(content, bytes):
        file.write_bytes(content)
    elif content:
        file.mkdir()
    with pytest.raises(DatasetError, match=r"^\S*rot/2\.png: [^\n]*$"):
        list(batches.epoch(0))


class Flaky(FolderSource):
    """Files that cannot be read now, though they can be a moment later."""

    def __getitem__(self, index: int) -> tuple[np.ndarray, ...]:
        raise OSError(5, "Input/output error", str(self.files[index][0]))


def test_an_image_that_comes_back_is_an_error_of_one_line(images: Path) -> None:
    batches = make_batches(images)
    flaky = Batches(Flaky(read_folder(images).files), batches.augment, 4, 3, 2)
    with pytest.raises(DatasetError, match=r"^an image could not be read: OSError[^\n]*$"):
        list(flaky.epoch(0))


def write_mindrecord(path: Path, images: Path) -> Path:
    writer = FileWriter(str(path))
    writer.add_schema({"data": {"type": "bytes"}, "label": {"type": "int32"}})
    writer.write_raw_data(
        [{"data": file.read_bytes(), "label": index} for file, index in read_folder(images).files]
    )
    writer.commit()
    return path


def test_held_out_images_are_no_rows_of_the_mindrecord(images: Path, tmp_path: Path) -> None:
    path = write_mindrecord(tmp_path / "train.mindrecord", images)
    settings = {"path": path, "layout": Layout.MINDRECORD}
    with pytest.raises(
        DatasetError, match=r"18 of 18 held-out images are also .*png = .*, row \d+, "
    ):
        open_task(DataSettings(val=str(images), **settings))
    others = draw(tmp_path / "others", 5)
    assert len(open_task(DataSettings(val=str(others), **settings)).held_out.files) == 15


def test_a_broken_row_is_named(tmp_path: Path) -> None:
    images = draw(tmp_path / "images")
    (images / "rot" / "2.png").write_bytes(b"no image")
    path = write_mindrecord(tmp_path / "train.mindrecord", images)
    batches = Batches(MindRecordSource(path), Augment(32), 9, 3, 2)
    with pytest.raises(DatasetError, match=r"^\S*train\.mindrecord, row 14: [^\n]*$"):
        list(batches.epoch(0))


def test_mindrecord_gives_the_batches_of_the_folder(images: Path, tmp_path: Path) -> None:
    path = write_mindrecord(tmp_path / "train.mindrecord", images)
    expected = make_batches(images)
    found = Batches(MindRecordSource(path), expected.augment, 4, 3, 2)
    for a, b in zip(found.epoch(1, 1), expected.epoch(1, 1), strict=True):
        np.testing.assert_array_equal(a.images, b.images)
        np.testing.assert_array_equal(a.labels, b.labels)
    assert found.source.name(7) == f"{path}, row 7"


def test_what_is_no_mindrecord_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="no such MindRecord file"):
        MindRecordSource(tmp_path / "none")
    (tmp_path / "bad").write_bytes(b"x" * 1000)
    with pytest.raises(DatasetError, match="columns data and label"):
        MindRecordSource(tmp_path / "bad")
