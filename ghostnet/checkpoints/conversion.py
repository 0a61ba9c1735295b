"""Conversion from the names of timm, huawei-noah, RepGhost and MindCV to the released ones."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from ghostnet.checkpoints.finder import Found, find_network
from ghostnet.checkpoints.merging import merged_parameters
from ghostnet.checkpoints.parameters import (
    Parameters,
    count_classes,
    fit_parameters,
    identify,
    replace_unfit_classifier,
)
from ghostnet.errors import CheckpointError, listed
from ghostnet.models import Architecture
from ghostnet.models.architectures import Upsampling
from ghostnet.models.specs import ATTENTIONS
from ghostnet.models.weights import Use

BATCH_NORM = {
    "weight": "gamma",
    "bias": "beta",
    "running_mean": "moving_mean",
    "running_var": "moving_variance",
}
"""Parameters of a batch norm: PyTorch's names, and the released ones."""

_GHOST = r"(ghost[12]\.(?:primary_conv|cheap_operation))"
_UNIT = (
    r"((?:ghost[12]\.(?:primary_conv|cheap_operation)|dw)(?:\.branches\.[0-2]|\.scale)?"
    r"|ghost1\.(?:gates|short_conv)\.[0-2]|shortcut\.[01])"
)
CHAINS = (("shortcut", "shortcut", 2), ("ghost1.short_conv", "ghost1.gates", 3))
"""Units, each a convolution and a batch norm, that PyTorch numbers in one sequence."""

_IN_BLOCK_MODULES = (
    (_UNIT + r"\.(conv|bn)", r"\1.\2"),
    (_GHOST + r"(?:\.0)?", r"\1.conv"),
    (_GHOST + r"\.1", r"\1.bn"),
    (r"conv_dw", "dw.conv"),
    (r"bn_dw", "dw.bn"),
    *(
        (re.escape(f"{chain}.{2 * index + odd}"), f"{released}.{index}.{kind}")
        for chain, released, length in CHAINS
        for index in range(length)
        for odd, kind in enumerate(("conv", "bn"))
    ),
    (r"(ghost[12])\.primary_rpr_conv\.(\d)\.(conv|bn)1?", r"\1.primary_conv.branches.\2.\3"),
    (r"(ghost[12])\.cheap_rpr_conv\.(\d)\.(conv|bn)1?", r"\1.cheap_operation.branches.\2.\3"),
    (r"(ghost[12])\.cheap_rpr_scale\.(conv|bn)1?", r"\1.cheap_operation.scale.\2"),
    (r"(ghost[12])\.cheap_(?:rpr_|operation\.)skip", r"\1.cheap_operation.skip"),
    (r"dw_rpr_conv\.(\d)\.(conv|bn)1?", r"dw.branches.\1.\2"),
    (r"dw_rpr_scale\.(conv|bn)1?", r"dw.scale.\1"),
    (r"(ghost[12]\.fusion_bn)(?:\.0)?", r"\1"),
    (r"(se\.conv_(?:reduce|expand))", r"\1"),
    (r"(?:features\.0|conv)", "conv"),
    (r"(?:features\.1|bn1?)", "bn"),
)
_OUTER_MODULES = (
    (r"(conv_stem|bn1|conv_head|classifier)", r"\1"),
    (r"(features\.\d+(?:\.layers\.\d+)?|classifier\.1)", r"\1"),
)
"""The second row is MobileNetV2, whose released names are MindCV's."""
_FOREIGN = re.compile(r"\.primary_(?:rpr_)?conv\.\d+\.")
_NORMS = ("bn", "bn1", "skip")
"""Last parts of the released names of batch norms."""
_ATTENTION = re.compile(rf"(blocks\.\d+\.ghost1\.)({'|'.join(ATTENTIONS.values())})\.")
_IN_BLOCK = re.compile(r"blocks\.((?:\d{1,4}\.){1,2})(\D.*)")


@dataclass(frozen=True)
class Conversion:
    """A converted network.

    Attributes:
        parameters: Arrays under the released names, in the released order.
        architecture: The architecture that they fit.
        num_classes: Length of the logits.
        found: The network under its original names, and the names of what was left out.
    """

    parameters: Parameters
    architecture: Architecture
    num_classes: int
    found: Found


