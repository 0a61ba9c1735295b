"""Inference requests and responses as messages of gRPC."""

from typing import Any

import numpy as np

from ghostnet.serving.protocol import (
    InferenceRequest,
    Tensor,
    checked_request,
    pack_elements,
    to_bytes,
)
from ghostnet.serving.refusal import Refusal

PIECE = 2**16
"""Numbers that are copied before other threads have their turn."""


def read_request(message: Any) -> tuple[InferenceRequest, memoryview]:
    """Return a ``ModelInferRequest`` as a request with binary data.

    The answer is binary if the request is raw.

    Raises:
        Refusal: It is malformed.
    """
    raw = message.raw_input_contents
    if len(message.inputs) != 1:
        raise Refusal(400, f"the request has {len(message.inputs)} inputs; send one")
    if len(raw) > 1:
        raise Refusal(400, f"the request has {len(raw)} raw_input_contents for one input; send one")
    (tensor,) = message.inputs
    content = raw[0] if raw else _contents(tensor)
    document = {
        "id": message.id,
        "parameters": {"binary_data_output": bool(raw)},
        "inputs": [
            {
                "name": tensor.name,
                "datatype": tensor.datatype,
                "shape": list(tensor.shape),
                "parameters": {"binary_data_size": len(content)},
            }
        ],
        "outputs": [
            {"name": output.name, "parameters": _parameters(output.parameters)}
            for output in message.outputs
        ],
    }
    return checked_request(document), memoryview(content)


def _contents(tensor: Any) -> bytes:
    """Return the elements of a tensor as they are in binary data."""
    if tensor.datatype == "BYTES":
        return pack_elements(tensor.contents.bytes_contents)
    if tensor.datatype != "FP32":
        raise Refusal(
            400, f"{tensor.name[:40]} is {tensor.datatype[:10]}; send it in raw_input_contents"
        )
    numbers = tensor.contents.fp32_contents
    values = np.empty(len(numbers), "<f4")
    for start in range(0, len(values), PIECE):
        values[start : start + PIECE] = numbers[start : start + PIECE]
    return values.tobytes()


def _parameters(entries: Any) -> dict[str, Any]:
    chosen = ((entry.key, entry.value, entry.value.WhichOneof("choice")) for entry in entries)
    return {key: getattr(value, choice) for key, value, choice in chosen if choice}


def format_response(
    request: InferenceRequest, model: dict[str, str], tensors: list[Tensor]
) -> dict[str, Any]:
    """Return the fields of a ``ModelInferResponse``, with raw contents if the request has them.

    Args:
        request: What it answers, as `read_request` returns it.
        model: ``model_name`` and ``model_version``.
        tensors: The outputs.
    """
    is_raw = request.parameters.binary_data_output
    outputs = [
        {
            "name": tensor.name,
            "datatype": tensor.datatype,
            "shape": tensor.values.shape,
            **({} if is_raw else {"contents": _typed(tensor)}),
        }
        for tensor in tensors
    ]
    raw = [to_bytes(tensor.values) for tensor in tensors] if is_raw else []
    return {**model, "id": request.id, "outputs": outputs, "raw_output_contents": raw}


def _typed(tensor: Tensor) -> dict[str, list[Any]]:
    values = tensor.values.ravel().tolist()
    if tensor.datatype == "FP32":
        return {"fp32_contents": values}
    return {"bytes_contents": [text.encode() for text in values]}
