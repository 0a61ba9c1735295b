"""Files as ``torch.save`` writes them, made without PyTorch, and as badly as a test wants them."""

import io
import struct
import zipfile
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ghostnet.checkpoints.pickles import Call, Name, Reference

STORAGES = {"float16": "HalfStorage", "float32": "FloatStorage", "int64": "LongStorage"}


def pickled(value: Any) -> bytes:
    """The operations that make a value; `Call`, `Name` and `Reference` stand for theirs."""
    match value:
        case Name(path):
            module, _, name = path.rpartition(".")
            return f"c{module}\n{name}\n".encode()
        case Call(function, arguments):
            return pickled(function) + pickled(arguments) + b"R"
        case Reference(id):
            return pickled(id) + b"Q"
        case None:
            return b"N"
        case bool():
            return b"\x88" if value else b"\x89"
        case int():
            content = value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)
            return b"\x8a" + bytes([len(content)]) + content
        case str():
            return b"X" + struct.pack("<I", len(value.encode())) + value.encode()
        case tuple() | list():
            start, end = (b"(", b"t") if isinstance(value, tuple) else (b"](", b"e")
            return start + b"".join(map(pickled, value)) + end
        case dict():
            items = b"".join(pickled(key) + pickled(item) for key, item in value.items())
            return b"}(" + items + b"u"
    raise TypeError(type(value).__name__)


def a_pickle(value: Any) -> bytes:
    return b"\x80\x02" + pickled(value) + b"."


def tensor(
    key: str,
    shape: tuple[int, ...],
    dtype: str = "float32",
    *,
    strides: tuple[int, ...] | None = None,
    offset: int = 0,
    length: int | None = None,
    legacy: bool = False,
) -> Call:
    """A tensor that lies in the storage ``key``, which is said to have ``length`` elements."""
    if strides is None:
        strides = tuple(int(np.prod(shape[axis + 1 :])) for axis in range(len(shape)))
    name = Name(f"torch.{STORAGES[dtype]}")
    stated = int(np.prod(shape)) if length is None else length
    storage = Reference(("storage", name, key, "cpu", stated, *([None] if legacy else [])))
    arguments = (storage, offset, shape, strides, False, Call(Name("collections.OrderedDict"), ()))
    return Call(Name("torch._utils._rebuild_tensor_v2"), arguments)


def zip_file(pickle: bytes, storages: Mapping[str, bytes], compression: int = 0) -> bytes:
    """A file of PyTorch 1.6 or later."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", compression, compresslevel=1) as archive:
        archive.writestr("archive/data.pkl", pickle)
        for key, storage in storages.items():
            archive.writestr(f"archive/data/{key}", storage)
    return content.getvalue()


def legacy_file(pickle: bytes, storages: Mapping[str, NDArray[Any]]) -> bytes:
    """A file of PyTorch before 1.6."""
    beginning = [0x1950A86A20F9469CFC6C, 1001, {"protocol_version": 1001, "little_endian": True}]
    rows = [*map(a_pickle, beginning), pickle, a_pickle(list(storages))]
    for storage in storages.values():
        rows += [struct.pack("<q", storage.size), storage.tobytes()]
    return b"".join(rows)
