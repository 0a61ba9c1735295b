"""The trace that a request belongs to, by the W3C's header ``traceparent``."""

import os
import re

from starlette.datastructures import Headers
from starlette.types import Scope

TRACE_ID = "trace_id"
"""Key of a scope under which the trace of a span is."""

ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
"""Environment variables of OpenTelemetry, of which one says where spans go."""

_TRACEPARENT = re.compile(
    r"(?!ff)[0-9a-f]{2}-(?!0{32})(?P<trace>[0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(-.*)?"
)


def exports_traces() -> bool:
    """Whether the environment asks for spans to be exported."""
    return any(os.environ.get(name) for name in ENDPOINTS)


def trace_id(scope: Scope) -> str:
    """Return the 32 digits of the trace of a request; empty if it belongs to none."""
    if TRACE_ID in scope:
        return str(scope[TRACE_ID])
    found = _TRACEPARENT.fullmatch(Headers(scope=scope).get("traceparent", "").strip())
    return found["trace"] if found else ""
