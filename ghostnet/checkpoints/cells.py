"""Parameters in and out of MindSpore networks."""

from collections.abc import Mapping
from typing import Any

import mindspore as ms
from mindspore import nn
from numpy.typing import NDArray

from ghostnet.checkpoints.merging import merged_parameters
from ghostnet.checkpoints.parameters import (
    Parameters,
    as_float32,
    check_finite,
    check_parameters,
    classifier_names,
)
from ghostnet.models.classification import ClassificationNetwork
from ghostnet.models.network import build_network


def parameters_of(network: ClassificationNetwork) -> Parameters:
    """Copy the parameters of a network into arrays."""
    return {parameter.name: parameter.asnumpy().copy() for parameter in network.get_parameters()}


SETTINGS = (
    *("kernel_size", "stride", "pad_mode", "padding", "dilation", "group"),
    *("eps", "use_batch_statistics"),
)
"""Attributes of convolutions and batch norms that their answers depend on."""

NEUTRAL = (nn.Dropout, nn.Identity)
"""Cells that pass on their input in inference."""


def altered_layer(network: ClassificationNetwork) -> str | None:
    """Find out whether a layer of a network has been replaced since the network was built.

    The last dense layer may have another number of classes, and no bias.

    Returns:
        The first layer that differs from the architecture, in words, or None.
    """
    original = build_network(network.architecture, network.num_classes)
    if type(network).construct is not type(original).construct:
        return f"construct of {type(network).__name__}"
    found, expected = (dict(each.cells_and_names()) for each in (network, original))
    for name in [*found, *(name for name in expected if name not in found)]:
        if name and _computation(found.get(name)) != _computation(expected.get(name)):
            kinds = [type(cells.get(name)).__name__ for cells in (found, expected)]
            return f"{name}, which is {kinds[0]} in place of the original {kinds[1]}"
    return None


def _computation(cell: nn.Cell | None) -> tuple[object, ...]:
    """Return what decides how a cell computes, apart from the values of its parameters."""
    if cell is None or isinstance(cell, NEUTRAL):
        return ()
    if isinstance(cell, nn.Dense):
        return (type(cell),)
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
