"""A backbone that does not learn, and the layers above it, which do."""

from typing import Any

from mindspore import Tensor, nn
from numpy.typing import NDArray

from ghostnet.checkpoints.cells import parameters_of
from ghostnet.kernels import Session, unavailable_reason
from ghostnet.models.classification import ClassificationNetwork
from ghostnet.models.network import HeadFeatures


class FrozenBackbone:
    """The features of a network as they are in inference, without gradients.

    Maps (batch, 3, height, width) to (batch, num_features), both float32.

    Args:
        network: Left in inference state: its statistics stay as they are.
        fused: Use the fused kernels where they know the network.
    """

    def __init__(self, network: ClassificationNetwork, fused: bool) -> None:
        network.set_train(False)
        self._session: Session | None = None
        if fused and unavailable_reason(architecture=network.architecture) is None:
            parameters = parameters_of(network)
            self._session = Session(network.architecture, parameters, features=True)
        self._cell = HeadFeatures(network)

    def __call__(self, images: NDArray[Any]) -> NDArray[Any]:
        """Compute the features of a batch."""
        if self._session:
            return self._session(images)
        features: NDArray[Any] = self._cell(Tensor(images)).asnumpy()
        return features


class FrozenBackboneHead(nn.Cell):
    """Dropout and classifier of a network, which take the features of its frozen backbone.

    Maps (batch, num_features) to (batch, num_classes).
    """

    def __init__(self, network: ClassificationNetwork) -> None:
        super().__init__(auto_prefix=False)
        self.dropout = network.dropout
        self.classifier = network.classifier

    def features(self, features: Tensor) -> Tensor:
        """Return the features, which stand in the place of the images."""
        return features

    def construct(self, features: Tensor) -> Tensor:
        """Return the logits."""
        return self.classifier(self.dropout(features))
