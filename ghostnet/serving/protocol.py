"""The Open Inference Protocol, version 2: requests and responses as bytes.

https://github.com/kserve/open-inference-protocol, with Triton's extensions for binary tensors and
for classification.
"""

import base64
import binascii
import json
import math
import struct
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, Field, NonNegativeInt, ValidationError, model_validator

from ghostnet.data.transforms import Content
from ghostnet.serving.number_lists import PIECE, put_back, take_numbers
from ghostnet.serving.refusal import Refusal

PARTS = 20_000
"""Most lists, texts, objects and single values in the JSON of a request."""

PART_BYTES = 400
"""What the parser takes for each of them."""

TEXT_BYTES = 7
"""What it takes for each byte: three of text, and four of arrays, of which there are two for a time
(a number has at least a digit and a comma)."""

BETWEEN_PARTS = bytes(set(range(256)) - set(b'[]{}:"'))
"""Characters that neither begin nor end a part of JSON."""

EXTENSIONS = ("binary_tensor_data", "classification")

IMAGES = "images"
"""Input: preprocessed images, FP32 or FP16."""

ENCODED = "encoded_images"
"""Input: contents of image files, BYTES."""

LOGITS = "logits"
PROBABILITIES = "probabilities"

FLOATS = {"FP32": "<f4", "FP16": "<f2"}
"""Datatypes of preprocessed images, and those of NumPy."""

LENGTH = struct.Struct("<I")
"""The length that precedes each element of a binary BYTES tensor."""


class Fields(BaseModel):
    """Part of a request, in which null stands for nothing."""

    @model_validator(mode="before")
    @classmethod
    def drop_nulls(cls, values: Any) -> Any:
        """Leave out what is null, so that it has its default."""
        if not isinstance(values, dict):
            return values
        return {name: value for name, value in values.items() if value is not None}


class InputParameters(Fields):
    """Parameters of an input; others are ignored."""

    binary_data_size: NonNegativeInt | None = None


class Input(Fields):
    """A tensor of a request."""

    name: str
    datatype: str
    shape: list[int] = Field(min_length=1, max_length=8)
    parameters: InputParameters = InputParameters()
    data: Any = None


class OutputParameters(Fields):
    """Parameters of a requested output."""

    binary_data: bool | None = None
    classification: NonNegativeInt = 0


class RequestedOutput(Fields):
    """An output that a request asks for."""

    name: str
    parameters: OutputParameters = OutputParameters()


class RequestParameters(Fields):
    """Parameters of a request."""

    binary_data_output: bool = False


class InferenceRequest(Fields):
    """The JSON of a request."""

    id: str = ""
    inputs: list[Input] = Field(min_length=1, max_length=1)
    outputs: list[RequestedOutput] = Field(default_factory=list, max_length=2)
    parameters: RequestParameters = RequestParameters()


@dataclass(frozen=True)
class Tensor:
    """A tensor of a response.

    Attributes:
        name: Its name.
        values: float32 array, or array of Python strings.
        is_binary: Send it after the JSON rather than in it.
    """

    name: str
    values: NDArray[Any]
    is_binary: bool

    @property
    def datatype(self) -> str:
        """What the protocol calls the values."""
        return "FP32" if self.values.dtype == np.float32 else "BYTES"


def split_body(body: bytearray, json_length: int | None) -> tuple[bytearray, memoryview]:
    """Split the body of a request.

    Args:
        body: The body.
        json_length: Bytes of JSON at its start; None if all of it is JSON.

    Returns:
        The JSON and the binary data after it.

    Raises:
        Refusal: The body is shorter than the JSON.
    """
    if json_length is None or json_length == len(body):
        return body, memoryview(b"")
    if json_length > len(body):
        raise Refusal(
            400,
            f"the header promises {json_length:,} bytes of JSON, but the body has {len(body):,} "
            "bytes",
        )
    return body[:json_length], memoryview(body)[json_length:]


