"""Spans of requests, which OpenTelemetry exports; this needs the extra ``otel``."""

import asyncio
import os

from opentelemetry import propagate
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Span, SpanKind, StatusCode, format_trace_id
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

import ghostnet
from ghostnet.serving.trace_context import TRACE_ID

SERVICE_NAME = "OTEL_SERVICE_NAME"
"""The environment variable for what spans call the server; ``ghostnet`` by default."""

QUIET = frozenset({"/healthz", "/readyz", "/v2/health/live", "/v2/health/ready", "/metrics"})
"""Addresses that are asked every few seconds, which has no span."""


class Tracing:
    """Middleware that makes a span of each request, in the trace of a client that names one.

    OpenTelemetry's environment variables say which spans go where.

    Args:
        app: The application behind it.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        os.environ.setdefault(SERVICE_NAME, "ghostnet")
        self._provider = TracerProvider()
        self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        self._tracer = self._provider.get_tracer("ghostnet", ghostnet.__version__)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on a request within a span; at the end, export what is left."""
        if scope["type"] == "lifespan":
            await self._export_at_end(scope, receive, send)
        elif scope["type"] != "http" or scope["path"] in QUIET:
            await self.app(scope, receive, send)
        else:
            context = propagate.extract(Headers(scope=scope))
            name = scope["method"]
            with self._tracer.start_as_current_span(name, context, SpanKind.SERVER) as span:
                await self._trace(span, scope, receive, send)

    async def _trace(self, span: Span, scope: Scope, receive: Receive, send: Send) -> None:
        scope[TRACE_ID] = format_trace_id(span.get_span_context().trace_id)
        span.set_attribute("http.request.method", scope["method"])
        span.set_attribute("url.path", scope["path"])
        span.set_attribute("url.scheme", scope["scheme"])

        async def watch(message: Message) -> None:
            if message["type"] == "http.response.start":
                span.set_attribute("http.response.status_code", message["status"])
                if message["status"] >= 500:
                    span.set_status(StatusCode.ERROR)
            await send(message)

        await self.app(scope, receive, watch)
        if route := scope.get("route"):
            span.set_attribute("http.route", route.path)
            span.update_name(f"{scope['method']} {route.path}")

    async def _export_at_end(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def watch(message: Message) -> None:
            if message["type"] == "lifespan.shutdown.complete":
                await asyncio.to_thread(self._provider.shutdown)
            await send(message)

        await self.app(scope, receive, watch)
