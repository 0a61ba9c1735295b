"""Branches merged: the parameters of a network that was trained with parallel branches."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ghostnet.checkpoints.folding import fold
from ghostnet.checkpoints.parameters import Parameters, check_finite, count_classes
from ghostnet.models import Architecture, network_spec


def merged_parameters(
    architecture: Architecture, parameters: Mapping[str, NDArray[Any]], name: str = "checkpoint"
) -> Parameters:
    """Merge the branches of each layer into one convolution with a bias.

    Args:
        architecture: Table of a network; GhostNetV3 and RepGhost have branches in training.
        parameters: Its arrays, by released name.
        name: What errors call the parameters.

    Returns:
        The arrays of ``architecture.merged``, in the order of its layers; sums are in float64. A
        network without branches keeps its arrays.

    Raises:
        CheckpointError: The parameters have no classifier, or a variance below zero or a value so
            large that a merged one is not finite.
    """
    spec = network_spec(architecture, count_classes(parameters, architecture, name))
    merged = dict(parameters)
    for layer in spec.layers():
        if layer.branches:
            with np.errstate(invalid="ignore", over="ignore"):
                weight, bias = fold(layer, parameters)
            sums = {f"{layer.name}.weight": weight, f"{layer.name}.bias": bias}
            check_finite(sums, f"{name}, merged")
            merged |= sums
    names = network_spec(architecture.merged, spec.classifier.out_channels).parameter_shapes()
    return {name: merged[name] for name in names}
