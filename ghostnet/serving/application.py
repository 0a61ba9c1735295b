"""The ASGI application: which function answers each address."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from ghostnet import kernels
from ghostnet.model import Model
from ghostnet.serving import pages
from ghostnet.serving.access import Access
from ghostnet.serving.access_log import REQUEST_ID, AccessLog
from ghostnet.serving.authorization import Authorization
from ghostnet.serving.inference import JSON_LENGTH, Inference
from ghostnet.serving.intake import Intake
from ghostnet.serving.limits import Limits
from ghostnet.serving.metrics import LEFT, Metrics, Observation
from ghostnet.serving.predict_endpoint import PredictEndpoint
from ghostnet.serving.refusal import Refusal, refuse
from ghostnet.serving.served_model import ServedModel


def create_application(
    model: Model, limits: Limits, access: Access, *, threads: int | None = None
) -> Starlette:
    """Make the ASGI application that serves a model.

    Args:
        model: As `ghostnet.hub.open_model` returns it.
        limits: How much the server takes on at once.
        access: Who may use it.
        threads: Threads of the network; by default, one for each processor.

    Raises:
        KernelError: The fused kernels are not available.
    """
    if threads is not None:
        kernels.set_threads(threads)
    metrics = Metrics()
    served = ServedModel(model, limits, metrics.observe_batch)

    @asynccontextmanager
    async def lifespan(application: Starlette) -> AsyncIterator[None]:
        served.start()
        yield
        served.stop()

    middleware = [
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
    return Starlette(
        routes=_routes(served, Intake(limits), metrics),
        middleware=middleware,
        exception_handlers={
            Refusal: refuse,
            HTTPException: _show_status,
            ClientDisconnect: _note_leaving,
            Exception: _show_failure,
        },
        lifespan=lifespan,
    )


def _routes(served: ServedModel, intake: Intake, metrics: Metrics) -> list[BaseRoute]:
    inference = Inference(served, intake)
    models = ("/v2/models/{name}", "/v2/models/{name}/versions/{version}")
    return [
        Route("/predict", PredictEndpoint(served, intake).predict, methods=["POST"]),
        Route("/healthz", inference.show_live),
        Route("/readyz", inference.show_ready),
        Route("/metrics", metrics.show),
        Route("/v2", inference.show_server),
        Route("/v2/health/live", inference.show_live),
        Route("/v2/health/ready", inference.show_ready),
        *(Route(path, inference.show_model) for path in models),
        *(Route(f"{path}/ready", inference.show_model_ready) for path in models),
        *(Route(f"{path}/config", inference.show_configuration) for path in models),
        *(Route(f"{path}/stats", inference.show_statistics) for path in models),
        *(Route(f"{path}/infer", inference.infer, methods=["POST"]) for path in models),
        *pages.routes(),
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
