"""The Open Inference Protocol's service: each method, and what all methods have in common."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import grpc
from starlette.concurrency import run_in_threadpool

from ghostnet.serving.access import Access
from ghostnet.serving.authorization import is_authorized
from ghostnet.serving.batcher import Batcher, Source
from ghostnet.serving.description import (
    model_configuration,
    model_metadata,
    repository_index,
    server_metadata,
    statistics,
)
from ghostnet.serving.inference import outputs, read_sources
from ghostnet.serving.intake import Intake
from ghostnet.serving.metrics import LEFT, Metrics
from ghostnet.serving.protocol import InferenceRequest
from ghostnet.serving.refusal import Refusal
from ghostnet.serving.repository import VERSION, Repository
from ghostnet.serving.rpc.messages import MESSAGES, SERVICE
from ghostnet.serving.rpc.tensors import format_response, read_request
from ghostnet.serving.rpc.wire import parse
from ghostnet.serving.served_model import ServedModel

OPEN_METHODS = frozenset({"ServerLive", "ServerReady"})
"""Methods that need no token; they reveal no data."""

COPIES = 3
"""How often the content of a request is held: as it came, parsed, and as the images in it."""

ARRIVING = 1 / 2
"""Share of the memory for bodies that messages on their way may take; others wait."""

CODES = {
    400: grpc.StatusCode.INVALID_ARGUMENT,
    401: grpc.StatusCode.UNAUTHENTICATED,
    404: grpc.StatusCode.NOT_FOUND,
    408: grpc.StatusCode.DEADLINE_EXCEEDED,
    413: grpc.StatusCode.RESOURCE_EXHAUSTED,
    422: grpc.StatusCode.INVALID_ARGUMENT,
    500: grpc.StatusCode.INTERNAL,
    503: grpc.StatusCode.UNAVAILABLE,
}
"""What gRPC calls the statuses of HTTP, which the metrics count."""

Method = Callable[[Any], Awaitable[dict[str, Any] | Any]]


class Service:
    """The methods.

    Args:
        repository: The models.
        batcher: What runs the images.
        intake: What counts the messages in memory.
        metrics: What counts the requests.
        access: Who may use it.
    """

    def __init__(
        self,
        repository: Repository,
        batcher: Batcher,
        intake: Intake,
        metrics: Metrics,
        access: Access,
    ) -> None:
        self.repository = repository
        self.batcher = batcher
        self.intake = intake
        self.metrics = metrics
        self.access = access
        limits = intake.limits
        self._turns = asyncio.Semaphore(max(1, int(limits.bodies * ARRIVING / limits.body)))
        self._methods: dict[str, Method] = {
            "ServerLive": self._server_live,
            "ServerReady": self._server_ready,
            "ServerMetadata": self._server_metadata,
            "ModelReady": self._model_ready,
            "ModelMetadata": self._model_metadata,
            "ModelConfig": self._model_config,
            "ModelStatistics": self._model_statistics,
            "ModelInfer": self._model_infer,
        }
        if access.controls_models:
            self._methods |= {
                "RepositoryIndex": self._repository_index,
                "RepositoryModelLoad": self._repository_model_load,
                "RepositoryModelUnload": self._repository_model_unload,
            }

    @property
    def handler(self) -> grpc.GenericRpcHandler:
        """What a server of gRPC calls."""
        # A stream of one message is a message: it is read when there is room for it.
        return grpc.method_handlers_generic_handler(
            SERVICE,
            {
                name: grpc.stream_unary_rpc_method_handler(
                    self._answering(name),
                    response_serializer=MESSAGES[f"{name}Response"].SerializeToString,
                )
                for name in self._methods
            },
        )

    def _answering(self, name: str) -> Callable[[AsyncIterator[bytes], Any], Awaitable[Any]]:
        async def answer(messages: AsyncIterator[bytes], context: Any) -> Any:
            start, status = time.perf_counter(), 500
            try:
                response = await self._answer(name, messages, context)
                status = 200
                return response
            except Refusal as refusal:
                status = refusal.status
                await context.abort(CODES[status], str(refusal))
            except asyncio.CancelledError:  # the client left, or its deadline is over
                status = LEFT
                raise
            except Exception:
                logging.getLogger(__name__).exception("a request failed")
                sentence = "the server failed on this request; its log says why"
                await context.abort(CODES[status], sentence)
            finally:
                self.metrics.observe_request(name, status, time.perf_counter() - start)

        return answer

    async def _answer(self, name: str, messages: AsyncIterator[bytes], context: Any) -> Any:
        method, response = self._methods[name], MESSAGES[f"{name}Response"]
        if name in OPEN_METHODS:  # at once, whatever else arrives
            return response(**await method(None))
        self._authorize(context)
        content = await self._arrival(messages)
        with self.intake.held(COPIES * len(content)):
            message = await run_in_threadpool(parse, content, MESSAGES[f"{name}Request"])
            answer = await method(message)
        return response(**answer) if isinstance(answer, dict) else answer

    def _authorize(self, context: Any) -> None:
        token = self.access.token
        given = dict(context.invocation_metadata()).get("authorization", "")
        if token is not None and not is_authorized(given, token):
            raise Refusal(401, "expected the metadata authorization: Bearer TOKEN")

    async def _arrival(self, messages: AsyncIterator[bytes]) -> bytes:
        """Read the message of a request, which may be as large as any while it arrives."""
        arrival = self.intake.limits.arrival
        async with self._turns:
            try:
                with self.intake.held(self.intake.limits.body):
                    return await asyncio.wait_for(anext(aiter(messages)), arrival)
            except asyncio.TimeoutError as error:
                raise Refusal(
                    408, f"the request did not arrive within {arrival:g} s; send it faster"
                ) from error
            except StopAsyncIteration as error:
                raise Refusal(400, "the request has no message; send one") from error

    # The methods ------------------------------------------------------------------------------

    async def _server_live(self, message: Any) -> dict[str, Any]:
        return {"live": True}

    async def _server_ready(self, message: Any) -> dict[str, Any]:
        return {"ready": self.repository.is_ready}

    async def _server_metadata(self, message: Any) -> dict[str, Any]:
        return server_metadata()

    async def _model_ready(self, message: Any) -> dict[str, Any]:
        ready = [(model.name, VERSION) for model in self.repository.loaded]
        return {"ready": (message.name, message.version or VERSION) in ready}

    async def _model_metadata(self, message: Any) -> dict[str, Any]:
        return model_metadata(self._model(message))

    async def _model_config(self, message: Any) -> dict[str, Any]:
        most_images = self.batcher.limits.queue
        return {"config": model_configuration(self._model(message), most_images)}

    async def _model_statistics(self, message: Any) -> dict[str, Any]:
        return statistics([self._model(message)] if message.name else self.repository.loaded)

    async def _model_infer(self, message: Any) -> Any:
        model = self.repository.model(message.model_name, message.model_version or VERSION)
        request, sources = await run_in_threadpool(_read, model, message)
        results = await self.batcher.run(model, sources)
        head = {"model_name": model.name, "model_version": VERSION}
        return format_response(request, head, outputs(model, request, results))

    async def _repository_index(self, message: Any) -> dict[str, Any]:
        return {"models": repository_index(self.repository)}

    async def _repository_model_load(self, message: Any) -> dict[str, Any]:
        await self.repository.load(message.model_name)
        return {}

    async def _repository_model_unload(self, message: Any) -> dict[str, Any]:
        await self.repository.unload(message.model_name)
        return {}

    def _model(self, message: Any) -> ServedModel:
        return self.repository.model(message.name, message.version or VERSION)


def _read(model: ServedModel, message: Any) -> tuple[InferenceRequest, list[Source]]:
    request, binary = read_request(message)
    return request, read_sources(model, request, binary)
