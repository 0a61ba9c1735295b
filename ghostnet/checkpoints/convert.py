"""Conversion of the checkpoints of timm, huawei-noah and MindCV to the released names."""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ghostnet.checkpoints.mindspore import read_checkpoint
from ghostnet.checkpoints.parameters import Parameters, count_classes, fit_parameters, identify
from ghostnet.errors import CheckpointError, PackageError
from ghostnet.packages import needs

_BATCH_NORM = {
    "weight": "gamma",
    "bias": "beta",
    "running_mean": "moving_mean",
    "running_var": "moving_variance",
}
_IN_BLOCK_MODULES = (
    (r"(ghost[12]\.(?:primary_conv|cheap_operation))\.0", r"\1.conv"),
    (r"(ghost[12]\.(?:primary_conv|cheap_operation))\.1", r"\1.bn"),
    (r"conv_dw", "dw.conv"),
    (r"bn_dw", "dw.bn"),
    (r"shortcut\.0", "shortcut.0.conv"),
    (r"shortcut\.1", "shortcut.0.bn"),
    (r"shortcut\.2", "shortcut.1.conv"),
    (r"shortcut\.3", "shortcut.1.bn"),
    (r"(se\.conv_(?:reduce|expand))", r"\1"),
    (r"(?:features\.0|conv)", "conv"),
    (r"(?:features\.1|bn1)", "bn"),
)
_OUTER_MODULES = ((r"(conv_stem|bn1|conv_head|classifier)", r"\1"),)
_FOREIGN = re.compile(r"\.primary_conv\.\d+\.")
_IN_BLOCK = re.compile(r"blocks\.((?:\d{1,4}\.){1,2})(\D.*)")


@dataclass(frozen=True)
class Conversion:
    """What a conversion gives.

    Attributes:
        parameters: Arrays under the released names, in their order.
        refused: Source tensors that have no place there.
    """

    parameters: Parameters
    refused: tuple[str, ...]


def convert(source: Mapping[str, NDArray[Any]], name: str = "checkpoint") -> Conversion:
    """Rename the tensors of timm's, huawei-noah's or MindCV's GhostNet to the released names.

    Batch norm's ``num_batches_tracked`` counters, which MindSpore does not keep, are refused.

    Raises:
        CheckpointError: A tensor has no counterpart, or no registered architecture fits.
    """
    refused = tuple(key for key in source if key.endswith(".num_batches_tracked"))
    used = [key for key in source if key not in refused]
    order = _block_order(used)
    renamed = {key: _released_name(key, order) for key in used}
    unknown = [key for key, new in renamed.items() if new is None]
    if unknown:
        raise CheckpointError(
            f"{name}: these tensors have no place in a GhostNet:\n  " + "\n  ".join(unknown)
        )
    parameters = {new: np.asarray(source[key], np.float32) for key, new in renamed.items() if new}
    if len(parameters) < len(used):
        raise CheckpointError(f"{name}: several tensors stand for the same parameter")
    architecture = identify(parameters, name)
    classes = count_classes(parameters, architecture, name)
    return Conversion(fit_parameters(parameters, architecture, classes, name), refused)


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
            leaf = _BATCH_NORM.get(leaf, leaf) if module.endswith(("bn", "bn1")) else leaf
            return f"{prefix}{module}.{leaf}"
    return None


def read_foreign(path: Path) -> Parameters:
    """Read the tensors of a ``.safetensors``, ``.pth`` or ``.ckpt`` file under their own names.

    A ``.pth`` file needs PyTorch and is read with ``weights_only=True``: no code in it is run.

    Raises:
        CheckpointError: The file cannot be read, or its kind is not known.
    """
    if path.suffix not in READERS:
        raise CheckpointError(f"{path}: expected a file that ends in {', '.join(READERS)}")
    if not path.is_file():
        raise CheckpointError(f"{path}: expected a checkpoint, found no such file")
    return READERS[path.suffix](path)


def _read_safetensors(path: Path) -> Parameters:
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        return dict(load_file(path))
    except (SafetensorError, OSError, ValueError, KeyError) as error:
        raise CheckpointError(f"{path}: expected a safetensors file ({error})") from error


def _read_pytorch(path: Path) -> Parameters:
    try:
        with needs("torch", extra="torch"):
            import torch
    except PackageError as error:
        raise CheckpointError(f"{path}: {error}") from error
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch.load raises almost anything on broken or unsafe bytes
        raise CheckpointError(f"{path}: expected a plain PyTorch state dict ({error})") from error
    state = state.get("state_dict", state) if isinstance(state, dict) else state
    if not isinstance(state, dict) or not all(torch.is_tensor(value) for value in state.values()):
        raise CheckpointError(f"{path}: expected a dict of tensors")
    return {key.removeprefix("module."): value.numpy() for key, value in state.items()}


READERS: dict[str, Callable[[Path], Parameters]] = {
    ".safetensors": _read_safetensors,
    ".pth": _read_pytorch,
    ".pt": _read_pytorch,
    ".ckpt": read_checkpoint,
}
"""How a file is read, by its suffix."""
