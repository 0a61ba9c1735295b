"""What a network that learns from a teacher minimizes, and the settings that this takes."""

import mindspore as ms
import numpy as np
import pytest
from mindspore import Tensor, nn

from ghostnet.errors import TrainingError
from ghostnet.training.config import check
from ghostnet.training.run.step import DistillationLoss
from ghostnet.training.targets import UNLABELED, Targets


@pytest.fixture(autouse=True)
def graph_mode() -> None:
    """As in a training run."""
    ms.set_context(mode=ms.GRAPH_MODE)


class Body(nn.Cell):
    def features(self, images: Tensor) -> Tensor:
        return images


class Head(nn.Cell):
    def __init__(self) -> None:
        super().__init__()
        self.dropout = nn.Identity()
        self.classifier = nn.Identity()


def softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits - logits.max(1, keepdims=True))
    return powers / powers.sum(1, keepdims=True)


@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_the_loss_mixes_labels_and_shares(temperature: float) -> None:
    generator = np.random.default_rng(0)
    logits = generator.normal(size=(4, 3)).astype(np.float32)
    taught = softmax(generator.normal(size=(4, 3))).astype(np.float32)
    labels = np.array([0, 2, UNLABELED, 1], np.int32)
    weights = np.array([0.5, 0.5, 1, 0.5], np.float32)
    shares = (1 - weights[:, None]) * Targets(labels, 3, smoothing=0.1)(labels)
    loss = DistillationLoss(Body(), Head(), None, temperature)
    found = loss(*map(Tensor, (logits, shares, taught, weights))).asnumpy()
    by_label = -(shares * np.log(softmax(logits))).sum(1)
    by_teacher = -(taught * np.log(softmax(logits / temperature))).sum(1) * temperature**2
    np.testing.assert_allclose(found, (by_label + weights * by_teacher).mean(), rtol=1e-5)
    np.testing.assert_allclose(shares.sum(1), [0.5, 0.5, 0, 0.5], rtol=1e-6)


def test_features_are_compared_by_their_direction() -> None:
    features = np.array([[1, 0], [0, 3]], np.float32)
    taught = np.array([[5, 0], [0, -1]], np.float32)
    loss = DistillationLoss(Body(), Head(), nn.Identity(), 1.0)
    arguments = (features, np.zeros((2, 2), np.float32), taught, np.ones(2, np.float32))
    np.testing.assert_allclose(loss(*map(Tensor, arguments)).asnumpy(), 1.0, atol=1e-5)


def test_settings_that_lack_a_teacher_are_refused() -> None:
    with pytest.raises(TrainingError, match="images without labels need a teacher"):
        check({"data": ".", "unlabeled": ["."]}, "test")
    with pytest.raises(TrainingError, match="data: required, unless a teacher"):
        check({"teacher": "t.onnx"}, "test")
