"""The names of parameters in the files of other libraries, for networks that go back there."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from ghostnet.checkpoints.conversion import BATCH_NORM, CHAINS
from ghostnet.checkpoints.parameters import Parameters
from ghostnet.errors import CheckpointError, listed
from ghostnet.models import MODELS, Architecture, find_model
from ghostnet.models.libraries import Library
from ghostnet.models.registry import network_name

Rules = tuple[tuple[str, str], ...]
"""Patterns in released names, and what stands for them."""

_UNITS: Rules = (
    (r"\.(primary_conv|cheap_operation)\.conv\.", r".\1.0."),
    (r"\.(primary_conv|cheap_operation)\.bn\.", r".\1.1."),
    (r"\.dw\.conv\.", ".conv_dw."),
    (r"\.dw\.bn\.", ".bn_dw."),
    *(
        (re.escape(f".{released}.{index}.{kind}."), f".{chain}.{2 * index + odd}.")
        for chain, released, length in CHAINS
        for index in range(length)
        for odd, kind in enumerate(("conv", "bn"))
    ),
    (r"\.fusion_bn\.", ".fusion_bn.0."),
    (r"^(blocks\.\d+\.\d+)\.bn\.", r"\1.bn1."),
)
_BRANCHES: Rules = (
    (r"\.primary_conv\.branches\.", ".primary_rpr_conv."),
    (r"\.cheap_operation\.branches\.", ".cheap_rpr_conv."),
    (r"\.cheap_operation\.(scale|skip)\.", r".cheap_rpr_\1."),
    (r"\.dw\.branches\.", ".dw_rpr_conv."),
    (r"\.dw\.scale\.", ".dw_rpr_scale."),
)
_PYTORCH_NORMS: Rules = tuple(
    (rf"\.{released}$", f".{name}") for name, released in BATCH_NORM.items()
)
_MINDCV_LAST: Rules = (
    (r"^(blocks\.\d+)\.0\.conv\.", r"\1.features.0."),
    (r"^(blocks\.\d+)\.0\.bn\.", r"\1.features.1."),
)
_MERGED_REPGHOST: Rules = ((r"\.cheap_operation\.conv\.", ".cheap_operation."),)
_TIMM_BRANCHES: Rules = ((r"(_rpr_(?:conv\.\d|scale))\.bn\.", r"\1.bn1."),)


@dataclass(frozen=True)
class Naming:
    """How a library names parameters.

    Attributes:
        networks: Its own networks, by their names here.
        rules: What changes in a released name, in this order.
    """

    networks: tuple[str, ...]
    rules: Rules


def _registered(prefix: str) -> tuple[str, ...]:
    return tuple(name for name in MODELS if name.startswith(prefix))


_GHOSTNETS = "ghostnet_050", "ghostnet_1x", "ghostnet_130"
_V2 = "ghostnetv2_100", "ghostnetv2_130", "ghostnetv2_160"
_V3 = "ghostnetv3_050", "ghostnetv3_100", "ghostnetv3_130", "ghostnetv3_160"

LIBRARIES = {
    Library.TIMM: Naming(
        (*_GHOSTNETS, *_V2, *_V3, *_registered("repghostnet_")),
        _BRANCHES + _TIMM_BRANCHES + _UNITS + _PYTORCH_NORMS,
    ),
    Library.HUAWEI: Naming(("ghostnet_1x", *_V2, *_V3), _BRANCHES + _UNITS + _PYTORCH_NORMS),
    Library.MINDCV: Naming((*_GHOSTNETS, "mobilenet_v2_1x"), _MINDCV_LAST + _UNITS),
}
"""How each library names the parameters of its networks."""


def foreign_parameters(
    parameters: Parameters, architecture: Architecture, library: Library
) -> Parameters:
    """Return the parameters of a network under the names of a library.

    Args:
        parameters: Arrays by released name.
        architecture: Their architecture; one with branches keeps them.
        library: The library.

    Raises:
        CheckpointError: The library does not have the network.
    """
    naming = LIBRARIES[library]
    tables = {find_model(name).architecture for name in naming.networks}
    if architecture not in tables | {table.merged for table in tables}:
        raise CheckpointError(
            f"{library.value} has no {network_name(architecture)}; its networks are "
            f"{listed(naming.networks)}"
        )
    stages = [*_stages(architecture)]
    is_merged = (architecture.family, architecture.form) == ("repghost", "merged")
    rules = (_MERGED_REPGHOST if is_merged else ()) + naming.rules
    return {_foreign_name(name, stages, rules): array for name, array in parameters.items()}


def _stages(architecture: Architecture) -> Iterator[str]:
    """Yield ``stage.index`` of each block: one with a stride is a stage of its own."""
    stage, index, alone = 0, 0, True
    for place, block in enumerate(architecture.blocks):
        if place and (alone or block.stride > 1):
            stage, index = stage + 1, 0
        yield f"{stage}.{index}"
        index, alone = index + 1, place == 0 or block.stride > 1
    yield f"{stage + 1}.0"


def _foreign_name(name: str, stages: list[str], rules: Rules) -> str:
    """Return the name of a parameter."""
    name = re.sub(r"^blocks\.(\d+)", lambda match: f"blocks.{stages[int(match[1])]}", name)
    for pattern, target in rules:
        name = re.sub(pattern, target, name)
    return name
