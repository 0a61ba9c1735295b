"""Checkpoints in and out: read, written, identified, loaded into a network, converted.

Parameters travel as a dict of NumPy arrays under the names of the released checkpoints.
"""

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import mindspore as ms
import numpy as np
from mindspore.train.checkpoint_pb2 import Checkpoint
from numpy.typing import NDArray

from ghostnet.errors import CheckpointError
from ghostnet.files import read_whole, replacing
from ghostnet.network import ARCHITECTURES, Architecture, GhostNet
from ghostnet.wire import WireError, fields, integers

Parameters = dict[str, NDArray[Any]]
HEAD = ("classifier.weight", "classifier.bias")

MAX_PARAMETERS = 10_000
MAX_DIMS = 32

_VALUE = 1
_TAG, _TENSOR = 1, 2
_DIMS, _TYPE, _CONTENT = 1, 2, 3
"""Numbers of the fields of a checkpoint, of its values and of their tensors."""

_DTYPES: dict[bytes, np.dtype[Any]] = {
    b"Float32": np.dtype(np.float32),
    b"Float16": np.dtype(np.float16),
    b"Int32": np.dtype(np.int32),
    b"Int64": np.dtype(np.int64),
}
_DTYPE_NAMES = {dtype: name for name, dtype in _DTYPES.items()}


def parse_checkpoint(data: bytes, name: str = "checkpoint") -> Parameters:
    """The parameters in the bytes of a MindSpore checkpoint.

    Args:
        data: the file's bytes; taking bytes lets a caller parse the very ones that it hashed.
        name: what to call the file in errors.

    Raises:
        CheckpointError: the bytes are no MindSpore checkpoint.
    """
    parameters: Parameters = {}
    try:
        for number, entry in fields(memoryview(data)):
            if number != _VALUE or isinstance(entry, int):
                raise WireError(f"field {number}")
            if len(parameters) == MAX_PARAMETERS:
                raise CheckpointError(f"{name}: more than {MAX_PARAMETERS:,} parameters")
            tag, array = _parameter(entry, name)
            if tag in parameters:
                raise CheckpointError(f"{name}: {tag}: this parameter is there twice")
            parameters[tag] = array
    except (WireError, UnicodeDecodeError) as error:
        raise CheckpointError(f"{name}: not a MindSpore checkpoint, or cut short") from error
    if not parameters:
        raise CheckpointError(f"{name}: holds no parameters")
    return parameters


def _parameter(entry: memoryview, name: str) -> tuple[str, NDArray[Any]]:
    """The name of a parameter and its values, which share the entry's memory."""
    parts = dict(islice(fields(entry), 2))
    tag, tensor = parts.get(_TAG), parts.get(_TENSOR)
    if not isinstance(tag, memoryview) or not isinstance(tensor, memoryview):
        raise WireError("no tensor")
    text = str(tag, "utf-8")
    return text, _array(tensor, f"{name}: {text}")


def _array(tensor: memoryview, name: str) -> NDArray[Any]:
    shape: list[int] = []
    parts: dict[int, int | memoryview] = {_TYPE: memoryview(b""), _CONTENT: memoryview(b"")}
    for number, part in islice(fields(tensor), MAX_DIMS + 3):
        if number == _DIMS:
            shape += islice(integers(part), MAX_DIMS + 1)
        else:
            parts[number] = part
    if len(shape) > MAX_DIMS:
        raise CheckpointError(f"{name}: its shape has more than {MAX_DIMS} dimensions")
    kind, content = parts[_TYPE], parts[_CONTENT]
    if isinstance(kind, int) or isinstance(content, int):
        raise WireError("no tensor")
    dtype = _DTYPES.get(bytes(kind[:16]))
    if dtype is None:
        known = ", ".join(key.decode() for key in _DTYPES)
        raise CheckpointError(f"{name}: dtype {bytes(kind[:16])!r} is none of {known}")
    if len(content) != dtype.itemsize * math.prod(shape):
        raise CheckpointError(
            f"{name}: {len(content)} bytes do not fill shape {tuple(shape)} of {dtype}"
        )
    try:
        return np.frombuffer(content, dtype).reshape(shape)
    except ValueError as error:  # a longer dimension than NumPy has
        raise CheckpointError(f"{name}: shape {tuple(shape)}: {error}") from error


