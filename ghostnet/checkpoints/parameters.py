"""Parameters as NumPy arrays: which architecture they belong to, and whether they fit it.

Parameters are a dict of arrays under the names of the released checkpoints.
"""

from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ghostnet.errors import CheckpointError
from ghostnet.models import MODELS, Architecture, network_spec
from ghostnet.models.specs import Shape

Parameters: TypeAlias = dict[str, NDArray[Any]]

CLASSIFIER = ("classifier.weight", "classifier.bias")
"""Parameters that depend on the number of classes."""

Widths: TypeAlias = list[tuple[int, int, int]]


def identify(parameters: Mapping[str, NDArray[Any]], name: str = "checkpoint") -> Architecture:
    """Find the registered architecture whose blocks the parameters describe.

    Raises:
        CheckpointError: No registered architecture fits.
    """
    found, quantized = _widths(parameters), "conv_stem.scale_a" in parameters
    for entry in MODELS.values():
        table = entry.architecture
        if (found, quantized) == (_table_widths(table), table.quantized):
            return table
    raise CheckpointError(
        f"{name}: expected the parameters of one of {', '.join(MODELS)}; found others. Convert "
        "checkpoints of timm, huawei-noah or MindCV with `ghostnet convert`"
    )


def count_classes(
    parameters: Mapping[str, NDArray[Any]], architecture: Architecture, name: str = "checkpoint"
) -> int:
    """Count the classes of a checkpoint's classifier.

    Raises:
        CheckpointError: It has no classifier, or one that does not fit the architecture.
    """
    weight = CLASSIFIER[0]
    if weight not in parameters:
        raise CheckpointError(f"{name}: expected a classifier, found no {weight}")
    shape = parameters[weight].shape
    if len(shape) != 2 or shape[0] == 0 or shape[1] != architecture.head_channels:
        raise CheckpointError(
            f"{name}: {weight}: expected (classes, {architecture.head_channels}), found {shape}"
        )
    return int(shape[0])


def check_parameters(
    parameters: Mapping[str, NDArray[Any]],
    expected: Mapping[str, Shape],
    name: str = "checkpoint",
) -> None:
    """Compare parameters with the names and shapes that a network expects.

    Raises:
        CheckpointError: Parameters are missing, unknown or have other shapes; all are listed.
    """
    problems = [f"missing: {key}" for key in expected if key not in parameters]
    problems += [f"not of this network: {key}" for key in parameters if key not in expected]
    problems += [
        f"wrong shape: {key}: expected {shape}, found {parameters[key].shape}"
        for key, shape in expected.items()
        if key in parameters and parameters[key].shape != shape
    ]
    if problems:
        raise CheckpointError(f"{name} does not fit the network:\n  " + "\n  ".join(problems))


def check_finite(parameters: Mapping[str, NDArray[Any]], name: str = "checkpoint") -> None:
    """Check that every value is finite.

    Raises:
        CheckpointError: A parameter has a value that is not.
    """
    for key, array in parameters.items():
        if not np.isfinite(array).all():
            raise CheckpointError(f"{name}: {key}: expected finite values, found NaN or infinity")


def fit_parameters(
    parameters: Mapping[str, NDArray[Any]],
    architecture: Architecture,
    num_classes: int,
    name: str = "checkpoint",
) -> Parameters:
    """Return the parameters of a network in float32, in the order of the released checkpoints.

    Args:
        parameters: Arrays of any dtype, in any order.
        architecture: What they have to fit.
        num_classes: Length of the logits.
        name: What errors call the checkpoint.

    Raises:
        CheckpointError: As `check_parameters` and `check_finite`.
    """
    expected = network_spec(architecture, num_classes).parameter_shapes()
    check_parameters(parameters, expected, name)
    check_finite(parameters, name)
    return {key: np.asarray(parameters[key], np.float32) for key in expected}


def _widths(parameters: Mapping[str, NDArray[Any]]) -> Widths:
    """Return the (expansion, output, squeeze-excite) channels of each block of a checkpoint."""

    def channels(name: str) -> int:
        return len(parameters[name]) if name in parameters and parameters[name].ndim else 0

    count = len({name.split(".")[1] for name in parameters if name.startswith("blocks.")}) - 1
    return [
        (
            2 * channels(f"blocks.{index}.ghost1.primary_conv.conv.weight"),
            2 * channels(f"blocks.{index}.ghost2.primary_conv.conv.weight"),
            channels(f"blocks.{index}.se.conv_reduce.weight"),
        )
        for index in range(count)
    ]


def _table_widths(architecture: Architecture) -> Widths:
    return [
        (block.expansion_channels, block.out_channels, block.se_channels)
        for block in architecture.blocks
    ]
