"""What every network here is: images to logits, for one caller at a time."""

from typing import Any

from mindspore import Tensor, nn
from mindspore.common.initializer import Normal

from ghostnet import runtime
from ghostnet.models.architectures import Architecture
from ghostnet.models.specs import NetworkSpec, network_spec
from ghostnet.models.turns import MINDSPORE


class SerialCell(nn.Cell):
    """A cell that several threads may call: its calls, and those of all like it, take turns."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        with MINDSPORE.lock:
            return super().__call__(*args, **kwargs)


class ClassificationNetwork(SerialCell):
    """A network: (batch, 3, height, width) images to (batch, num_classes) logits.

    A subclass has ``features``, which maps images to the (batch, num_features) that the classifier
    reads, ``dropout`` and ``classifier``.

    Args:
        architecture: Its table.
        num_classes: Length of the logits.
    """

    def __init__(self, architecture: Architecture, num_classes: int) -> None:
        super().__init__()
        runtime.prepare_operators()
        self.architecture = architecture
        self.num_features = architecture.head_channels

    @property
    def num_classes(self) -> int:
        """Length of the logits, by the last dense layer; without one, that of the features."""
        cells = [cell for _, cell in self.classifier.cells_and_names()]
        lengths = [cell.out_channels for cell in cells if isinstance(cell, nn.Dense)]
        return lengths[-1] if lengths else self.num_features

    @property
    def spec(self) -> NetworkSpec:
        """The layers of the network as data."""
        return network_spec(self.architecture, self.num_classes)

    def construct(self, x: Tensor) -> Tensor:
        return self.classifier(self.dropout(self.features(x)))

    def new_classifier(self, num_classes: int) -> nn.Cell:
        """Build the last layer."""
        return classifier(self.num_features, num_classes)

    def reset_classifier(self, num_classes: int) -> None:
        """Replace the classifier by a freshly initialized one for ``num_classes`` classes."""
        self.classifier = self.new_classifier(num_classes)
        self.classifier.update_parameters_name("classifier.")


def dropout(rate: float) -> nn.Cell:
    """Build a dropout; a rate of 0 takes no seed of MindSpore's."""
    return nn.Dropout(p=rate) if rate else nn.Identity()


def classifier(in_features: int, num_classes: int) -> nn.Dense:
    """Build the last dense layer, its weight drawn from N(0, 0.01) and its bias zero."""
    if num_classes < 1:
        raise ValueError(f"num_classes: {num_classes} is less than 1")
    return nn.Dense(in_features, num_classes, weight_init=Normal(0.01), bias_init="zeros")