def parsing_bytes(text: bytearray) -> int:
    """Return the most bytes that parsing the JSON of a request takes.

    Raises:
        Refusal: It has more parts than the images of a request.
    """
    pieces = (text[start : start + PIECE] for start in range(0, len(text), PIECE))
    parts = sum(len(piece.translate(None, BETWEEN_PARTS)) for piece in pieces)
    _check_parts(parts)
    return PART_BYTES * parts + TEXT_BYTES * len(text)


def parse_request(text: bytearray) -> InferenceRequest:
    """Parse the JSON of a request, whose size `parsing_bytes` has bounded.

    Raises:
        Refusal: It is malformed, or has more single values than the images of a request.
    """
    rest, taken = take_numbers(text)
    _check_parts(rest.count(b","))
    with _refusing():
        request = InferenceRequest.model_validate_json(rest)
    numbers = iter(taken)
    for tensor in request.inputs:
        tensor.data = put_back(tensor.data, numbers)
    return request


def _check_parts(count: int) -> None:
    if count > PARTS:
        raise Refusal(
            413,
            f"the JSON has more than {PARTS:,} lists, texts, objects and single values; send "
            "binary data, or fewer images",
        )


def checked_request(document: dict[str, Any]) -> InferenceRequest:
    """Check a request that is not JSON.

    Raises:
        Refusal: It is malformed.
    """
    with _refusing():
        return InferenceRequest.model_validate(document)


@contextmanager
def _refusing() -> Iterator[None]:
    """Refuse a request that is not valid."""
    try:
        yield
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"])) or "body"
        raise Refusal(400, f"{place}: {first['msg']}") from error


