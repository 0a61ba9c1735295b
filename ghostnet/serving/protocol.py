"""The Open Inference Protocol, version 2: requests and responses as bytes.

https://github.com/kserve/open-inference-protocol, with Triton's extensions for binary tensors and
for classification.
"""

import base64
import binascii
import json
import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, Field, NonNegativeInt, ValidationError

from ghostnet.serving.refusal import Refusal

EXTENSIONS = ("binary_tensor_data", "classification")

LENGTH = struct.Struct("<I")
"""What precedes each element of a binary tensor of bytes: its length."""


class InputParameters(BaseModel):
    """Parameters of an input; others are ignored."""

    binary_data_size: NonNegativeInt | None = None


class Input(BaseModel):
    """A tensor of a request."""

    name: str
    datatype: str
    shape: list[int] = Field(min_length=1, max_length=8)
    parameters: InputParameters = InputParameters()
    data: Any = None


class OutputParameters(BaseModel):
    """Parameters of a requested output."""

    binary_data: bool | None = None
    classification: NonNegativeInt = 0


class RequestedOutput(BaseModel):
    """An output that a request asks for."""

    name: str
    parameters: OutputParameters = OutputParameters()


class RequestParameters(BaseModel):
    """Parameters of a request."""

    binary_data_output: bool = False


class InferenceRequest(BaseModel):
    """The JSON of a request."""

    id: str = ""
    inputs: list[Input] = Field(min_length=1, max_length=1)
    outputs: list[RequestedOutput] = []
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


def parse_request(body: bytes, json_length: int | None) -> tuple[InferenceRequest, bytes]:
    """Parse a request.

    Args:
        body: Its body.
        json_length: Bytes of JSON that the body begins with; None where it is all JSON.

    Returns:
        The JSON of the request and the binary data after it.

    Raises:
        Refusal: It is malformed.
    """
    end = len(body) if json_length is None else json_length
    if end > len(body):
        raise Refusal(400, f"expected {end:,} bytes of JSON, found a body of {len(body):,} bytes")
    try:
        return InferenceRequest.model_validate_json(body[:end]), body[end:]
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(map(str, first["loc"])) or "body"
        raise Refusal(400, f"{place}: {first['msg']}") from error


def read_floats(tensor: Input, binary: bytes, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Read an FP32 input.

    Args:
        tensor: The input.
        binary: The binary data of the request.
        shape: Expected shape, without the batch.

    Returns:
        (batch, …) float32.

    Raises:
        Refusal: It has another shape, or other contents.
    """
    if len(tensor.shape) != 1 + len(shape) or tuple(tensor.shape[1:]) != shape:
        wanted = [-1, *shape]
        raise Refusal(400, f"{tensor.name}: expected the shape {wanted}, found {tensor.shape}")
    count = _count(tensor)
    if tensor.parameters.binary_data_size is None:
        values = _from_lists(tensor)
    else:
        values = _from_bytes(tensor, _binary(tensor, binary))
    if values.size != count:
        raise Refusal(400, f"{tensor.name}: expected {count:,} values, found {values.size:,}")
    if not np.isfinite(values).all():
        raise Refusal(400, f"{tensor.name}: expected finite values, found NaN or infinity")
    return values.reshape(tensor.shape)


def _from_lists(tensor: Input) -> NDArray[np.float32]:
    try:
        return np.asarray(tensor.data, np.float32)
    except (TypeError, ValueError) as error:
        raise Refusal(400, f"{tensor.name}: expected lists of numbers as data") from error


def _from_bytes(tensor: Input, content: bytes) -> NDArray[np.float32]:
    if len(content) % 4:
        raise Refusal(400, f"{tensor.name}: expected 4 bytes for each value of FP32")
    return np.frombuffer(content, "<f4").astype(np.float32, copy=False)


def read_elements(tensor: Input, binary: bytes) -> list[bytes]:
    """Read a BYTES input: binary data with lengths, or base64 in JSON.

    Raises:
        Refusal: It is malformed, or does not have the elements that its shape says.
    """
    if tensor.parameters.binary_data_size is None:
        elements = [_from_base64(tensor, text) for text in _flat(tensor.data)]
    else:
        elements = _split(tensor, _binary(tensor, binary))
    count = _count(tensor)
    if len(elements) != count:
        raise Refusal(400, f"{tensor.name}: expected {count} elements, found {len(elements)}")
    return elements


def _binary(tensor: Input, binary: bytes) -> bytes:
    if len(binary) != tensor.parameters.binary_data_size:
        raise Refusal(
            400,
            f"{tensor.name}: expected {tensor.parameters.binary_data_size:,} bytes of binary data, "
            f"found {len(binary):,}",
        )
    return binary


def _count(tensor: Input) -> int:
    """Return the number of elements that the shape says."""
    if min(tensor.shape) < 0:
        raise Refusal(400, f"{tensor.name}: expected a shape without negative sizes")
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
            400, f"{tensor.name}: expected base64 in JSON; or send binary data"
        ) from error


def _split(tensor: Input, content: bytes) -> list[bytes]:
    elements, start = [], 0
    while start < len(content):
        head = content[start : start + LENGTH.size]
        end = start + LENGTH.size + (LENGTH.unpack(head)[0] if len(head) == LENGTH.size else 0)
        if len(head) < LENGTH.size or end > len(content):
            raise Refusal(400, f"{tensor.name}: expected elements, each after its 4-byte length")
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
            "datatype": "FP32" if tensor.values.dtype == np.float32 else "BYTES",
            "shape": list(tensor.values.shape),
        }
        if tensor.is_binary:
            content = _to_bytes(tensor.values)
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


def _to_bytes(values: NDArray[Any]) -> bytes:
    if values.dtype == np.float32:
        return values.astype("<f4", copy=False).tobytes()
    encoded = (text.encode() for text in values.ravel())
    return b"".join(LENGTH.pack(len(element)) + element for element in encoded)
