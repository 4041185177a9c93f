"""The application: the native API's calls in front, FastAPI behind for documents and health."""

from __future__ import annotations

import asyncio
from time import monotonic
from typing import Any

from fastapi import FastAPI, Request
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.openapi.utils import get_openapi
from fastapi.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.exceptions import HTTPException

from api import index_metrics, openapi
from api.asgi import REQUEST_ID, Receive, Scope, Send
from api.errors import CallFailed, MethodNotAllowed, RouteNotFound, render_problem
from api.front import Front
from api.openfga import openapi as openfga
from api.settings import Settings
from api.telemetry import CONTENT_TYPE, Metrics
from api.version import program_version
from engine.engine import Engine
from engine.errors import EngineError

TITLE = "Stonetown"
_READY_FOR = 1.0
_PING_SECONDS = 2.0


class Application:
    """The ASGI application of one worker. `stop` comes before the server waits for open
    connections to end: watches would never end by themselves."""

    def __init__(self, engine: Engine, settings: Settings) -> None:
        self.metrics = Metrics(settings.index_root)
        self.metrics.follow(engine.read_from)
        self.documented = _pages(engine, settings, self.metrics)
        self.front = Front(engine, settings, self.metrics, self.documented)

    def stop(self) -> None:
        """End every watch with the zookie to resume from. May be called again."""
        self.front.stop()

    def drain(self) -> None:
        """As `stop`, and end connections with their next answer."""
        self.front.draining = True
        self.front.stop()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection of any kind; web sockets are refused."""
        if scope["type"] == "http":
            await self.front(scope, receive, send)
        elif scope["type"] == "lifespan":
            await self._live(receive, send)
        elif scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1008})

    async def _live(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                await send({"type": "lifespan.startup.complete"})
            else:
                self.stop()
                await send({"type": "lifespan.shutdown.complete"})
                return


def create_app(engine: Engine, settings: Settings) -> Application:
    """The application that serves `engine`'s stores. It neither opens nor closes the engine."""
    return Application(engine, settings)


class Readiness:
    """Whether storage answers, asked at most once a second."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._asking = asyncio.Lock()
        self._asked_at = float("-inf")
        self._ready = False

    async def ready(self) -> bool:
        """The newest answer, which is at most a second old."""
        async with self._asking:
            if monotonic() - self._asked_at >= _READY_FOR:
                try:
                    async with asyncio.timeout(_PING_SECONDS):
                        await self._engine.storage.ping()
                    self._ready = True
                except (EngineError, TimeoutError):
                    self._ready = False
                self._asked_at = monotonic()
            return self._ready


def _pages(engine: Engine, settings: Settings, metrics: Metrics) -> FastAPI:
    """Health, metrics and documents."""
    app = FastAPI(
        title=TITLE,
        version=program_version(),
        openapi_url="/openapi.json" if settings.docs else None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    readiness = Readiness(engine)

    @app.get("/healthz", tags=["service"], summary="Is the process alive?")
    async def healthz() -> dict[str, str]:
        return {"status": "ok"}

    @app.get(
        "/readyz",
        tags=["service"],
        summary="Can it answer?",
        responses={503: {"description": "No: Postgres is away"}},
    )
    async def readyz() -> JSONResponse:
        if await readiness.ready():
            # Told, and no failure: without its indexes a node answers from Postgres.
            index = index_metrics.health(settings.index_root, settings.max_staleness)
            return JSONResponse({"status": "ready", "index": index})
        return JSONResponse({"status": "not ready"}, 503, {"Retry-After": "1"})

    @app.get(
        "/metrics",
        tags=["service"],
        summary="Metrics for Prometheus",
        response_class=PlainTextResponse,
    )
    async def exposition() -> Response:
        return Response(metrics.exposition(), media_type=CONTENT_TYPE)

    if settings.docs:

        @app.get("/docs", include_in_schema=False)
        async def docs() -> HTMLResponse:
            return get_swagger_ui_html(openapi_url="openapi.json", title=TITLE)

        @app.get(openfga.PATH, include_in_schema=False)
        async def openfga_document() -> dict[str, Any]:
            return openfga.document(app.version)

    app.add_exception_handler(HTTPException, _problem)
    app.openapi = lambda: _document(app)  # type: ignore[method-assign]  # FastAPI's own way
    return app


async def _problem(request: Request, error: Exception) -> Response:
    """FastAPI's refusals as problem documents; the front adds the request id's header."""
    assert isinstance(error, HTTPException)
    refused: EngineError
    if error.status_code == 405:
        allowed = (error.headers or {}).get("Allow", "GET").split(", ")
        refused = MethodNotAllowed("not a method of this path", allow=sorted(allowed))
    elif error.status_code == 404:
        refused = RouteNotFound("no such path")
    else:
        refused = CallFailed("the service failed")
    problem = render_problem(refused, request.scope[REQUEST_ID])
    headers = {name.decode(): value.decode() for name, value in problem.headers}
    return Response(problem.body, problem.status, headers)


def _document(app: FastAPI) -> dict[str, Any]:
    """The OpenAPI document: FastAPI's own, and the calls that are answered in front of it."""
    if app.openapi_schema is None:
        document = get_openapi(
            title=TITLE,
            version=app.version,
            description="Relationship-based authorization: relation tuples, checks, zookies.",
            routes=app.routes,
        )
        document["paths"] |= openapi.paths()
        components = document.setdefault("components", {})
        components.setdefault("schemas", {}).update(openapi.schemas())
        components["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
        document["security"] = [{"key": []}]
        for path in ("/healthz", "/readyz"):
            document["paths"][path]["get"]["security"] = []
        app.openapi_schema = document
    return app.openapi_schema
