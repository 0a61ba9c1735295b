"""Augmentation of images and batches: RandAugment, erasing, Mixup and CutMix."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from ghostnet.errors import TrainingError
from ghostnet.training.augment import Augment
from ghostnet.training.config import check
from ghostnet.training.mixing import Mixing
from ghostnet.training.rand_augment import OPERATIONS, RandAugment


@pytest.fixture(scope="module")
def photograph() -> Image.Image:
    assets = Path(__file__).resolve().parents[1] / "assets/images"
    with Image.open(assets / "cat.jpg") as image:
        return image.convert("RGB").resize((64, 48))


@pytest.mark.parametrize("name", OPERATIONS)
@pytest.mark.parametrize("strength", [-1.0, -0.3, 0.6, 1.0])
def test_an_operation_keeps_mode_and_size(
    photograph: Image.Image, name: str, strength: float
) -> None:
    changed = OPERATIONS[name](photograph, strength)
    assert (changed.mode, changed.size) == ("RGB", photograph.size)


@pytest.mark.parametrize(
    "name", [n for n in OPERATIONS if n not in ("auto contrast", "equalize", "invert")]
)
def test_a_stronger_operation_changes_more(photograph: Image.Image, name: str) -> None:
    pixels = np.asarray(photograph, np.float32)
    weak, strong = (
        np.abs(np.asarray(OPERATIONS[name](photograph, strength), np.float32) - pixels).mean()
        for strength in (0.3, 0.9)
    )
    assert weak < strong


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("rand", RandAugment(9, 2, 0)),
        ("rand-m7", RandAugment(7, 2, 0)),
        ("rand-m9-n3-mstd0.5-inc1", RandAugment(9, 3, 0.5)),
    ],
)
def test_words_of_policies_are_read(text: str, expected: RandAugment) -> None:
    assert RandAugment.parse(text) == expected


@pytest.mark.parametrize("text", ["", "original", "rand-x3", "rand-m", "augmix-m3"])
def test_other_policies_are_refused(text: str) -> None:
    with pytest.raises(TrainingError, match=r"aa: .*not a policy of RandAugment"):
        check({"data": ".", "aa": text}, "test")


def test_rand_augment_takes_the_place_of_colors(photograph: Image.Image) -> None:
    augment = Augment(32, color_jitter=0.4, rand_augment=RandAugment(layers=3))
    variations = [augment.draw(photograph.size, np.random.default_rng(n)) for n in range(200)]
    assert all(variation.factors == () for variation in variations)
    drawn = {name for variation in variations for name, _ in variation.operations}
    assert drawn == OPERATIONS.keys()
    mean = np.mean([len(variation.operations) for variation in variations])
    assert 1.2 < mean < 1.8  # half of three


def test_a_box_becomes_noise(photograph: Image.Image) -> None:
    plain, erased = (
        Augment(64, erasing=erasing)(photograph, np.random.default_rng(4)) for erasing in (0, 1)
    )
    changed = (plain != erased).all(0)
    rows, columns = np.flatnonzero(changed.any(1)), np.flatnonzero(changed.any(0))
    assert changed[np.ix_(rows, columns)].all()
    assert 0.015 < changed.mean() < 0.4
    assert abs(erased[:, changed].mean()) < 0.3


@settings(deadline=None)
@given(
    st.sampled_from([Mixing(0.2), Mixing(0, 1.0), Mixing(0.8, 1.0), Mixing(0.8, 1.0, 0.5)]),
    st.integers(1, 6),
    st.integers(0, 1000),
)
def test_labels_are_mixed_as_the_images_are(mixing: Mixing, batch: int, seed: int) -> None:
    # An image whose pixels are all the number of its class: its mean is the mean of its label.
    values = np.arange(batch, dtype=np.float32)
    images = np.broadcast_to(values[:, None, None, None], (batch, 3, 40, 24)).copy()
    shares = np.eye(batch, dtype=np.float32)
    mixed, targets = mixing(images, shares, np.random.default_rng(seed))
    np.testing.assert_allclose(mixed.mean((1, 2, 3)), targets @ values, atol=1e-4)
    np.testing.assert_allclose(targets.sum(1), 1, rtol=1e-6)
    assert mixed.dtype == targets.dtype == np.float32
    again, _ = mixing(images, shares, np.random.default_rng(seed))
    np.testing.assert_array_equal(mixed, again)


def test_a_teacher_and_mixed_images_are_refused() -> None:
    with pytest.raises(TrainingError, match="teacher has not seen mixed images"):
        check({"data": ".", "teacher": "t.onnx", "mixup": 0.2}, "test")
