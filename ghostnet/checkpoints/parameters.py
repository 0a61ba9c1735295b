"""Parameters as NumPy arrays: which architecture they belong to, and whether they fit it."""

import operator
import re
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ghostnet.errors import CheckpointError, listed
from ghostnet.models import MODELS, Architecture, network_spec
from ghostnet.models.architectures import GHOSTNET_1X, Family, Form, Upsampling
from ghostnet.models.registry import other_widths
from ghostnet.models.specs import ATTENTIONS, CLASSIFIERS, Shape

Parameters: TypeAlias = dict[str, NDArray[Any]]
"""Arrays under the names of the released checkpoints."""

Widths: TypeAlias = list[tuple[int, int, int]]


def classifier_names(architecture: Architecture) -> tuple[str, str]:
    """Return the names of the weight and the bias that depend on the number of classes."""
    layer = CLASSIFIERS[architecture.family]
    return f"{layer}.weight", f"{layer}.bias"


CLASSIFIER = classifier_names(GHOSTNET_1X)
"""Those of every GhostNet."""


def identify(parameters: Mapping[str, NDArray[Any]], name: str = "checkpoint") -> Architecture:
    """Find the architecture that the parameters belong to: a registered one, or another width.

    A few blocks of a registered one may differ, so that the caller can say what is missing or wrong
    in them.

    Raises:
        CheckpointError: No architecture fits.
    """
    found = {family: widths(parameters) for family, widths in _WIDTHS.items()}
    kind = _kind(parameters)
    tables = [entry.architecture for entry in MODELS.values()]
    alike = {
        table: sum(map(operator.eq, found[table.family], _table_widths(table)))
        for table in dict.fromkeys((*tables, *(table.merged for table in tables)))
        if _kind_of(table) == kind and len(found[table.family]) == len(table.blocks)
    }
    best = max(alike, key=alike.__getitem__, default=None)
    if best is None or alike[best] < len(best.blocks):
        other = _other_width(parameters, kind, found)
        if other:
            return other
    if best and 2 * alike[best] > len(best.blocks):
        return best
    raise CheckpointError(
        f"{name} holds none of the networks {', '.join(MODELS)}; its tensors are "
        f"{listed(parameters)}"
    )


def _other_width(
    parameters: Mapping[str, NDArray[Any]], kind: "_Kind", found: Mapping[Family, Widths]
) -> Architecture | None:
    """Find a table of another width that fits the parameters exactly, the classifier aside."""
    for entry in other_widths():
        for table in {entry.architecture, entry.architecture.merged}:
            if _kind_of(table) == kind and found[table.family] == _table_widths(table):
                shapes = network_spec(table, 1).parameter_shapes()
                names = shapes.keys() & parameters.keys() - set(classifier_names(table))
                if all(parameters[name].shape == shapes[name] for name in names):
                    return table
    return None


class _Kind(NamedTuple):
    """What the names of parameters tell of their network, whatever its widths."""

    quantized: bool
    form: Form
    upsampling: Upsampling | None


def _kind(names: Iterable[str]) -> _Kind:
    """Judge parameters by their released names."""
    text = "\n".join(names)
    if ".branches." in text or ".fusion_bn." in text:
        form: Form = "branched"
    else:
        form = "merged" if ".cheap_operation.conv.bias" in text else "plain"
    attentions = (way for way, name in ATTENTIONS.items() if f".{name}." in text)
    return _Kind("conv_stem.scale_a" in text, form, next(attentions, None))


def _kind_of(table: Architecture) -> _Kind:
    return _Kind(table.quantized, table.form, table.upsampling if table.attends else None)


def form_of(parameters: Iterable[str], architecture: Architecture) -> Architecture:
    """Return an architecture in the form of some parameters: its own, or merged."""
    return architecture.merged if _kind(parameters).form == "merged" else architecture


def count_classes(
    parameters: Mapping[str, NDArray[Any]], architecture: Architecture, name: str = "checkpoint"
) -> int:
    """Count the classes of a checkpoint's classifier.

    Raises:
        CheckpointError: It has no classifier, or one that does not fit the architecture.
    """
    weight, _ = classifier_names(architecture)
    if weight not in parameters:
        raise CheckpointError(f"{name} has no classifier: {weight} is missing")
    shape = parameters[weight].shape
    if len(shape) != 2 or shape[0] == 0 or shape[1] != architecture.head_channels:
        raise CheckpointError(
            f"{name}: {weight} has the shape {shape}, not (classes, {architecture.head_channels})"
        )
    return int(shape[0])