def convert(
    source: Mapping[str, NDArray[Any]],
    name: str = "checkpoint",
    use: Use | None = None,
    *,
    upsampling: Upsampling | None = None,
    keep_branches: bool = False,
    new_classifier: bool = False,
) -> Conversion:
    """Find a network among tensors and give its parameters the released names.

    Args:
        source: Tensors under the names of timm, huawei-noah, MindCV or this package, possibly
            among other things that a training run saved.
        name: What errors call the source.
        use: Whether to take the average or the raw weights; by default as in
            `ghostnet.checkpoints.finder.find_network`.
        upsampling: How the gates of GhostNetV2's attention grow to the size of the map, if the
            names of the tensors do not tell rightly.
        keep_branches: Keep the branches of a GhostNetV3 or RepGhost in training, to train it on; by
            default they are merged.
        new_classifier: Put a blank classifier of a single class in the place of one that is missing
            or does not fit.

    Raises:
        CheckpointError: A tensor has no counterpart in the network, one is missing, no registered
            architecture fits, or there is no attention that ``upsampling`` would apply to.
    """
    found = find_network(source, name, use)
    order = _block_order(found.parameters)
    renamed = {key: _released_name(key, order) for key in found.parameters}
    unknown = [key for key, new in renamed.items() if new is None]
    if unknown:
        raise CheckpointError(
            f"{name} has tensors that belong to neither a GhostNet nor a MobileNetV2:\n  "
            + listed(unknown, "\n  ")
        )
    parameters = {new: found.parameters[key] for key, new in renamed.items() if new}
    if len(parameters) < len(renamed):
        raise CheckpointError(f"{name} holds a parameter twice, under different names")
    if upsampling:
        parameters = _with_attention(parameters, upsampling, name)
    architecture = identify(parameters, name)
    if new_classifier:
        parameters = replace_unfit_classifier(parameters, architecture)
    classes = count_classes(parameters, architecture, name)
    fitted = fit_parameters(parameters, architecture, classes, name)
    if not keep_branches:
        fitted = merged_parameters(architecture, fitted, name)
        architecture = architecture.merged
    return Conversion(fitted, architecture, classes, found)


def _with_attention(parameters: Parameters, upsampling: Upsampling, name: str) -> Parameters:
    """Name the layers of attentions by how their gates grow."""
    target = rf"\1{ATTENTIONS[upsampling]}."
    renamed = {_ATTENTION.sub(target, key): array for key, array in parameters.items()}
    if not any(map(_ATTENTION.match, parameters)):
        raise CheckpointError(f"{name} has no attention; leave out --upsampling")
    return renamed


def is_foreign(names: Iterable[str]) -> bool:
    """Whether parameters have the names of timm, huawei-noah or MindCV, not the released ones."""
    return any(_FOREIGN.search(name) for name in names)


def _block_order(names: Iterable[str]) -> dict[str, int]:
    """Map a block's ``stage.`` or ``stage.index.`` to its place in the flat list of blocks."""
    blocks = {match.group(1) for name in names if (match := _IN_BLOCK.fullmatch(name))}
    ordered = sorted(blocks, key=lambda block: [int(part) for part in block.split(".")[:-1]])
    return {block: place for place, block in enumerate(ordered)}


def _released_name(name: str, order: Mapping[str, int]) -> str | None:
    """Return the released name of a foreign one, or None where it has none."""
    match = _IN_BLOCK.fullmatch(name)
    prefix = f"blocks.{order[match.group(1)]}." if match else ""
    module, _, leaf = (match.group(2) if match else name).rpartition(".")
    for pattern, target in _IN_BLOCK_MODULES if match else _OUTER_MODULES:
        if re.fullmatch(pattern, module):
            module = re.sub(pattern, target, module)
            leaf = BATCH_NORM.get(leaf, leaf) if module.endswith(_NORMS) else leaf
            return f"{prefix}{module}.{leaf}"
    return None
