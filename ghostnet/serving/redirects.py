"""Redirects that hold behind any proxy."""

from urllib.parse import quote

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send


class RelativeRedirects:
    """Middleware that makes redirects relative.

    A redirect here adds or removes the slash at the end of an address. A whole address would lose
    the name, the scheme and the prefix under which a proxy in front knows the server.

    Args:
        app: The application behind it.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on a request, and make the redirect that answers it relative."""

        async def shorten(message: Message) -> None:
            if message["type"] == "http.response.start" and 300 <= message["status"] < 400:
                headers = MutableHeaders(scope=message)
                if "location" in headers:
                    headers["location"] = _other_form(scope)
            await send(message)

        await self.app(scope, receive, shorten)


def _other_form(scope: Scope) -> str:
    """Return the address of a request with or without the slash at its end, relative to it."""
    name = quote(scope["path"].rstrip("/").rpartition("/")[2], safe="")
    path = f"../{name}" if scope["path"].endswith("/") else f"{name}/"
    query = scope["query_string"].decode("latin-1")
    return f"{path}?{query}" if query else path
