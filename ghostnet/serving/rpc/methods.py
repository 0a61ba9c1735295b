"""The methods of the Open Inference Protocol's service."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from starlette.concurrency import run_in_threadpool

from ghostnet.serving.batcher import Batcher, Source
from ghostnet.serving.description import (
    model_configuration,
    model_metadata,
    repository_index,
    server_metadata,
    statistics,
)
from ghostnet.serving.inference import outputs, read_sources
from ghostnet.serving.protocol import InferenceRequest
from ghostnet.serving.repository import VERSION, Repository
from ghostnet.serving.rpc.tensors import format_response, read_request
from ghostnet.serving.served_model import ServedModel

Method = Callable[[Any], Awaitable[dict[str, Any]]]
"""Maps a request to the fields of its response."""


class Methods:
    """The methods.

    Args:
        repository: The models.
        batcher: What runs the images.
    """

    def __init__(self, repository: Repository, batcher: Batcher) -> None:
        self.repository = repository
        self.batcher = batcher

    def by_name(self, *, controls_models: bool) -> Mapping[str, Method]:
        """Return the methods that clients may call.

        Args:
            controls_models: Whether clients may load and unload models.
        """
        methods = {
            "ServerLive": self._server_live,
            "ServerReady": self._server_ready,
            "ServerMetadata": self._server_metadata,
            "ModelReady": self._model_ready,
            "ModelMetadata": self._model_metadata,
            "ModelConfig": self._model_config,
            "ModelStatistics": self._model_statistics,
            "ModelInfer": self._model_infer,
        }
        if controls_models:
            methods |= {
                "RepositoryIndex": self._repository_index,
                "RepositoryModelLoad": self._repository_model_load,
                "RepositoryModelUnload": self._repository_model_unload,
            }
        return methods

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

    async def _model_infer(self, message: Any) -> dict[str, Any]:
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
