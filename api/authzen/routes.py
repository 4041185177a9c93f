"""Which AuthZEN call a path means: under a store's own path, under that of an OpenFGA store, and
at the well-known place."""

from __future__ import annotations

from typing import NamedTuple

from api.authzen.errors import render
from api.authzen.operations import OPERATIONS, STORE
from api.authzen.paths import WELL_KNOWN, native_path
from api.calls import Operation
from api.errors import MethodNotAllowed, RouteNotFound
from engine.errors import StoreNotFound
from engine.store.protocol import STORE_NAME

_CALLS = {
    operation.path.removeprefix(STORE): {operation.method: operation} for operation in OPERATIONS
}


class Found(NamedTuple):
    """The calls of a path by method, None if there are none, and the engine's name of the store."""

    calls: dict[str, Operation] | None
    store: str


class AuthzenRoutes:
    """AuthZEN's part of the paths."""

    problem = staticmethod(render)
    echoes = True

    def owns(self, path: str) -> bool:
        """Whether the path is one of AuthZEN's, be the call known or not."""
        return native_path(path) is not None

    def find(self, path: str, method: str) -> tuple[Operation, str]:
        """The call. Raises RouteNotFound, MethodNotAllowed and StoreNotFound."""
        calls, store = _found(path)
        if calls is None:
            raise RouteNotFound("no such path")
        operation = calls.get(method)
        if operation is None:
            raise MethodNotAllowed("not a method of this path", allow=sorted(calls))
        if not STORE_NAME.fullmatch(store):
            raise StoreNotFound(
                "not a store", field="store", expected="a store's name, or its ULID"
            )
        return operation, store

    def at_once(self, path: str, method: str) -> tuple[Operation, str] | None:
        """The call, unless it is asked for by a path that it needs to know."""
        calls, store = _found(path)
        operation = (calls or {}).get(method)
        if operation is None or not STORE_NAME.fullmatch(store) or WELL_KNOWN in path:
            return None
        return operation, store


def _found(path: str) -> Found:
    native = native_path(path)
    assert native is not None  # or the path is another dialect's
    store, slash, rest = native.partition("/")
    return Found(_CALLS.get(slash + rest), store)
