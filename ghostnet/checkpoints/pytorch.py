"""PyTorch's files, read without PyTorch and without running anything in them, and written with it.

Since version 1.6, ``torch.save`` writes a ZIP with a pickle and a record for each storage; before,
it wrote a row of pickles and the storages behind them. A tensor is a view of a storage.
"""

import math
import struct
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

from ghostnet.checkpoints.arrays import BFLOAT16, NO_ARRAY, widened
from ghostnet.checkpoints.budget import MAX_BYTES
from ghostnet.checkpoints.parameters import Parameters, check_finite
from ghostnet.checkpoints.pickles import Call, Name, Pickle, Reference
from ghostnet.errors import CheckpointError
from ghostnet.files import raising, write_whole
from ghostnet.packages import needs

MAX_DEPTH = 8
"""Deepest nesting of dicts in which tensors are looked for."""

MAX_NAME = 1_000
"""Longest name of a tensor, in characters."""

MAX_RECORDS = 100_000
"""Most records of a ZIP."""

_Storages: TypeAlias = Mapping[str, bytes | memoryview]

_ZIP, _PICKLE = b"PK\x03\x04", b"\x80"
_ZIP_ENTRY = b"PK\x01\x02"

_DTYPES: dict[str, np.dtype[Any]] = {
    "DoubleStorage": np.dtype(np.float64),
    "FloatStorage": np.dtype(np.float32),
    "HalfStorage": np.dtype(np.float16),
    "BFloat16Storage": BFLOAT16,
    "LongStorage": np.dtype(np.int64),
    "IntStorage": np.dtype(np.int32),
    "ShortStorage": np.dtype(np.int16),
    "CharStorage": np.dtype(np.int8),
    "ByteStorage": np.dtype(np.uint8),
    "BoolStorage": np.dtype(np.bool_),
    "ComplexFloatStorage": np.dtype(np.complex64),
    "ComplexDoubleStorage": np.dtype(np.complex128),
    "UntypedStorage": np.dtype(np.uint8),
    "QInt8Storage": np.dtype(np.int8),
    "QUInt8Storage": np.dtype(np.uint8),
    "QInt32Storage": np.dtype(np.int32),
}
"""Element of each kind of storage. The last four lie under tensors that are not read."""

_TENSOR = ("torch._utils._rebuild_tensor", "torch._utils._rebuild_tensor_v2")
_PARAMETER = (
    "torch._utils._rebuild_parameter",
    "torch._utils._rebuild_parameter_with_state",
)
_SUBCLASS = "torch._tensor._rebuild_from_type_v2"

_KNOWN_MODULES = ("torch", "torch._tensor", "torch._utils", "torch.cuda", "torch.storage")
_KNOWN = {
    *("__builtin__.bytearray", "__builtin__.complex", "__builtin__.set", "_codecs.encode"),
    *("builtins.bytearray", "builtins.complex", "builtins.set"),
    *("argparse.Namespace", "types.SimpleNamespace"),
    *("collections.Counter", "collections.OrderedDict", "collections.defaultdict"),
    *("datetime.date", "datetime.datetime", "datetime.timedelta"),
    *("numpy.core.multiarray._reconstruct", "numpy._core.multiarray._reconstruct"),
    *("numpy.core.multiarray.scalar", "numpy._core.multiarray.scalar"),
    *("numpy.dtype", "numpy.ndarray"),
    *("pathlib.Path", "pathlib.PosixPath", "pathlib.WindowsPath"),
    *("pathlib._local.PosixPath", "pathlib._local.WindowsPath"),
    *("torch.nn.parameter.Parameter", "torch.serialization._get_layout"),
}
"""Classes and functions that training scripts put beside the tensors; their objects are skipped."""


_COUNT_BYTES = 8
_MAGIC, _PROTOCOL = 0x1950A86A20F9469CFC6C, 1001
"""What the first two pickles of a file before version 1.6 are."""