def replace_unfit_classifier(parameters: Parameters, architecture: Architecture) -> Parameters:
    """Put a blank classifier of one class where there is none that fits the architecture."""
    weight, bias = classifier_names(architecture)
    width = architecture.head_channels
    fits = (
        {weight, bias} <= parameters.keys()
        and parameters[weight].shape[1:] == (width,)
        and parameters[bias].shape == parameters[weight].shape[:1] != (0,)
    )
    if fits:
        return parameters
    backbone = {
        name: array for name, array in parameters.items() if not name.startswith("classifier.")
    }
    blank = {weight: np.zeros((1, width), np.float32), bias: np.zeros(1, np.float32)}
    return backbone | blank


def check_parameters(
    parameters: Mapping[str, NDArray[Any]],
    expected: Mapping[str, Shape],
    name: str = "checkpoint",
) -> None:
    """Compare parameters with the names and shapes that a network expects.

    Raises:
        CheckpointError: A parameter is missing, unknown or of another shape. The message lists the
            first of them.
    """
    problems = [f"missing: {key}" for key in expected if key not in parameters]
    problems += [f"unknown: {key}" for key in parameters if key not in expected]
    problems += [
        f"wrong shape: {key} is {parameters[key].shape} instead of {shape}"
        for key, shape in expected.items()
        if key in parameters and parameters[key].shape != shape
    ]
    if problems:
        raise CheckpointError(f"{name} does not fit the network:\n  " + listed(problems, "\n  "))


def check_finite(parameters: Mapping[str, NDArray[Any]], name: str = "checkpoint") -> None:
    """Check that every value is finite.

    Raises:
        CheckpointError: A parameter contains NaN or infinity.
    """
    for key, array in parameters.items():
        if not np.isfinite(array).all():
            raise CheckpointError(f"{name}: {key} contains NaN or infinity")


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
    fitted = {key: as_float32(parameters[key], f"{name}: {key}") for key in expected}
    check_finite(fitted, name)
    return fitted


def as_float32(array: NDArray[Any], name: str) -> NDArray[np.float32]:
    """Return an array in float32; values beyond its range become infinite.

    Raises:
        CheckpointError: The values are not real numbers.
    """
    if array.dtype.kind not in "fiu":
        raise CheckpointError(f"{name} is {array.dtype}, not real numbers")
    with np.errstate(over="ignore"):
        return np.asarray(array, np.float32)


def _channels(parameters: Mapping[str, NDArray[Any]], name: str) -> int:
    """Return the length of a parameter, or 0 if it is missing."""
    return len(parameters[name]) if name in parameters and parameters[name].ndim else 0


def _bottleneck_widths(parameters: Mapping[str, NDArray[Any]], halves: int = 2) -> Widths:
    """Return the (expansion, output, squeeze-excite) channels of each block of a checkpoint.

    Args:
        parameters: Arrays by released name.
        halves: Channels of a module's output over those of its pointwise convolution.
    """
    count = len({name.split(".")[1] for name in parameters if name.startswith("blocks.")}) - 1
    return [
        (
            halves * _primary_channels(parameters, f"blocks.{index}.ghost1"),
            halves * _primary_channels(parameters, f"blocks.{index}.ghost2"),
            _channels(parameters, f"blocks.{index}.se.conv_reduce.weight"),
        )
        for index in range(count)
    ]


def _primary_channels(parameters: Mapping[str, NDArray[Any]], module: str) -> int:
    """Return the output channels of a module's pointwise convolution, or of its first branch."""
    owners = ("primary_conv", "primary_conv.branches.0")
    return max(_channels(parameters, f"{module}.{owner}.conv.weight") for owner in owners)


def _inverted_residual_widths(parameters: Mapping[str, NDArray[Any]]) -> Widths:
    """Return the same for a MobileNetV2, which has no squeeze-excite."""
    pattern = re.compile(r"(features\.\d+\.layers)\..*", re.DOTALL)
    matches = filter(None, map(pattern.fullmatch, parameters))
    return [
        (
            _channels(parameters, f"{layers}.0.weight"),
            _channels(parameters, f"{layers}.6.weight")
            or _channels(parameters, f"{layers}.3.weight"),
            0,
        )
        for layers in dict.fromkeys(match[1] for match in matches)
    ]


_WIDTHS: Mapping[Family, Callable[[Mapping[str, NDArray[Any]]], Widths]] = {
    "ghostnet": _bottleneck_widths,
    "repghost": partial(_bottleneck_widths, halves=1),
    "mobilenet_v2": _inverted_residual_widths,
}


def _table_widths(architecture: Architecture) -> Widths:
    return [
        (block.expansion_channels, block.out_channels, block.se_channels)
        for block in architecture.blocks
    ]
