"""The endpoints of the Open Inference Protocol, under ``/v2``."""

import asyncio

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from ghostnet.serving.batcher import Batcher, Source
from ghostnet.serving.departure import unless_left
from ghostnet.serving.description import (
    model_configuration,
    model_metadata,
    server_metadata,
    statistics,
)
from ghostnet.serving.inference import outputs, read_sources
from ghostnet.serving.intake import Intake
from ghostnet.serving.protocol import (
    ENCODED,
    InferenceRequest,
    Input,
    format_response,
    parse_request,
    parsing_bytes,
    split_body,
)
from ghostnet.serving.refusal import Refusal
from ghostnet.serving.repository import VERSION, Repository
from ghostnet.serving.served_model import ServedModel

JSON_LENGTH = "Inference-Header-Content-Length"
"""The header of requests and responses that end in binary data."""

RAW_REQUEST = InferenceRequest(inputs=[Input(name=ENCODED, datatype="BYTES", shape=[1])])
"""What a request without JSON asks for."""

COPIES = 2
"""How often the content of a request is held: as its body, and as the images in it."""

MAX_DIGITS = 16
"""Digits of the longest number in a header."""


class InferenceEndpoints:
    """The endpoints.

    Args:
        repository: The models.
        batcher: What runs the images.
        intake: What reads the bodies.
    """

    def __init__(self, repository: Repository, batcher: Batcher, intake: Intake) -> None:
        self.repository = repository
        self.batcher = batcher
        self.intake = intake
        self._parsing = asyncio.Lock()  # a parser holds the interpreter; one, for long enough

    async def show_server(self, request: Request) -> Response:
        """Answer ``GET /v2``."""
        return JSONResponse(server_metadata())

    async def show_live(self, request: Request) -> Response:
        """Answer ``GET /v2/health/live``."""
        return JSONResponse({"live": True})

    async def show_ready(self, request: Request) -> Response:
        """Answer ``GET /v2/health/ready``."""
        return _readiness(self.repository.is_ready)

    async def show_model(self, request: Request) -> Response:
        """Answer ``GET /v2/models/NAME``."""
        return JSONResponse(model_metadata(self._model(request)))

    async def show_model_ready(self, request: Request) -> Response:
        """Answer ``GET /v2/models/NAME/ready``."""
        return _readiness(self.repository.has(*_name_and_version(request)))

    async def show_configuration(self, request: Request) -> Response:
        """Answer ``GET /v2/models/NAME/config``, as Triton does."""
        most_images = self.batcher.limits.queue
        return JSONResponse(model_configuration(self._model(request), most_images))

    async def show_statistics(self, request: Request) -> Response:
        """Answer ``GET /v2/models/NAME/stats``, as Triton does, for the worker that answers."""
        return JSONResponse(statistics([self._model(request)]))

    async def show_all_statistics(self, request: Request) -> Response:
        """Answer ``GET /v2/models/stats``, as Triton does, for the worker that answers."""
        return JSONResponse(statistics(self.repository.loaded))

    async def infer(self, request: Request) -> Response:
        """Answer ``POST /v2/models/NAME/infer``."""
        model = self._model(request)
        length = _json_length(request)
        async with self.intake.body(request, COPIES) as body:
            async with self._parsing:
                parsed, sources = await run_in_threadpool(self._read, model, body, length)
            results = await unless_left(request, self.batcher.run(model, sources))
        head = {"model_name": model.name, "model_version": VERSION}
        content, header = format_response(parsed, head, outputs(model, parsed, results))
        headers = {} if header is None else {JSON_LENGTH: str(header)}
        media_type = "application/json" if header is None else "application/octet-stream"
        return Response(content, headers=headers, media_type=media_type)

    def _read(
        self, model: ServedModel, body: bytearray, json_length: int | None
    ) -> tuple[InferenceRequest, list[Source]]:
        """Parse a body and read its images; a body of JSON alone is empty afterwards."""
        if json_length == 0:  # raw binary data: the content of one image file
            return RAW_REQUEST, [body]
        text, binary = split_body(body, json_length)
        with self.batcher.memory.share(parsing_bytes(text), "this JSON"):
            parsed = parse_request(text)
            sources = read_sources(model, parsed, binary)
            text.clear()
            parsed.inputs.clear()  # its lists are large
        return parsed, sources

    def _model(self, request: Request) -> ServedModel:
        return self.repository.model(*_name_and_version(request))


def _name_and_version(request: Request) -> tuple[str, str]:
    return request.path_params["name"], request.path_params.get("version", VERSION)


def _readiness(is_ready: bool) -> Response:
    return JSONResponse({"ready": is_ready}, 200 if is_ready else 503)


def _json_length(request: Request) -> int | None:
    text = request.headers.get(JSON_LENGTH)
    if text is None:
        return None
    if not (text.isascii() and text.isdecimal() and len(text) < MAX_DIGITS):
        raise Refusal(400, f"the header {JSON_LENGTH} is not a number of bytes")
    return int(text)