def read_floats(tensor: Input, binary: memoryview, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Read an input of floats.

    Args:
        tensor: The input.
        binary: The binary data of the request.
        shape: Expected shape, without the batch.

    Returns:
        (batch, …) float32.

    Raises:
        Refusal: Its shape is wrong, or its data does not match the shape.
    """
    if len(tensor.shape) != 1 + len(shape) or tuple(tensor.shape[1:]) != shape:
        wanted = [-1, *shape]
        raise Refusal(400, f"{tensor.name} has the shape {tensor.shape}; it must be {wanted}")
    count = _count(tensor)
    if tensor.parameters.binary_data_size is None:
        values = _from_lists(tensor)
    else:
        values = _from_bytes(tensor, _binary(tensor, binary))
    if values.size != count:
        raise Refusal(400, f"{tensor.name} has {values.size:,} values, but its shape has {count:,}")
    if not np.isfinite(values).all():
        raise Refusal(400, f"{tensor.name} contains NaN or infinity; send finite values")
    return values.reshape(tensor.shape)


def _from_lists(tensor: Input) -> NDArray[np.float32]:
    try:
        return np.concatenate([np.empty(0, np.float32), *_arrays(tensor.data)])
    except (TypeError, OverflowError) as error:
        raise Refusal(400, f"the data of {tensor.name} must be lists of numbers") from error


def _arrays(data: Any) -> Iterator[NDArray[np.float32]]:
    """Yield the numbers in nested lists."""
    if isinstance(data, np.ndarray):
        yield data
    elif not isinstance(data, list):
        raise TypeError
    elif set(map(type, data)) <= {int, float}:
        yield np.array(data, np.float32)
    else:
        for part in data:
            yield from _arrays(part)


def _from_bytes(tensor: Input, content: memoryview) -> NDArray[np.float32]:
    dtype = np.dtype(FLOATS[tensor.datatype])
    if len(content) % dtype.itemsize:
        raise Refusal(
            400, f"the binary data of {tensor.name} must have {dtype.itemsize} bytes per value"
        )
    return np.frombuffer(content, dtype).astype(np.float32, copy=False)


def read_elements(tensor: Input, binary: memoryview) -> list[Content]:
    """Read a BYTES input: binary data with lengths, or base64 in JSON.

    Raises:
        Refusal: It is malformed, or the number of elements does not match its shape.
    """
    elements: list[Content]
    count = _count(tensor)
    if tensor.parameters.binary_data_size is None:
        elements = [_from_base64(tensor, text) for text in _flat(tensor.data)]
    else:
        elements = _split(tensor, _binary(tensor, binary), min(count, PARTS))
    if len(elements) != count:
        raise Refusal(400, f"{tensor.name} has {len(elements)} elements, but its shape has {count}")
    return elements


def _binary(tensor: Input, binary: memoryview) -> memoryview:
    if len(binary) != tensor.parameters.binary_data_size:
        raise Refusal(
            400,
            f"{tensor.name} promises {tensor.parameters.binary_data_size:,} bytes of binary data, "
            f"but {len(binary):,} follow the JSON",
        )
    return binary


def _count(tensor: Input) -> int:
    """Return the number of elements of the shape."""
    if min(tensor.shape) < 0:
        raise Refusal(400, f"the shape of {tensor.name} has a negative size")
    return math.prod(tensor.shape)


def _flat(data: Any) -> Sequence[Any]:
    """Return the elements of lists that may be nested once."""
    if not isinstance(data, list):
        return [data]
    return [item for part in data for item in (part if isinstance(part, list) else [part])]


def _from_base64(tensor: Input, text: Any) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (TypeError, ValueError, binascii.Error) as error:
        raise Refusal(
            400, f"{tensor.name} is not base64; encode it, or send binary data"
        ) from error


def _split(tensor: Input, content: memoryview, most: int) -> list[Content]:
    """Return the elements of binary data, of which there may be millions in few bytes."""
    elements: list[Content] = []
    start = 0
    while start < len(content):
        if len(elements) == most:
            raise Refusal(400, f"{tensor.name} has more than {most} elements; send fewer images")
        head = content[start : start + LENGTH.size]
        end = start + LENGTH.size + (LENGTH.unpack(head)[0] if len(head) == LENGTH.size else 0)
        if len(head) < LENGTH.size or end > len(content):
            raise Refusal(
                400,
                f"the binary data of {tensor.name} must have a 4-byte length before each element",
            )
        elements.append(content[start + LENGTH.size : end])
        start = end
    return elements


def format_response(
    request: InferenceRequest, model: dict[str, str], tensors: list[Tensor]
) -> tuple[bytes, int | None]:
    """Format a response.

    Args:
        request: What it answers.
        model: ``model_name`` and ``model_version``.
        tensors: The outputs.

    Returns:
        The body, and the bytes of JSON that it begins with; None where it is all JSON.
    """
    described, binary = [], b""
    for tensor in tensors:
        text: dict[str, Any] = {
            "name": tensor.name,
            "datatype": tensor.datatype,
            "shape": list(tensor.values.shape),
        }
        if tensor.is_binary:
            content = to_bytes(tensor.values)
            text["parameters"] = {"binary_data_size": len(content)}
            binary += content
        else:
            text["data"] = tensor.values.ravel().tolist()
        described.append(text)
    answer: dict[str, Any] = {**model, "outputs": described}
    if request.id:
        answer["id"] = request.id
    header = json.dumps(answer, ensure_ascii=False, allow_nan=False).encode()
    is_binary = any(tensor.is_binary for tensor in tensors)
    return header + binary, len(header) if is_binary else None


def to_bytes(values: NDArray[Any]) -> bytes:
    """Return the values of a tensor as binary data."""
    if values.dtype == np.float32:
        return values.astype("<f4", copy=False).tobytes()
    return pack_elements(text.encode() for text in values.ravel())


def pack_elements(elements: Iterable[bytes]) -> bytes:
    """Return the elements of a BYTES tensor as binary data."""
    return b"".join(LENGTH.pack(len(element)) + element for element in elements)