def read_checkpoint(path: Path) -> Parameters:
    """The parameters in a MindSpore checkpoint file; errors as `parse_checkpoint`."""
    try:
        content = read_whole(path)
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read ({error.strerror})") from error
    return parse_checkpoint(content, str(path))


def write_checkpoint(parameters: Mapping[str, NDArray[Any]], path: Path) -> None:
    """Write a MindSpore checkpoint, whole or not at all; an existing file is replaced.

    Raises:
        CheckpointError: the folder cannot be written, or is full.
    """
    message = Checkpoint()
    for name, array in parameters.items():
        tensor = message.value.add(tag=name).tensor
        tensor.dims.extend(array.shape)
        tensor.tensor_type = _DTYPE_NAMES[array.dtype].decode()
        tensor.tensor_content = array.tobytes()
    try:
        with replacing(path) as file:
            file.write(message.SerializeToString())
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be written ({error.strerror})") from error


def parameters_of(network: GhostNet) -> Parameters:
    """A copy of the network's parameters."""
    return {parameter.name: parameter.asnumpy().copy() for parameter in network.get_parameters()}


def identify(parameters: Mapping[str, NDArray[Any]], name: str = "checkpoint") -> Architecture:
    """The known architecture whose blocks the parameters describe.

    Raises:
        CheckpointError: none of `ghostnet.network.ARCHITECTURES` fits.
    """
    for architecture in ARCHITECTURES.values():
        if _widths(parameters) == _table_widths(architecture):
            return architecture
    raise CheckpointError(
        f"{name}: the parameters are those of none of {', '.join(ARCHITECTURES)}; "
        "a checkpoint of timm, huawei-noah or mindcv is first turned into one by "
        "`ghostnet convert`"
    )


def num_classes(
    parameters: Mapping[str, NDArray[Any]], architecture: Architecture, name: str = "checkpoint"
) -> int:
    """The classes that a checkpoint's classifier, (classes, features), tells apart.

    Raises:
        CheckpointError: it has no classifier, or not one for the features of the architecture.
    """
    if HEAD[0] not in parameters:
        raise CheckpointError(f"{name}: the classifier is missing ({HEAD[0]})")
    shape = parameters[HEAD[0]].shape
    if len(shape) != 2 or shape[0] == 0 or shape[1] != architecture.head_channels:
        raise CheckpointError(
            f"{name}: {HEAD[0]}: expected (classes, {architecture.head_channels}), found {shape}"
        )
    return int(shape[0])


def _widths(parameters: Mapping[str, NDArray[Any]]) -> list[tuple[int, int, int]]:
    """(expansion, out, squeeze-excite) channels of each block in a checkpoint."""

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


def _table_widths(architecture: Architecture) -> list[tuple[int, int, int]]:
    return [
        (block.expansion_channels, block.out_channels, block.se_channels)
        for block in architecture.blocks
    ]


