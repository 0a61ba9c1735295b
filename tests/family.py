"""Small networks of the Ghost family, and the reference values that stand beside the checkout."""

import json
import re
from dataclasses import replace
from functools import cache
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ghostnet.models import Architecture, Block, find_model

TINY_BLOCKS = (
    Block(3, 16, 16, 0, 1),
    Block(3, 24, 24, 0, 2),
    Block(5, 40, 24, 8, 1),
    Block(5, 40, 32, 12, 2),
    Block(3, 48, 32, 0, 1),
)


KINDS = (
    "ghostnet_050",
    "ghostnet_nose_1x",
    "ghostnet_600m",
    "ghostnetv2_100",
    "ghostnetv2_1x",
    "ghostnetv3_050",
    "repghostnet_050",
    "mobilenet_v2_1x",
)
"""One registered network with each set of layers; others differ from these in width alone."""


def tiny(name: str) -> Architecture:
    """Return a network of a registered one's kind with five blocks, two of them strided."""
    table = find_model(name).architecture
    attention = (table.attends and index >= 2 for index in range(len(TINY_BLOCKS)))
    return replace(
        table,
        stem_channels=16,
        blocks=tuple(
            block._replace(attention=attends)
            for block, attends in zip(TINY_BLOCKS, attention, strict=True)
        ),
        last_channels=48,
        head_channels=64,
    )


NORMS = (
    (".gamma", ".weight"),
    (".beta", ".bias"),
    (".moving_mean", ".running_mean"),
    (".moving_variance", ".running_var"),
)
BRANCHES = (
    (".primary_conv.branches.", ".primary_rpr_conv."),
    (".cheap_operation.branches.", ".cheap_rpr_conv."),
    (".cheap_operation.scale.", ".cheap_rpr_scale."),
    (".cheap_operation.skip.", ".cheap_rpr_skip."),
    (".dw.branches.", ".dw_rpr_conv."),
    (".dw.scale.", ".dw_rpr_scale."),
    (".fusion_bn.", ".fusion_bn.0."),
)
UNITS = (
    *((f".{unit}.conv.", f".{unit}.0.") for unit in ("primary_conv", "cheap_operation")),
    *((f".{unit}.bn.", f".{unit}.1.") for unit in ("primary_conv", "cheap_operation")),
    (".dw.conv.", ".conv_dw."),
    (".dw.bn.", ".bn_dw."),
    *(
        (f".{released}.{index}.{kind}.", f".{chain}.{2 * index + odd}.")
        for released, chain, length in (("shortcut", "shortcut", 2), ("gates", "short_conv", 3))
        for index in range(length)
        for odd, kind in enumerate(("conv", "bn"))
    ),
)
"""Parts of the released names, and what stands for them in the authors' PyTorch files."""


def authors_name(name: str) -> str:
    """Return the name of a parameter in huawei-noah's and RepGhost's files."""
    for ours, theirs in (*NORMS, *BRANCHES, *UNITS):
        name = name.replace(ours, theirs)
    return re.sub(r"^blocks\.(\d+)\.", r"blocks.\1.0.", name)


def timm_name(name: str) -> str:
    """Return the name of a parameter in timm's files."""
    name = re.sub(r"(_rpr_(?:conv\.\d|scale))\.bn\.", r"\1.bn1.", authors_name(name))
    return re.sub(r"^(blocks\.\d+\.0)\.bn\.", r"\1.bn1.", name)


def merged_name(name: str) -> str:
    """Return the name of a parameter in timm's files of merged networks of RepGhost."""
    return timm_name(name).replace(".cheap_operation.0.", ".cheap_operation.")


class References:
    """The reference values of the family: parameters that follow from names, and logits.

    Args:
        shared: The data folder beside the checkout.
    """

    def __init__(self, shared: Path) -> None:
        self.folder = shared / "spec" / "family"
        self.rule = _module(shared / "tools" / "family" / "rule.py")

    def listed(self, name: str) -> dict[str, Any]:
        """Read the names and shapes of a network: of ``<name>_fused`` for its merged form."""
        content: dict[str, Any] = json.loads((self.folder / f"{name}.json").read_text())
        return content

    def parameters(self, name: str) -> dict[str, NDArray[np.float32]]:
        """Fill the parameters of a network under timm's names."""
        rows = self.listed(name)["parameters"]
        names = {row[0] for row in rows}
        return {key: self.rule.value(key, tuple(shape), names, name) for key, shape, _ in rows}

    def images(self, height: int, width: int) -> NDArray[np.float32]:
        """Return the two images of a size."""
        images: NDArray[np.float32] = self.rule.picture(height, width)
        return images

    def logits(self, file: str, height: int, width: int) -> NDArray[np.float64]:
        """Read the logits that a file has for the two images of a size."""
        suffix = "" if (height, width) == (224, 224) else f"_{height}x{width}"
        content = np.load(self.folder / file)
        key = next(k for k in (f"logits_float64{suffix}", f"logits{suffix}") if k in content)
        return np.asarray(content[key], np.float64)


@cache
def _module(path: Path) -> ModuleType:
    spec = spec_from_file_location("rule", path)
    assert spec
    assert spec.loader
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
