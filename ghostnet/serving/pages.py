"""Pages for a browser: one to drop an image on, and the description of the API."""

from functools import cache
from importlib.resources import files
from typing import Any

import yaml
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles
from swagger_ui_bundle import swagger_ui_path

import ghostnet

HEADERS = {
    "Content-Security-Policy": "default-src 'none'; connect-src 'self'; img-src blob:; "
    "script-src 'unsafe-inline'; style-src 'unsafe-inline'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
}
"""The page loads nothing from other hosts and cannot be shown in a frame."""

INITIALIZER = """window.ui = SwaggerUIBundle({
  url: "../openapi.json",
  dom_id: "#swagger-ui",
  presets: [SwaggerUIBundle.presets.apis],
  validatorUrl: null,
});
"""
"""Starts Swagger UI with the description of this server."""


@cache
def _page() -> str:
    return files(__package__).joinpath("page.html").read_text("utf-8")


@cache
def _description() -> dict[str, Any]:
    description: dict[str, Any] = yaml.safe_load(
        files(__package__).joinpath("openapi.yaml").read_text("utf-8")
    )
    description["info"]["version"] = ghostnet.__version__
    return description


async def show_page(request: Request) -> Response:
    """Answer ``GET /``."""
    return HTMLResponse(_page(), headers=HEADERS)


async def show_description(request: Request) -> Response:
    """Answer ``GET /openapi.json``."""
    return JSONResponse(_description())


async def show_initializer(request: Request) -> Response:
    """Answer ``GET /docs/swagger-initializer.js``."""
    return Response(INITIALIZER, media_type="text/javascript")


def routes() -> list[BaseRoute]:
    """Return the routes of the pages."""
    return [
        Route("/", show_page),
        Route("/openapi.json", show_description),
        Route("/docs/swagger-initializer.js", show_initializer),
        Mount("/docs", StaticFiles(directory=swagger_ui_path, html=True), name="docs"),
    ]
