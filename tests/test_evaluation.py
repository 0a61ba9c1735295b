"""The confusion matrix, drawn and counted."""

import io

import numpy as np
import pytest
from PIL import Image

from ghostnet.model.evaluation import Evaluation, plot_confusion


def evaluation(classes: int) -> Evaluation:
    confusion = np.random.default_rng(0).integers(0, 3, (classes, classes))
    confusion[1, 2] = 9
    return Evaluation(tuple(f"class {n}" for n in range(classes)), confusion, 0, ())


def test_the_most_confused_pairs_come_first() -> None:
    pairs = evaluation(5).most_confused(3)
    assert pairs[0] == ("class 1", "class 2", 9)
    assert [count for *_, count in pairs] == sorted((count for *_, count in pairs), reverse=True)


@pytest.mark.nightly
def test_a_plot_of_many_classes_has_a_bounded_size() -> None:
    sizes = []
    for classes in (5, 60, 1000):
        plot = io.BytesIO()
        plot_confusion(evaluation(classes), plot)
        sizes.append(Image.open(plot).size)
    assert sizes[0] < sizes[1]
    assert max(sizes[2]) < 2000
