"""The ASGI application: which function answers each address."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from ghostnet.serving import pages
from ghostnet.serving.access import Access
from ghostnet.serving.access_log import REQUEST_ID, AccessLog
from ghostnet.serving.authorization import Authorization
from ghostnet.serving.batcher import Batcher
from ghostnet.serving.image_endpoints import ImageEndpoints
from ghostnet.serving.inference_endpoints import JSON_LENGTH, InferenceEndpoints
from ghostnet.serving.intake import Intake
from ghostnet.serving.limits import Limits
from ghostnet.serving.memory import MemoryBudget
from ghostnet.serving.metrics import LEFT, Metrics, Observation
from ghostnet.serving.redirects import RelativeRedirects
from ghostnet.serving.refusal import Refusal, refuse
from ghostnet.serving.repository import Repository
from ghostnet.serving.repository_endpoints import RepositoryEndpoints
from ghostnet.serving.rpc.address import Address

if TYPE_CHECKING:
    from ghostnet.serving.tracing import Spans


def create_application(
    repository: Repository,
    limits: Limits,
    access: Access,
    metrics: Metrics,
    rpc: Address | None = None,
    spans: "Spans | None" = None,
) -> Starlette:
    """Make the ASGI application that serves models; call this on the event loop.

    Args:
        repository: The models.
        limits: How much the server takes on at once.
        access: Who may use it.
        metrics: What counts its work.
        rpc: Where to serve gRPC, too; None for nowhere.
        spans: What traces the requests of gRPC, and is closed at the end.
    """
    batcher = Batcher(limits, MemoryBudget(limits.work))
    intake = Intake(limits)

    @asynccontextmanager
    async def lifespan(application: Starlette) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            stack.callback(batcher.close)
            if spans:
                stack.push_async_callback(asyncio.to_thread, spans.close)
            if rpc:
                from ghostnet.serving.rpc.methods import Methods
                from ghostnet.serving.rpc.server import running
                from ghostnet.serving.rpc.service import Service

                methods = Methods(repository, batcher).by_name(
                    controls_models=access.controls_models
                )
                service = Service(methods, intake, metrics, access, spans)
                await stack.enter_async_context(running(service, rpc, limits))
            yield

    middleware = [
        Middleware(RelativeRedirects),
        Middleware(AccessLog, log=access.log),
        Middleware(Observation, observe=metrics.observe_request),
    ]
    if access.origins:  # asked before the token, which browsers do not send with the question
        middleware.append(
            Middleware(
                CORSMiddleware,
                allow_origins=access.origins,
                allow_methods=["GET", "POST"],
                allow_headers=["*"],
                expose_headers=[JSON_LENGTH, REQUEST_ID, "Retry-After"],
            )
        )
    if access.token is not None:
        middleware.append(Middleware(Authorization, token=access.token))
    routes = [*_routes(repository, batcher, intake), Route("/metrics", metrics.show)]
    if access.controls_models:
        routes += _repository_routes(RepositoryEndpoints(repository))
    return Starlette(
        routes=[*routes, *pages.routes()],
        middleware=middleware,
        exception_handlers={
            Refusal: refuse,
            HTTPException: _show_status,
            ClientDisconnect: _note_leaving,
            Exception: _show_failure,
        },
        lifespan=lifespan,
    )


def _routes(repository: Repository, batcher: Batcher, intake: Intake) -> list[BaseRoute]:
    inference = InferenceEndpoints(repository, batcher, intake)
    images = ImageEndpoints(repository, batcher, intake)
    models = ("/v2/models/{name}", "/v2/models/{name}/versions/{version}")
    return [
        Route("/predict", images.predict, methods=["POST"]),
        Route("/embed", images.embed, methods=["POST"]),
        Route("/healthz", inference.show_live),
        Route("/readyz", inference.show_ready),
        Route("/v2", inference.show_server),
        Route("/v2/health/live", inference.show_live),
        Route("/v2/health/ready", inference.show_ready),
        Route("/v2/models/stats", inference.show_all_statistics),
        *(Route(path, inference.show_model) for path in models),
        *(Route(f"{path}/ready", inference.show_model_ready) for path in models),
        *(Route(f"{path}/config", inference.show_configuration) for path in models),
        *(Route(f"{path}/stats", inference.show_statistics) for path in models),
        *(Route(f"{path}/infer", inference.infer, methods=["POST"]) for path in models),
    ]


def _repository_routes(endpoints: RepositoryEndpoints) -> list[BaseRoute]:
    model = "/v2/repository/models/{name}"
    return [
        Route("/v2/repository/index", endpoints.show_index, methods=["POST"]),
        Route(f"{model}/load", endpoints.load, methods=["POST"]),
        Route(f"{model}/unload", endpoints.unload, methods=["POST"]),
    ]


async def _show_status(request: Request, error: Exception) -> Response:
    """Answer a request with an unknown address or method."""
    assert isinstance(error, HTTPException)
    return JSONResponse({"error": error.detail}, error.status_code, error.headers)


async def _note_leaving(request: Request, error: Exception) -> Response:
    """End a request whose client has disconnected."""
    return Response(status_code=LEFT)


async def _show_failure(request: Request, error: Exception) -> Response:
    """Answer a request that failed in the server; the log has the traceback."""
    return JSONResponse({"error": "the server failed on this request; its log says why"}, 500)
