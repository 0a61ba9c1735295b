"""Inference requests of the Open Inference Protocol: the images in them, and their outputs."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ghostnet.errors import ImageError
from ghostnet.model.pipeline import Logits
from ghostnet.model.probabilities import probabilities_of
from ghostnet.serving.batcher import Source
from ghostnet.serving.protocol import (
    ENCODED,
    FLOATS,
    IMAGES,
    LOGITS,
    PROBABILITIES,
    InferenceRequest,
    RequestedOutput,
    Tensor,
    read_elements,
    read_floats,
)
from ghostnet.serving.refusal import Refusal
from ghostnet.serving.served_model import ServedModel


def read_sources(model: ServedModel, request: InferenceRequest, binary: memoryview) -> list[Source]:
    """Return the images of a request.

    Args:
        model: What is to run them.
        request: The request.
        binary: Its binary data.

    Raises:
        Refusal: The model does not have such an input or output, or the data is malformed.
    """
    for output in request.outputs:
        if output.name not in (LOGITS, PROBABILITIES):
            raise Refusal(
                400, f"there is no output {output.name[:40]}; ask for {LOGITS} or {PROBABILITIES}"
            )
    (tensor,) = request.inputs
    if tensor.name == IMAGES and tensor.datatype in FLOATS:
        return list(read_floats(tensor, binary, model.input_shape))
    if (tensor.name, tensor.datatype) == (ENCODED, "BYTES"):
        return list(read_elements(tensor, binary))
    raise Refusal(
        400,
        f"the input is {tensor.name[:40]} ({tensor.datatype[:10]}); send {IMAGES} (FP32 or "
        f"FP16) or {ENCODED} (BYTES)",
    )


def outputs(
    model: ServedModel, request: InferenceRequest, results: Sequence[Logits | ImageError]
) -> list[Tensor]:
    """Return the outputs that a request asks for, or all of them.

    Raises:
        Refusal: An image is broken.
    """
    rows = []
    for index, result in enumerate(results):
        if isinstance(result, ImageError):
            raise Refusal(422, f"image {index}: {result}")
        rows.append(result.values)
    logits = np.stack(rows) if rows else np.zeros((0, len(model.labels)), np.float32)
    shares = probabilities_of(logits, multi_label=model.thresholds is not None)
    values = {LOGITS: logits, PROBABILITIES: shares.astype(np.float32)}
    tensors = []
    for output in request.outputs or [RequestedOutput(name=name) for name in values]:
        is_binary = output.parameters.binary_data
        if is_binary is None:
            is_binary = request.parameters.binary_data_output
        content: NDArray[Any] = values[output.name]
        if output.parameters.classification:
            content = _classify(content, output.parameters.classification, model.labels)
        tensors.append(Tensor(output.name, content, is_binary))
    return tensors


def _classify(values: NDArray[np.float32], count: int, labels: Sequence[str]) -> NDArray[Any]:
    """Return the ``count`` highest values of each row as ``value:index:label``."""
    best = np.argsort(-values, axis=1, kind="stable")[:, :count]
    texts = [
        [f"{row[i]:.6f}:{i}:{labels[i]}" for i in order]
        for row, order in zip(values, best, strict=True)
    ]
    return np.array(texts, object).reshape(best.shape)
