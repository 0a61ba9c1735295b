"""Parameters in and out of MindSpore networks."""

from collections.abc import Mapping
from typing import Any

import mindspore as ms
from numpy.typing import NDArray

from ghostnet.checkpoints.parameters import (
    Parameters,
    as_float32,
    check_finite,
    check_parameters,
    classifier_names,
)
from ghostnet.models.classification import ClassificationNetwork


def parameters_of(network: ClassificationNetwork) -> Parameters:
    """Copy the parameters of a network into arrays."""
    return {parameter.name: parameter.asnumpy().copy() for parameter in network.get_parameters()}


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
        keep_classifier: Load the classifier too; False leaves the network's own as it is.
        name: What errors call the checkpoint.

    Raises:
        CheckpointError: Parameters are missing, unknown or have other shapes, the first of which
            are listed; or a value is not finite.
    """
    skipped = () if keep_classifier else classifier_names(network.architecture)
    wanted = {p.name: p for p in network.get_parameters() if p.name not in skipped}
    found = {key: array for key, array in parameters.items() if key not in skipped}
    check_parameters(found, {key: tuple(value.shape) for key, value in wanted.items()}, name)
    fitted = {key: as_float32(found[key], f"{name}: {key}") for key in wanted}
    check_finite(fitted, name)
    for key, parameter in wanted.items():
        parameter.set_data(ms.Tensor(fitted[key].copy()))
