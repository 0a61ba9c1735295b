"""Parameters and multiply-adds of a network, counted from its layers.

One multiply-add is one product in a convolution or dense layer, squeeze-excite's included; batch
norm, activations, pooling and additions are not counted. Hub cards and the paper call this number
FLOPs.
"""

from collections.abc import Iterable
from math import prod
from typing import TYPE_CHECKING, NamedTuple

from ghostnet.models.specs import LayerSpec

if TYPE_CHECKING:
    from ghostnet.models.classification import ClassificationNetwork


class Complexity(NamedTuple):
    """Trainable parameters, and multiply-adds for one image."""

    parameters: int
    multiply_adds: int


def complexity(
    network: "ClassificationNetwork | Iterable[LayerSpec]", image_size: int
) -> Complexity:
    """Count the parameters and multiply-adds of a network.

    Args:
        network: A network, or the layers of any network.
        image_size: Height and width of the image, in pixels.

    Examples:
        >>> from ghostnet.models import GHOSTNET_1X, complexity, network_spec
        >>> complexity(network_spec(GHOSTNET_1X, num_classes=37).layers(), image_size=224)
        Complexity(parameters=3948905, multiply_adds=139917872)
    """
    layers = network if isinstance(network, Iterable) else network.spec.layers()
    parts = [part for layer in layers for part in layer.parts()]
    counts = [(_parameters(part), _multiply_adds(part, image_size)) for part in parts]
    return Complexity(*map(sum, zip(*counts, strict=True)))


def _weights(layer: LayerSpec) -> int:
    return 0 if layer.kind == "identity" else prod(layer.weight_shape)


def _parameters(layer: LayerSpec) -> int:
    """Count the weight, and the bias or the two parameters of the batch norm."""
    vectors = 2 if layer.norm else 1
    return _weights(layer) + vectors * layer.out_channels


def _multiply_adds(layer: LayerSpec, image_size: int) -> int:
    side = -(-image_size // layer.reduction) // layer.pooling if layer.reduction else 1
    return _weights(layer) * side * side
