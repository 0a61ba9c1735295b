"""PyTorch's files. They are pickles, and nothing in them is run: PyTorch reads tensors only."""

import re
import warnings
from collections.abc import Iterator
from io import BytesIO
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ghostnet.checkpoints.arrays import NO_ARRAY
from ghostnet.checkpoints.parameters import Parameters
from ghostnet.errors import CheckpointError, PackageError
from ghostnet.packages import needs

if TYPE_CHECKING:
    import torch

MAX_DEPTH = 8
"""Deepest nesting of dicts in which tensors are looked for."""

_ZIP, _PICKLE = b"PK\x03\x04", b"\x80"


class Inert:
    """Stands for an object beside the tensors, such as settings, and keeps nothing of it."""

    def __new__(cls, *arguments: Any) -> "Inert":
        """Ignore what the object would be made from."""
        return super().__new__(cls)

    def __setstate__(self, state: Any) -> None:
        """Ignore what the object would hold."""


INERT_NAMES = (
    "argparse.Namespace",
    "datetime.date",
    "datetime.datetime",
    "datetime.timedelta",
    "numpy.core.multiarray._reconstruct",
    "numpy._core.multiarray._reconstruct",
    "numpy.core.multiarray.scalar",
    "numpy._core.multiarray.scalar",
    "numpy.dtype",
    "numpy.ndarray",
    "pathlib.Path",
    "pathlib._local.PosixPath",
    "pathlib._local.WindowsPath",
    "pathlib.PosixPath",
    "pathlib.WindowsPath",
    "types.SimpleNamespace",
)
"""Classes and functions that training scripts put beside the tensors; `Inert` takes their place."""


def is_pytorch(content: bytes) -> bool:
    """Whether bytes start like a file of ``torch.save``, of any version of PyTorch."""
    return content.startswith((_ZIP, _PICKLE))


def parse_pytorch(content: bytes, name: str = "checkpoint") -> Parameters:
    """Parse the bytes of a file that ``torch.save`` wrote, without running anything in them.

    Args:
        content: Content of the file.
        name: What errors call the file.

    Returns:
        The tensors by name. Names of nested dicts are joined with ``/``, such as
        ``state_dict/conv_stem.weight``. Floating-point tensors are float32; a value that is no
        tensor is `ghostnet.checkpoints.arrays.NO_ARRAY`.

    Raises:
        CheckpointError: PyTorch is not installed, or the file holds no dict, or objects that only
            code in the file could build.
    """
    try:
        with needs("torch", extra="torch"):
            import torch
    except PackageError as error:
        raise CheckpointError(f"{name}: {error}") from error
    inert: list[Any] = [(Inert, path) for path in INERT_NAMES]
    try:
        with torch.serialization.safe_globals(inert), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            state = torch.load(BytesIO(content), map_location="cpu", weights_only=True)
    except Exception as error:  # torch.load raises almost anything on broken or unsafe bytes
        raise CheckpointError(_refusal(str(error), name)) from error
    if not isinstance(state, dict):
        raise CheckpointError(
            f"{name}: expected a plain PyTorch state dict, found {type(state).__name__}"
        )
    return dict(_tensors(state))


def _refusal(reason: str, name: str) -> str:
    """Say what stopped PyTorch, without its advice to trust the file."""
    blocked = re.search(r"GLOBAL ([\w.]+)", reason)
    found = (
        f"the object {blocked[1]}, and code in a file is never run"
        if blocked
        else "bytes that are damaged, or that only running code could read"
    )
    return (
        f"{name}: expected a plain PyTorch state dict, found {found}; "
        "torch.save(model.state_dict(), FILE) saves the weights alone"
    )


def _tensors(state: dict[Any, Any]) -> Iterator[tuple[str, NDArray[Any]]]:
    """Yield the values of nested dicts as arrays, each dict once, however it is nested."""
    import torch

    seen = {id(state)}

    def walk(values: dict[Any, Any], path: str, depth: int) -> Iterator[tuple[str, NDArray[Any]]]:
        for key, value in values.items():
            if isinstance(value, torch.Tensor):
                yield f"{path}{key}", _array(value)
            elif isinstance(value, dict) and depth < MAX_DEPTH and id(value) not in seen:
                seen.add(id(value))
                yield from walk(value, f"{path}{key}/", depth + 1)
            else:
                yield f"{path}{key}", NO_ARRAY

    return walk(state, "", 1)


def _array(tensor: "torch.Tensor") -> NDArray[Any]:
    """Return the values of a tensor; `NO_ARRAY` of one that NumPy cannot have."""
    try:
        size = tensor.numel() * tensor.element_size()
        if tensor.is_meta or size > tensor.untyped_storage().nbytes():
            return NO_ARRAY
        plain = tensor.float() if tensor.is_floating_point() else tensor
        return np.asarray(plain.numpy(force=True))
    except (NotImplementedError, RuntimeError, TypeError):  # sparse, quantized and packed tensors
        return NO_ARRAY
