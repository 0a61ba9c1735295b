"""Branches merged: the parameters of a network that was trained with parallel branches."""

from collections.abc import Mapping
from typing import Any

from numpy.typing import NDArray

from ghostnet.checkpoints.folding import fold
from ghostnet.checkpoints.parameters import Parameters, count_classes
from ghostnet.models import Architecture, network_spec


def merged_parameters(
    architecture: Architecture, parameters: Mapping[str, NDArray[Any]]
) -> Parameters:
    """Merge the branches of each layer into one convolution with a bias.

    Args:
        architecture: Table of a network; GhostNetV3 and RepGhost have branches in training.
        parameters: Its arrays, by released name.

    Returns:
        The arrays of ``architecture.merged``, in the order of its layers; sums are in float64. A
        network without branches keeps its arrays.

    Raises:
        CheckpointError: The parameters have no classifier.
    """
    spec = network_spec(architecture, count_classes(parameters, architecture))
    merged = dict(parameters)
    for layer in spec.layers():
        if layer.branches:
            weight, bias = fold(layer, parameters)
            merged |= {f"{layer.name}.weight": weight, f"{layer.name}.bias": bias}
    names = network_spec(architecture.merged, spec.classifier.out_channels).parameter_shapes()
    return {name: merged[name] for name in names}
