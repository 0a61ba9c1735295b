"""The Open Inference Protocol's service: what all its methods have in common."""

import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractContextManager, AsyncExitStack, nullcontext
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import grpc
from starlette.concurrency import run_in_threadpool
from starlette.types import Scope

from ghostnet.serving.access import Access
from ghostnet.serving.access_log import REQUEST_ID, request_id, write_line
from ghostnet.serving.authorization import is_authorized
from ghostnet.serving.intake import Intake
from ghostnet.serving.memory import LARGE
from ghostnet.serving.metrics import LEFT, Metrics
from ghostnet.serving.refusal import Refusal
from ghostnet.serving.rpc.arrivals import Arrivals
from ghostnet.serving.rpc.messages import MESSAGES, SERVICE
from ghostnet.serving.rpc.methods import Method
from ghostnet.serving.rpc.wire import parse
from ghostnet.system.memory import return_freed_memory

if TYPE_CHECKING:
    from ghostnet.serving.tracing import Spans

OPEN_METHODS = frozenset({"ServerLive", "ServerReady"})
"""Methods that need no token; they reveal no data."""

COPIES = 3
"""How often the content of a request is held: as it came, parsed, and as the images in it."""

RETURN_SECONDS = 5
"""Time between two times that memory is given back, for which other threads have to wait."""

OK = 200

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


class Service:
    """Answers requests: reads and parses them within limits, and counts and logs them.

    Args:
        methods: What clients may call, by name.
        intake: What counts the messages in memory.
        metrics: What counts the requests.
        access: Who may use it.
        spans: What traces the requests; None for nothing.
    """

    def __init__(
        self,
        methods: Mapping[str, Method],
        intake: Intake,
        metrics: Metrics,
        access: Access,
        spans: "Spans | None" = None,
    ) -> None:
        self.metrics = metrics
        self.access = access
        self.spans = spans
        self._arrivals = Arrivals(intake)
        self._returned = 0.0
        self._methods = methods

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
        async def answer(_: AsyncIterator[bytes], context: Any) -> Any:
            start, status = time.perf_counter(), LEFT  # the client, or its deadline is over
            scope = _scope(name, context)
            identity = request_id(scope)
            context.set_trailing_metadata(((REQUEST_ID.lower(), identity),))
            with self._span(name, scope) as note:
                try:
                    status, answer = await self._try_to_answer(name, context)
                finally:
                    note(status)
                    seconds = time.perf_counter() - start
                    self.metrics.observe_request(name, status, seconds)
                    write_line(self.access.log, scope, status, seconds, identity)
            if status == OK:
                return answer
            # An aborted call would keep its traceback, and with this the message, in memory.
            context.set_code(CODES[status])
            context.set_details(answer)
            return None

        return answer

    def _span(self, name: str, scope: Scope) -> AbstractContextManager[Callable[[int], None]]:
        if self.spans and name not in OPEN_METHODS:
            return self.spans.span(scope, route=scope["path"])
        return nullcontext(lambda status: None)

    async def _try_to_answer(self, name: str, context: Any) -> tuple[int, Any]:
        """Return a status, and the response or what is wrong."""
        try:
            return OK, await self._answer(name, context)
        except Refusal as refusal:
            return refusal.status, str(refusal)
        except Exception:
            logging.getLogger(__name__).exception("a request failed")
            return 500, "the server failed on this request; its log says why"

    async def _answer(self, name: str, context: Any) -> Any:
        method, response = self._methods[name], MESSAGES[f"{name}Response"]
        if name in OPEN_METHODS:  # at once, whatever else arrives
            return response(**await method(None))
        self._authorize(context)
        async with AsyncExitStack() as memory:
            content = await self._arrivals.read(context, COPIES, memory)
            if len(content) >= LARGE:
                await self._return_pieces()
            message = await run_in_threadpool(parse, content, MESSAGES[f"{name}Request"])
            del content
            return response(**await method(message))

    async def _return_pieces(self) -> None:
        """Give back the small blocks in which large messages arrived, now and then."""
        now = time.monotonic()
        if now - self._returned > RETURN_SECONDS:
            self._returned = now
            await run_in_threadpool(return_freed_memory)

    def _authorize(self, context: Any) -> None:
        token = self.access.token
        given = dict(context.invocation_metadata()).get("authorization", "")
        if token is not None and not is_authorized(given, token):
            raise Refusal(401, "expected the metadata authorization: Bearer TOKEN")


def _scope(name: str, context: Any) -> Scope:
    """Describe a request as one of HTTP, which it is."""
    metadata = context.invocation_metadata()
    headers = [(key.encode(), text.encode()) for key, text in metadata if isinstance(text, str)]
    security = context.auth_context().get("transport_security_type", ())
    host = unquote(context.peer()).partition(":")[2].rpartition(":")[0].strip("[]")
    return {
        "type": "http",
        "method": "POST",
        "path": f"/{SERVICE}/{name}",
        "scheme": "https" if b"ssl" in security else "http",
        "client": (host, 0),
        "headers": headers,
    }
