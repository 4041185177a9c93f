"""Which call a request means, in each dialect that the server speaks.

A dialect has paths of its own, finds its calls by path and method, and tells errors in its own way.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Protocol

from api.authzen.routes import AuthzenRoutes
from api.calls import Operation
from api.errors import (
    Failure,
    MethodNotAllowed,
    ProblemAnswer,
    RouteNotFound,
    render_problem,
)
from api.native.operations import Routes
from api.openfga.routes import OpenFgaRoutes
from engine.errors import StoreNotFound
from engine.store.protocol import STORE_NAME

Route = tuple[Operation, str]
"""A call, and the engine's name of the store that it is about ("" for none)."""

_UNUSUAL = re.compile(rb"[^A-Za-z0-9/-]")
_KNOWN = 1024


class Dialect(Protocol):
    """A part of the paths, and all that is told of them."""

    @property
    def problem(self) -> Callable[[Failure, str], ProblemAnswer]:
        """Tells an error, with the request's id."""
        ...

    @property
    def echoes(self) -> bool:
        """Whether a client's request id comes back as it is, and not only if it is plain."""
        ...

    def owns(self, path: str) -> bool:
        """Whether the path is this dialect's to answer, be it by refusing it."""
        ...

    def find(self, path: str, method: str) -> Route:
        """The call. Raises EngineError for what is none."""
        ...

    def at_once(self, path: str, method: str) -> Route | None:
        """The call of a path without a query, if it may be answered as a whole: it does not
        stream, and the path says nothing beside the store."""
        ...


class Native:
    """The native API, under `/v1/`."""

    echoes = False

    def __init__(self) -> None:
        self._routes = Routes()

    @property
    def problem(self) -> Callable[[Failure, str], ProblemAnswer]:
        """Tells an error as RFC 9457 has it."""
        return render_problem

    def owns(self, path: str) -> bool:
        """Whether it begins with `/v1/`."""
        return path.startswith("/v1/")

    def find(self, path: str, method: str) -> Route:
        """The call. Raises RouteNotFound, MethodNotAllowed and StoreNotFound."""
        methods, store = self._routes.find(path)
        if methods is None:
            raise RouteNotFound("no such path")
        operation = methods.get(method)
        if operation is None:
            raise MethodNotAllowed("not a method of this path", allow=sorted(methods))
        if store and not STORE_NAME.fullmatch(store):
            raise StoreNotFound(
                "not a store's name", field="store", expected="`[a-z][a-z0-9-]{0,62}`"
            )
        return operation, store

    def at_once(self, path: str, method: str) -> Route | None:
        """The call if it does not stream."""
        methods, store = self._routes.find(path)
        operation = (methods or {}).get(method)
        if operation is None or operation.stream or (store and not STORE_NAME.fullmatch(store)):
            return None
        return operation, store


class Routing:
    """All dialects, and the calls that were found lately."""

    def __init__(self) -> None:
        self._dialects: tuple[Dialect, ...] = (AuthzenRoutes(), Native(), OpenFgaRoutes())
        self._known: dict[tuple[bytes, bytes], Route] = {}

    def dialect(self, path: str) -> Dialect | None:
        """The dialect of a path, None for the service's own pages."""
        return next((dialect for dialect in self._dialects if dialect.owns(path)), None)

    def at_once(self, method: bytes, url: bytes) -> Route | None:
        """The call that a request line means, if it can be answered as a whole."""
        found = self._known.get((method, url))
        if found is None and not _UNUSUAL.search(url):
            path = url.decode("ascii")
            dialect = self.dialect(path)
            if dialect is not None:
                found = dialect.at_once(path, method.decode("ascii"))
            if found is None:
                return None
            if len(self._known) >= _KNOWN:
                self._known.clear()
            self._known[method, url] = found
        return found
