"""An opened model: a network as data, and what is needed to use it."""

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from ghostnet.checkpoints import Parameters, classifier_names
from ghostnet.data.transforms import Preprocess
from ghostnet.models import Architecture
from ghostnet.runtime import start_mindspore

if TYPE_CHECKING:
    from ghostnet.models.classification import ClassificationNetwork


@dataclass(frozen=True)
class Model:
    """A network as data, and what is needed to use it.

    Attributes:
        name: UID, path or URL that it was opened by.
        architecture: Its table.
        parameters: Arrays by released name, float32.
        labels: Names of the classes; ``class 0``, ``class 1``, … where they are not known.
        preprocess: Maps an image to the network's input.
    """

    name: str
    architecture: Architecture
    parameters: Parameters
    labels: tuple[str, ...]
    preprocess: Preprocess

    @property
    def num_classes(self) -> int:
        """Length of the logits."""
        _, bias = classifier_names(self.architecture)
        return len(self.parameters[bias])

    @cached_property
    def network(self) -> "ClassificationNetwork":
        """The MindSpore network, in inference state; built when it is first asked for."""
        start_mindspore()
        from ghostnet.checkpoints.cells import load_parameters
        from ghostnet.models.network import build_network

        network = build_network(self.architecture, self.num_classes)
        load_parameters(network, self.parameters, name=self.name)
        network.set_train(False)
        return network