class _View(NamedTuple):
    """A tensor as a view of a storage; offset and strides count elements."""

    storage: bytes | memoryview
    dtype: np.dtype[Any]
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    @property
    def is_inside(self) -> bool:
        """Whether all elements lie in the storage."""
        steps = zip(self.shape, self.strides, strict=True)
        last = self.offset + sum((length - 1) * stride for length, stride in steps)
        return 0 in self.shape or last < len(self.storage) // self.dtype.itemsize

    @property
    def nbytes(self) -> int:
        """Bytes of the array."""
        return math.prod(self.shape) * (4 if self.dtype == BFLOAT16 else self.dtype.itemsize)

    def array(self) -> NDArray[Any]:
        """Make the array."""
        count = len(self.storage) // self.dtype.itemsize
        values = np.frombuffer(self.storage, self.dtype, count)
        strides = [stride * self.dtype.itemsize for stride in self.strides]
        return widened(as_strided(values[self.offset :], self.shape, strides, writeable=False))


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
        ``state_dict/conv_stem.weight``. bfloat16 becomes float32; a value that is not a tensor, or
        one that NumPy does not have, is `ghostnet.checkpoints.arrays.NO_ARRAY`.

    Raises:
        CheckpointError: The file is damaged, holds no dict, holds objects that only code could
            build, or would become larger than `ghostnet.checkpoints.budget.MAX_BYTES`.
    """
    try:
        views = dict(_views(*(_read_zip if content.startswith(_ZIP) else _read_legacy)(content)))
        if sum(view.nbytes for view in views.values() if view) > MAX_BYTES:
            raise ValueError(f"its tensors take more than {MAX_BYTES:,} bytes")
        return {key: view.array() if view else NO_ARRAY for key, view in views.items()}
    except _UNREADABLE as error:
        raise CheckpointError(
            f"{name} cannot be read as a plain PyTorch state dict ({error}); save the weights "
            "alone with torch.save(model.state_dict(), FILE)"
        ) from error


_UNREADABLE = (
    *(ArithmeticError, EOFError, LookupError, RuntimeError, TypeError, ValueError),
    *(struct.error, zipfile.BadZipFile, zlib.error),
)
"""What reading damaged or hostile bytes raises."""


def _is_known(path: str) -> bool:
    return path in _KNOWN or path.rpartition(".")[0] in _KNOWN_MODULES


def _read_zip(content: bytes) -> tuple[Any, _Storages]:
    """Return the value in a ZIP, and its storages by key."""
    if content.count(_ZIP_ENTRY) > MAX_RECORDS:
        raise ValueError(f"more than {MAX_RECORDS:,} records")
    with zipfile.ZipFile(BytesIO(content)) as archive:
        if sum(record.file_size for record in archive.infolist()) > MAX_BYTES:
            raise ValueError(f"its records take more than {MAX_BYTES:,} bytes")
        names = archive.namelist()
        pickled = [name for name in names if name.endswith("/data.pkl")]
        if len(pickled) != 1:
            raise ValueError(f"{len(pickled)} records named data.pkl")
        root = pickled[0].removesuffix("data.pkl")
        if f"{root}byteorder" in names and _record(archive, f"{root}byteorder") != b"little":
            raise ValueError("big-endian")
        pickle = Pickle(BytesIO(_record(archive, pickled[0])), _is_known)
        keys = dict.fromkeys(key for key, _ in map(_storage, pickle.references))
        return pickle.value, {key: _record(archive, f"{root}data/{key}") for key in keys}


def _record(archive: zipfile.ZipFile, name: str) -> bytes:
    """Read a record of a ZIP, and no more than the size that it states."""
    record = archive.getinfo(name)
    if record.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ValueError("a compression that torch.load does not read")
    with archive.open(record) as file:
        return file.read(record.file_size)


def _read_legacy(content: bytes) -> tuple[Any, _Storages]:
    """Return the value in a file of PyTorch before 1.6, and its storages by key."""
    file = BytesIO(content)
    magic, protocol, system, pickle, keys = (Pickle(file, _is_known) for _ in range(5))
    if (magic.value, protocol.value) != (_MAGIC, _PROTOCOL) or not system.value["little_endian"]:
        raise ValueError("not written by torch.save on a little-endian machine")
    dtypes = dict(map(_storage, pickle.references))
    storages = {}
    rest = memoryview(content)[file.tell() :]
    for key in keys.value:
        end = _COUNT_BYTES + int.from_bytes(rest[:_COUNT_BYTES], "little") * dtypes[key].itemsize
        if end > len(rest):
            raise EOFError("cut short")
        storages[key], rest = rest[_COUNT_BYTES:end], rest[end:]
    return pickle.value, storages


def _storage(reference: Reference) -> tuple[str, np.dtype[Any]]:
    """Return the key and the dtype of a storage that a pickle refers to."""
    match reference.id:
        case ("storage", Name(path), str(key), _, int(), *view) if view in ([], [None]):
            return key, _DTYPES[path.rpartition(".")[2]]
    raise ValueError("a storage of an unknown kind")


def _views(state: Any, storages: _Storages) -> Iterator[tuple[str, _View | None]]:
    """Yield the tensors in nested dicts, each dict once, and None for every other value."""
    if not isinstance(state, dict):
        raise ValueError("it holds no dict")
    seen = {id(state)}

    def walk(values: dict[Any, Any], path: str, depth: int) -> Iterator[tuple[str, _View | None]]:
        for key, value in values.items():
            name = f"{path}{key}"
            if len(name) > MAX_NAME:
                raise ValueError(f"a name of more than {MAX_NAME:,} characters")
            if not isinstance(value, dict):
                yield name, _view(value, storages)
            elif depth < MAX_DEPTH and id(value) not in seen:
                seen.add(id(value))
                yield from walk(value, f"{name}/", depth + 1)
            else:
                yield name, None

    return walk(state, "", 1)


def _view(value: Any, storages: _Storages) -> _View | None:
    """Return a tensor; None for a value that is not one, or of a kind that NumPy lacks."""
    match value:
        case Call(Name(path), (inner, *_)) if path in _PARAMETER:
            return _view(inner, storages)
        case Call(Name(path), (function, _, arguments, *_)) if path == _SUBCLASS:
            return _view(Call(function, arguments), storages)
        case Call(
            Name(path), (Reference() as reference, offset, tuple(shape), tuple(strides), *_)
        ) if path in _TENSOR:
            key, dtype = _storage(reference)
            counts = (offset, *shape, *strides)
            if not all(isinstance(count, int) and count >= 0 for count in counts):
                raise ValueError("a tensor of an impossible shape")
            view = _View(storages[key], dtype, offset, shape, strides)
            if not view.is_inside:
                raise ValueError("a tensor that is not inside its storage")
            return view
    return None


def write_pytorch(parameters: Mapping[str, NDArray[Any]], path: Path) -> None:
    """Write a dict of tensors as ``torch.save`` does, atomically; an existing file is replaced.

    Args:
        parameters: Arrays of numbers, by name.
        path: File to write.

    Raises:
        PackageError: PyTorch is not installed.
        CheckpointError: A value is not finite, or the file cannot be written.
    """
    with needs("torch", extra="torch"):
        import torch
    check_finite(parameters, str(path))
    content = BytesIO()
    torch.save({name: torch.tensor(array) for name, array in parameters.items()}, content)
    with raising(CheckpointError, f"{path}: cannot be written"):
        write_whole(path, content.getvalue())
