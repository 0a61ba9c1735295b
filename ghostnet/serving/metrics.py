"""Metrics for Prometheus: requests, errors, latency and batches."""

import os
import time
from collections.abc import Callable

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Histogram,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.multiprocess import MultiProcessCollector
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

SHARED_FOLDER = "PROMETHEUS_MULTIPROC_DIR"
"""The environment variable for the folder in which workers share their metrics."""

LATENCIES = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
"""Upper limits of the buckets, in seconds."""

BATCHES = (1, 2, 4, 8, 16, 32, 64, 128)
"""Upper limits of the buckets, in images."""

LEFT = 499
"""The status that proxies use for a client that disconnected before the response."""


class Metrics:
    """The metrics of a server."""

    def __init__(self) -> None:
        self._registry = registry = CollectorRegistry()
        self.requests = Counter(
            "ghostnet_requests", "Requests.", ("endpoint", "status"), registry=registry
        )
        self.errors = Counter(
            "ghostnet_errors",
            "Requests with a status of 400 or more.",
            ("endpoint",),
            registry=registry,
        )
        self.latency = Histogram(
            "ghostnet_request_seconds",
            "Time from the headers of a request to the end of the response.",
            ("endpoint",),
            buckets=LATENCIES,
            registry=registry,
        )
        self.batch = Histogram(
            "ghostnet_batch_images",
            "Images per call of the network.",
            buckets=BATCHES,
            registry=registry,
        )
        self.network = Histogram(
            "ghostnet_network_seconds",
            "Time of a call of the network.",
            buckets=LATENCIES,
            registry=registry,
        )
        if SHARED_FOLDER not in os.environ:
            ProcessCollector(registry=registry)

    def observe_batch(self, images: int, seconds: float) -> None:
        """Count a batch and its time in the network."""
        self.batch.observe(images)
        self.network.observe(seconds)

    def observe_request(self, endpoint: str, status: int, seconds: float) -> None:
        """Count a request and its time."""
        self.requests.labels(endpoint, str(status)).inc()
        self.latency.labels(endpoint).observe(seconds)
        if status >= 400:
            self.errors.labels(endpoint).inc()

    async def show(self, request: Request) -> Response:
        """Answer ``GET /metrics``, for all workers."""
        registry = self._registry
        if SHARED_FOLDER in os.environ:
            registry = CollectorRegistry()
            MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)


class MetricsPort:
    """Shows the metrics, and nothing else, to whoever comes in by a port of their own.

    Args:
        app: The application for other ports.
        metrics: What is shown.
        port: The port.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics, port: int) -> None:
        self.app = app
        self.port = port
        self._metrics = Starlette(routes=[Route("/metrics", metrics.show)])

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on a request by its port."""
        is_here = scope["type"] == "http" and scope["server"][1] == self.port
        await (self._metrics if is_here else self.app)(scope, receive, send)


class Observation:
    """Middleware that counts and times requests.

    Args:
        app: The application behind it.
        observe: Called with the endpoint, the status and the seconds of each request.
    """

    def __init__(self, app: ASGIApp, observe: Callable[[str, int, float], None]) -> None:
        self.app = app
        self.observe = observe

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on a request and observe the response."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        start, status = time.perf_counter(), 500

        async def watch(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self.app(scope, receive, watch)
        finally:
            self.observe(_endpoint(scope), status, time.perf_counter() - start)


def _endpoint(scope: Scope) -> str:
    """Return the name of the function that answered, which keeps label cardinality low."""
    return getattr(scope.get("endpoint"), "__name__", "other")
