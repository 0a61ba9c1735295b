"""A frozen backbone, and the layers above it, which are trained."""

from mindspore import Tensor, nn

from ghostnet.checkpoints import Parameters
from ghostnet.checkpoints.parameters import count_classes
from ghostnet.data.labels import unknown_labels
from ghostnet.data.transforms import Preprocess
from ghostnet.model import Model
from ghostnet.model.forward import Forward, open_forward
from ghostnet.models import Architecture
from ghostnet.models.classification import ClassificationNetwork


def open_backbone(
    architecture: Architecture, parameters: Parameters, size: int, *, fused: bool
) -> Forward:
    """Open a network's features in inference mode, without gradients.

    Args:
        architecture: Table of the network.
        parameters: Arrays by name.
        size: Side of the images, in pixels.
        fused: Use the fused kernels where they can run the network.

    Returns:
        Maps (batch, 3, height, width) to (batch, num_features), both float32.
    """
    labels = unknown_labels(count_classes(parameters, architecture))
    model = Model("backbone", architecture, parameters, labels, Preprocess(size))
    return open_forward(model, fused=fused, features=True)


class FrozenBackboneHead(nn.Cell):
    """The dropout and the classifier of a network whose backbone is frozen.

    Maps (batch, num_features) to (batch, num_classes).
    """

    def __init__(self, network: ClassificationNetwork) -> None:
        super().__init__(auto_prefix=False)
        self.dropout = network.dropout
        self.classifier = network.classifier

    def features(self, features: Tensor) -> Tensor:
        """Return the features, which are given in place of images."""
        return features

    def construct(self, features: Tensor) -> Tensor:
        """Return the logits."""
        return self.classifier(self.dropout(features))
