"""Authorization: who has the token may use the server."""

import hmac
import os
from pathlib import Path

from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from ghostnet.errors import ServingError
from ghostnet.files import raising

VARIABLE = "GHOSTNET_TOKEN"
"""The environment variable that holds the token."""

OPEN_PATHS = frozenset(
    {"/", "/openapi.json", "/healthz", "/readyz", "/v2/health/live", "/v2/health/ready"}
)
"""Addresses that need no token, besides the pages under ``/docs``; they reveal no data."""


def read_token(file: Path | None) -> str | None:
    """Return the token in a file or, without a file, in the environment; None if none is set.

    Raises:
        ServingError: The file cannot be read, or the token is empty or not ASCII.
    """
    if file is None:
        token = os.environ.get(VARIABLE)
        token = token if token is None else token.strip()
        source = VARIABLE
    else:
        with raising(
            ServingError, f"{file}: cannot be read", "name a file that contains the token"
        ):
            token = file.read_text("utf-8", errors="replace").strip()
        source = str(file)
    if token is not None and not (token and token.isascii() and token.isprintable()):
        raise ServingError(f"{source}: the token must consist of printable ASCII characters")
    return token


def is_authorized(given: str, token: str) -> bool:
    """Return whether a header ``Authorization`` has the token."""
    scheme, _, word = given.partition(" ")
    normalized = f"{scheme.capitalize()} {word.strip()}".encode()
    return hmac.compare_digest(normalized, f"Bearer {token}".encode())


class Authorization:
    """Middleware that answers 401 to requests without the bearer token.

    Args:
        app: The application behind it.
        token: The token.
    """

    def __init__(self, app: ASGIApp, token: str) -> None:
        self.app = app
        self._token = token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on an authorized request."""
        if scope["type"] != "http" or self._allows(scope):
            await self.app(scope, receive, send)
            return
        response = JSONResponse(
            {"error": "expected the header Authorization: Bearer TOKEN with the server's token"},
            401,
            {"WWW-Authenticate": "Bearer"},
        )
        await response(scope, receive, send)

    def _allows(self, scope: Scope) -> bool:
        path = scope["path"]
        if path in OPEN_PATHS or path.startswith("/docs"):
            return True
        return is_authorized(Headers(scope=scope).get("authorization", ""), self._token)
