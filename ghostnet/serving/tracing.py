"""Spans of requests, which OpenTelemetry exports; this needs the extra ``otel``."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from opentelemetry import propagate
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import SpanKind, StatusCode, format_trace_id
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

import ghostnet
from ghostnet.serving.trace_context import TRACE_ID

SERVICE_NAME = "OTEL_SERVICE_NAME"
"""The environment variable for what spans call the server; ``ghostnet`` by default."""

QUIET = frozenset({"/healthz", "/readyz", "/v2/health/live", "/v2/health/ready", "/metrics"})
"""Addresses that are asked every few seconds, which has no span."""


class Spans:
    """Makes a span of each request, in the trace of a client that names one.

    OpenTelemetry's environment variables say which spans go where.
    """

    def __init__(self) -> None:
        os.environ.setdefault(SERVICE_NAME, "ghostnet")
        self._provider = TracerProvider()
        self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        self._tracer = self._provider.get_tracer("ghostnet", ghostnet.__version__)

    @contextmanager
    def span(self, scope: Scope, route: str | None = None) -> Iterator[Callable[[int], None]]:
        """Make a span that ends with the block; yields what notes the status of the response.

        Args:
            scope: Describes the request, and gets its trace.
            route: What serves it; None if the scope gets this before the end.
        """
        context = propagate.extract(Headers(scope=scope))
        name = scope["method"]
        with self._tracer.start_as_current_span(name, context, SpanKind.SERVER) as span:
            scope[TRACE_ID] = format_trace_id(span.get_span_context().trace_id)
            span.set_attribute("http.request.method", scope["method"])
            span.set_attribute("url.path", scope["path"])
            span.set_attribute("url.scheme", scope["scheme"])

            def note(status: int) -> None:
                span.set_attribute("http.response.status_code", status)
                if status >= 500:
                    span.set_status(StatusCode.ERROR)

            yield note
            if route := route or getattr(scope.get("route"), "path", None):
                span.set_attribute("http.route", route)
                span.update_name(f"{scope['method']} {route}")

    def close(self) -> None:
        """Export what is left."""
        self._provider.shutdown()


class Tracing:
    """Middleware that makes spans of requests, but for those of health and metrics.

    Args:
        app: The application behind it.
        spans: What makes them.
    """

    def __init__(self, app: ASGIApp, spans: Spans) -> None:
        self.app = app
        self.spans = spans

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on a request within a span."""
        if scope["type"] != "http" or scope["path"] in QUIET:
            await self.app(scope, receive, send)
            return
        with self.spans.span(scope) as note:

            async def watch(message: Message) -> None:
                if message["type"] == "http.response.start":
                    note(message["status"])
                await send(message)

            await self.app(scope, receive, watch)
