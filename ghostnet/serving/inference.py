"""The endpoints of the Open Inference Protocol, under ``/v2``."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

import ghostnet
from ghostnet.errors import ImageError
from ghostnet.serving.batcher import Source
from ghostnet.serving.intake import Intake
from ghostnet.serving.protocol import (
    EXTENSIONS,
    FLOATS,
    InferenceRequest,
    Input,
    RequestedOutput,
    Tensor,
    format_response,
    parse_request,
    read_elements,
    read_floats,
)
from ghostnet.serving.refusal import Refusal
from ghostnet.serving.served_model import ServedModel

VERSION = "1"
"""The only version of the model."""

IMAGES = "images"
"""Input: preprocessed images, FP32 or FP16."""

ENCODED = "encoded_images"
"""Input: contents of image files, BYTES."""

LOGITS = "logits"
PROBABILITIES = "probabilities"

JSON_LENGTH = "Inference-Header-Content-Length"
"""The header of requests and responses that end in binary data."""

RAW_REQUEST = InferenceRequest(inputs=[Input(name=ENCODED, datatype="BYTES", shape=[1])])
"""What a request without JSON asks for."""

MAX_DIGITS = 16
"""Digits of the longest number in a header."""


class Inference:
    """The endpoints.

    Args:
        served: What runs the images.
        intake: What reads the bodies.
    """

    def __init__(self, served: ServedModel, intake: Intake) -> None:
        self.served = served
        self.intake = intake
        size = served.model.preprocess.image_size
        self.input_shape = (3, size, size)

    async def show_server(self, request: Request) -> Response:
        """Answer ``GET /v2``."""
        return JSONResponse(
            {"name": "ghostnet", "version": ghostnet.__version__, "extensions": EXTENSIONS}
        )

    async def show_live(self, request: Request) -> Response:
        """Answer ``GET /v2/health/live``."""
        return JSONResponse({"live": True})

    async def show_ready(self, request: Request) -> Response:
        """Answer ``GET /v2/health/ready``."""
        is_ready = self.served.is_ready
        return JSONResponse({"ready": is_ready}, 200 if is_ready else 503)

    async def show_model(self, request: Request) -> Response:
        """Answer ``GET /v2/models/NAME``."""
        self._check_model(request)
        outputs = [-1, self.served.model.num_classes]
        return JSONResponse(
            {
                "name": self.served.name,
                "versions": [VERSION],
                "platform": "ghostnet",
                "inputs": [
                    {"name": IMAGES, "datatype": "FP32", "shape": [-1, *self.input_shape]},
                    {"name": ENCODED, "datatype": "BYTES", "shape": [-1]},
                ],
                "outputs": [
                    {"name": name, "datatype": "FP32", "shape": outputs}
                    for name in (LOGITS, PROBABILITIES)
                ],
            }
        )

    async def show_configuration(self, request: Request) -> Response:
        """Answer ``GET /v2/models/NAME/config``, as Triton does."""
        self._check_model(request)
        logits = {"data_type": "TYPE_FP32", "dims": [self.served.model.num_classes]}
        return JSONResponse(
            {
                "name": self.served.name,
                "platform": "ghostnet",
                "backend": "ghostnet",
                "max_batch_size": self.served.limits.queue,
                "input": [
                    {"name": IMAGES, "data_type": "TYPE_FP32", "dims": self.input_shape},
                    {"name": ENCODED, "data_type": "TYPE_STRING", "dims": [1]},
                ],
                "output": [{"name": name, **logits} for name in (LOGITS, PROBABILITIES)],
            }
        )

    async def show_statistics(self, request: Request) -> Response:
        """Answer ``GET /v2/models/NAME/stats``, as Triton does, for the worker that answers."""
        self._check_model(request)
        counted = self.served.counted
        executions = {"count": counted.batches, "ns": round(1e9 * counted.seconds)}
        return JSONResponse(
            {
                "model_stats": [
                    {
                        "name": self.served.name,
                        "version": VERSION,
                        "inference_count": counted.images,
                        "execution_count": counted.batches,
                        "inference_stats": {"compute_infer": executions},
                    }
                ]
            }
        )

    async def show_model_ready(self, request: Request) -> Response:
        """Answer ``GET /v2/models/NAME/ready``."""
        self._check_model(request)
        return await self.show_ready(request)

    async def infer(self, request: Request) -> Response:
        """Answer ``POST /v2/models/NAME/infer``."""
        self._check_model(request)
        async with self.intake.body(request) as body:
            length = _json_length(request)
            parsed, sources = await run_in_threadpool(self._read, body, length)
            del body
            results = await self.served.run(request, sources)
        rows = []
        for index, result in enumerate(results):
            if isinstance(result, ImageError):
                raise Refusal(422, f"image {index}: {result}")
            rows.append(result.values)
        logits = np.stack(rows) if rows else np.zeros((0, self.served.model.num_classes), "f4")
        model = {"model_name": self.served.name, "model_version": VERSION}
        content, header = format_response(parsed, model, self._outputs(parsed, logits))
        headers = {} if header is None else {JSON_LENGTH: str(header)}
        media_type = "application/json" if header is None else "application/octet-stream"
        return Response(content, headers=headers, media_type=media_type)

    def _check_model(self, request: Request) -> None:
        name, version = request.path_params["name"], request.path_params.get("version", VERSION)
        if (name, version) != (self.served.name, VERSION):
            raise Refusal(
                404,
                f"the only model here is {self.served.name}, version {VERSION}; choose that one",
            )

    def _read(self, body: bytes, json_length: int | None) -> tuple[InferenceRequest, list[Source]]:
        """Parse a body and read its images."""
        if json_length == 0:  # raw binary data: the content of one image file
            return RAW_REQUEST, [body]
        parsed, binary = parse_request(body, json_length)
        self._check_outputs(parsed.outputs)
        (tensor,) = parsed.inputs
        if tensor.name == IMAGES and tensor.datatype in FLOATS:
            return parsed, list(read_floats(tensor, binary, self.input_shape))
        if (tensor.name, tensor.datatype) == (ENCODED, "BYTES"):
            return parsed, list(read_elements(tensor, binary))
        raise Refusal(
            400,
            f"the input is {tensor.name[:40]} ({tensor.datatype[:10]}); send {IMAGES} (FP32 or "
            f"FP16) or {ENCODED} (BYTES)",
        )

    def _check_outputs(self, outputs: list[RequestedOutput]) -> None:
        for output in outputs:
            if output.name not in (LOGITS, PROBABILITIES):
                raise Refusal(
                    400,
                    f"there is no output {output.name[:40]}; ask for {LOGITS} or {PROBABILITIES}",
                )

    def _outputs(self, parsed: InferenceRequest, logits: NDArray[np.float32]) -> list[Tensor]:
        """Return the outputs that a request asks for, or all of them."""
        values = {LOGITS: logits, PROBABILITIES: _softmax(logits)}
        wanted = parsed.outputs or [RequestedOutput(name=name) for name in values]
        tensors = []
        for output in wanted:
            is_binary = output.parameters.binary_data
            if is_binary is None:
                is_binary = parsed.parameters.binary_data_output
            content: NDArray[Any] = values[output.name]
            if output.parameters.classification:
                content = self._classify(content, output.parameters.classification)
            tensors.append(Tensor(output.name, content, is_binary))
        return tensors

    def _classify(self, values: NDArray[np.float32], count: int) -> NDArray[Any]:
        """Return the ``count`` highest values of each row as ``value:index:label``."""
        labels = self.served.model.labels
        best = np.argsort(-values, axis=1, kind="stable")[:, :count]
        texts = [
            [f"{row[i]:.6f}:{i}:{labels[i]}" for i in order]
            for row, order in zip(values, best, strict=True)
        ]
        return np.array(texts, object).reshape(best.shape)


def _json_length(request: Request) -> int | None:
    text = request.headers.get(JSON_LENGTH)
    if text is None:
        return None
    if not (text.isascii() and text.isdecimal() and len(text) < MAX_DIGITS):
        raise Refusal(400, f"the header {JSON_LENGTH} is not a number of bytes")
    return int(text)


def _softmax(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    shifted = np.exp(logits.astype(np.float64) - logits.max(axis=1, keepdims=True, initial=-np.inf))
    return np.asarray(shifted / shifted.sum(axis=1, keepdims=True), np.float32)