def load_parameters(
    network: GhostNet,
    parameters: Mapping[str, NDArray[Any]],
    *,
    keep_head: bool = True,
    name: str = "checkpoint",
) -> None:
    """Put parameters into a network, all of them or none.

    Args:
        network: changed in place.
        parameters: as `read_checkpoint` gives them.
        keep_head: False leaves the network's own classifier as it is.
        name: what to call the checkpoint in errors.

    Raises:
        CheckpointError: parameters are missing, extra or wrongly shaped; all are listed.
    """
    skipped = () if keep_head else HEAD
    wanted = {p.name: p for p in network.get_parameters() if p.name not in skipped}
    found = {key: array for key, array in parameters.items() if key not in skipped}
    problems = [f"missing: {key}" for key in wanted if key not in found]
    problems += [f"not of this network: {key}" for key in found if key not in wanted]
    problems += [
        f"wrong shape: {key} is {found[key].shape}, expected {tuple(parameter.shape)}"
        for key, parameter in wanted.items()
        if key in found and found[key].shape != tuple(parameter.shape)
    ]
    if problems:
        raise CheckpointError(f"{name} does not fit the network:\n  " + "\n  ".join(problems))
    for key, parameter in wanted.items():
        parameter.set_data(ms.Tensor(np.array(found[key], dtype=np.float32)))


# Conversion ---------------------------------------------------------------------------------

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
_IN_BLOCK = re.compile(r"blocks\.((?:\d{1,4}\.){1,2})(\D.*)")


@dataclass(frozen=True)
class Conversion:
    """Parameters under the released names, and the source tensors that have no place there."""

    parameters: Parameters
    refused: tuple[str, ...]


def convert(source: Mapping[str, NDArray[Any]], name: str = "checkpoint") -> Conversion:
    """Rename the tensors of timm's, huawei-noah's or mindcv's GhostNet to the released names.

    Batch norm's ``num_batches_tracked`` counters, which MindSpore does not keep, are refused.

    Raises:
        CheckpointError: a tensor has no counterpart, or the result is no known architecture.
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
    network = GhostNet(architecture, num_classes(parameters, architecture, name))
    load_parameters(network, parameters, name=name)
    return Conversion({p.name: parameters[p.name] for p in network.get_parameters()}, refused)


def _block_order(names: Iterable[str]) -> dict[str, int]:
    """A block's ``stage.`` or ``stage.index.`` to its place in the flat list of blocks."""
    blocks = {match.group(1) for name in names if (match := _IN_BLOCK.fullmatch(name))}
    ordered = sorted(blocks, key=lambda block: [int(part) for part in block.split(".")[:-1]])
    return {block: place for place, block in enumerate(ordered)}


def _released_name(name: str, order: Mapping[str, int]) -> str | None:
    """The released name of a foreign one, or None where it has none."""
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
    """The tensors of a ``.safetensors``, ``.pth`` or ``.ckpt`` file under their own names.

    ``.pth`` needs PyTorch and is read with ``weights_only=True``: no code in it is run.

    Raises:
        CheckpointError: the file cannot be read, or its kind is not known.
    """
    readers = {
        ".safetensors": _read_safetensors,
        ".pth": _read_pytorch,
        ".pt": _read_pytorch,
        ".ckpt": read_checkpoint,
    }
    if path.suffix not in readers:
        raise CheckpointError(f"{path}: expected one of {', '.join(readers)}")
    if not path.is_file():
        raise CheckpointError(f"{path}: no such file")
    return readers[path.suffix](path)


def _read_safetensors(path: Path) -> Parameters:
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        return dict(load_file(path))
    except (SafetensorError, OSError, ValueError, KeyError) as error:
        raise CheckpointError(f"{path}: not a safetensors file ({error})") from error


def _read_pytorch(path: Path) -> Parameters:
    try:
        import torch
    except ImportError as error:
        raise CheckpointError(
            f"{path}: reading .pth needs PyTorch: pip install 'mindspore-ghostnet[torch]'"
        ) from error
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch.load raises almost anything on broken or unsafe bytes
        raise CheckpointError(f"{path}: not a plain PyTorch state dict ({error})") from error
    state = state.get("state_dict", state) if isinstance(state, dict) else state
    if not isinstance(state, dict) or not all(torch.is_tensor(value) for value in state.values()):
        raise CheckpointError(f"{path}: not a dict of tensors")
    return {key.removeprefix("module."): value.numpy() for key, value in state.items()}
