"""Requests that are refused, with a status and a sentence."""

from collections.abc import Mapping

from starlette.requests import Request
from starlette.responses import JSONResponse

RETRY_SECONDS = 1
"""When a client may try again after the server was too busy."""


class Refusal(Exception):
    """A request that is refused.

    Args:
        status: HTTP status code.
        sentence: What is wrong, and what to do.
        headers: Further headers of the response.
    """

    def __init__(
        self, status: int, sentence: str, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(sentence)
        self.status = status
        self.headers = headers


def busy(what: str) -> Refusal:
    """Make the refusal of a server that is too busy.

    Args:
        what: What the server has too many of.
    """
    return Refusal(
        503, f"the server has too many {what}; try again", {"Retry-After": str(RETRY_SECONDS)}
    )


def refuse(request: Request, refusal: Exception) -> JSONResponse:
    """Answer a request that raised a `Refusal`."""
    assert isinstance(refusal, Refusal)
    return JSONResponse({"error": str(refusal)}, refusal.status, refusal.headers)
