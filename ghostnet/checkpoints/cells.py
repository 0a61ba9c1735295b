"""Parameters in and out of MindSpore networks."""

import functools
from collections.abc import Iterator, Mapping
from typing import Any

import mindspore as ms
import numpy as np
from mindspore import nn
from mindspore.nn.utils import no_init_parameters
from numpy.typing import NDArray

from ghostnet.checkpoints.merging import merged_parameters
from ghostnet.checkpoints.parameters import (
    Parameters,
    as_float32,
    check_finite,
    check_parameters,
    classifier_names,
)
from ghostnet.models.architectures import Architecture
from ghostnet.models.classification import ClassificationNetwork
from ghostnet.models.network import build_network

SETTINGS = (
    *("kernel_size", "stride", "pad_mode", "padding", "dilation", "group"),
    *("eps", "use_batch_statistics"),
)
"""Attributes of convolutions and batch norms that their answers depend on."""

NEUTRAL = (nn.Dropout, nn.Identity)
"""Cells that pass on their input in inference."""

METHODS = ("construct", "features", "stem")
"""Methods of a network that a subclass may have replaced."""


def parameters_of(network: ClassificationNetwork) -> Parameters:
    """Copy the parameters of a network into arrays.

    Names tell where a parameter is in the network, even if the network is part of another cell. A
    classifier that was set by hand has the original names, and a bias of zeros if it has none.
    """
    named = {name: p.asnumpy().copy() for name, p in network.parameters_and_names()}
    dense = _dense(network.classifier)
    if dense is None:
        return named
    kept = {name: array for name, array in named.items() if not name.startswith("classifier.")}
    weight, bias = classifier_names(network.architecture)
    kept[weight] = dense.weight.asnumpy().copy()
    zeros = np.zeros(dense.out_channels, np.float32)
    kept[bias] = dense.bias.asnumpy().copy() if dense.has_bias else zeros
    return kept


def altered_layer(network: ClassificationNetwork, *, up_to_features: bool = False) -> str | None:
    """Find out whether a layer of a network has been replaced since the network was built.

    The last dense layer may have another number of classes, and no bias.

    Args:
        network: The network.
        up_to_features: Leave out what follows the features, the dropout and the classifier.

    Returns:
        The first layer that differs from the architecture, in words, or None.
    """
    original = _original(network.architecture)
    for method in METHODS:
        if getattr(type(network), method, None) is not getattr(type(original), method, None):
            return f"{method} of {type(network).__name__}"
    found, expected = (
        {name: cell for name, cell in _cells(each) if name and not name.startswith("classifier")}
        for each in (network, original)
    )
    skipped = "dropout" if up_to_features else None
    for name in [*found, *(name for name in expected if name not in found)]:
        if name != skipped and _computation(found.get(name)) != _computation(expected.get(name)):
            kinds = [type(cells.get(name)).__name__ for cells in (found, expected)]
            return f"{name}, which is {kinds[0]} in place of the original {kinds[1]}"
    dense = _dense(network.classifier)
    if not up_to_features and (dense is None or dense.in_channels != network.num_features):
        return f"classifier, which is not one dense layer of {network.num_features} inputs"
    return None


@functools.cache
def _original(architecture: Architecture) -> ClassificationNetwork:
    """Build the network of an architecture without weights, and without drawing random numbers."""
    with no_init_parameters():
        return build_network(architecture, num_classes=1, drop_rate=0.0)


def _cells(cell: nn.Cell, name: str = "") -> Iterator[tuple[str, nn.Cell]]:
    """Yield every cell by its name, also one that is in several places."""
    yield name, cell
    for child_name, child in cell.name_cells().items():
        yield from _cells(child, f"{name}.{child_name}" if name else child_name)


def _dense(classifier: nn.Cell) -> nn.Dense | None:
    """Return the dense layer that a classifier is, None for any other classifier."""
    chain = [*classifier] if type(classifier) is nn.SequentialCell else [classifier]
    layers = [cell for cell in chain if not isinstance(cell, NEUTRAL)]
    if len(layers) == 1 and type(layers[0]) is nn.Dense and layers[0].activation is None:
        return layers[0]
    return None


def _computation(cell: nn.Cell | None) -> tuple[object, ...]:
    """Return what decides how a cell computes, apart from the values of its parameters."""
    if cell is None or isinstance(cell, NEUTRAL):
        return ()
    shapes = {name: tuple(p.shape) for name, p in cell.parameters_and_names(expand=False)}
    return type(cell), shapes, *(getattr(cell, setting, None) for setting in SETTINGS)


def load_parameters(
    network: ClassificationNetwork,
    parameters: Mapping[str, NDArray[Any]],
    *,
    keep_classifier: bool = True,
    name: str = "checkpoint",
) -> None:
    """Load parameters into a network, all of them or none.

    Args:
        network: Changed in place.
        parameters: Arrays by name, as `ghostnet.checkpoints.read_checkpoint` returns them.
        keep_classifier: Load the classifier too. If False, the network keeps its own.
        name: What errors call the checkpoint.

    Raises:
        CheckpointError: A parameter is missing, unknown or of another shape, or a value is not
            finite. The message lists the first of them.
    """
    skipped = () if keep_classifier else classifier_names(network.architecture)
    wanted = {p.name: p for p in network.get_parameters() if p.name not in skipped}
    found = {key: array for key, array in parameters.items() if key not in skipped}
    check_parameters(found, {key: tuple(value.shape) for key, value in wanted.items()}, name)
    fitted = {key: as_float32(found[key], f"{name}: {key}") for key in wanted}
    check_finite(fitted, name)
    for key, parameter in wanted.items():
        parameter.set_data(ms.Tensor(fitted[key].copy()))


def merge_branches(network: ClassificationNetwork) -> ClassificationNetwork:
    """Build the network for inference of a GhostNetV3 or RepGhost that was trained with branches.

    Args:
        network: A network with branches; its own parameters stay as they are.

    Returns:
        A network in inference state with the same logits, in which each sum of branches is one
        convolution. A network without branches is returned as it is.
    """
    architecture = network.architecture
    if architecture.form != "branched":
        return network
    merged = build_network(architecture.merged, network.num_classes)
    load_parameters(merged, merged_parameters(architecture, parameters_of(network)))
    merged.set_train(False)
    return merged
