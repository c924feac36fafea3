"""The application: the page's files, the API, and the guard before both."""

from __future__ import annotations

from pathlib import Path

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, PlainTextResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp

from p2pgan.dashboard.api import Api
from p2pgan.dashboard.guard import Guard
from p2pgan.dashboard.source import Source
from p2pgan.dashboard.stream import Hub

STATIC = Path(__file__).parent / "static"


def application(source: Source, hub: Hub, *, host: str, port: int, token: str | None) -> ASGIApp:
    """What is served; ``token`` is None where no token is asked for."""
    routes = [
        Route("/", _page),
        *Api(source, hub).routes(),
        Mount("/static", StaticFiles(directory=STATIC)),
    ]
    return Guard(
        Starlette(routes=routes, exception_handlers={404: _not_here}), host=host, port=port, token=token
    )


async def _page(request: Request) -> Response:
    return FileResponse(STATIC / "index.html", headers={"Cache-Control": "no-cache"})


async def _not_here(request: Request, error: Exception) -> Response:
    return PlainTextResponse("there is nothing here; the page is at /", 404)
