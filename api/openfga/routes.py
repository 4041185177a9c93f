"""Finds OpenFGA's calls by path and method."""

from __future__ import annotations

from collections.abc import Mapping

from api.calls import Operation
from api.errors import MethodNotAllowed, RouteNotFound
from api.fga_ids import ID, store_name
from api.openfga.errors import render
from api.openfga.fields import STORE_ID, check
from api.openfga.operations import OPERATIONS, STORE, STORES


class OpenFgaRoutes:
    """OpenFGA's API, under `/stores`."""

    problem = staticmethod(render)
    echoes = False

    def __init__(self) -> None:
        self._about_stores: dict[str, Operation] = {}
        self._of_a_store: dict[tuple[str, bool], dict[str, Operation]] = {}
        for operation in OPERATIONS:
            if operation.path == STORES:
                self._about_stores[operation.method] = operation
            else:
                first, slash, _ = operation.path.removeprefix(f"{STORE}").strip("/").partition("/")
                self._of_a_store.setdefault((first, bool(slash)), {})[operation.method] = operation

    def owns(self, path: str) -> bool:
        """Whether it is `/stores` or begins with `/stores/`."""
        return path == STORES or path.startswith(f"{STORES}/")

    def find(self, path: str, method: str) -> tuple[Operation, str]:
        """The call. Raises RouteNotFound, MethodNotAllowed, and Refused for what is no id."""
        methods, store_id, item = self._methods(path)
        if methods is None:
            raise RouteNotFound("no such path")
        operation = methods.get(method)
        if operation is None:
            raise MethodNotAllowed("not a method of this path", allow=sorted(methods))
        if path == STORES:
            return operation, ""
        request = f"{operation.name.title().replace('_', '')}Request".removeprefix("Fga")
        check(STORE_ID, store_id, request, "store_id")
        if item is not None:
            name = operation.path.rpartition("{")[2].rstrip("}")
            check(STORE_ID, item, request, name)
        return operation, store_name(store_id)

    def at_once(self, path: str, method: str) -> tuple[Operation, str] | None:
        """The call if it neither streams nor has an id beside the store's."""
        methods, store_id, item = self._methods(path)
        operation = (methods or {}).get(method)
        if operation is None or operation.stream or item is not None:
            return None
        if path == STORES:
            return operation, ""
        return (operation, store_name(store_id)) if ID.fullmatch(store_id) else None

    def _methods(self, path: str) -> tuple[Mapping[str, Operation] | None, str, str | None]:
        """The calls of a path by method, the id of its store, and what else it names."""
        if path == STORES:
            return self._about_stores, "", None
        store_id, slash, rest = path[len(STORES) + 1 :].partition("/")
        first, more, item = rest.partition("/")
        if not store_id or (slash and not first) or (more and (not item or "/" in item)):
            return None, "", None
        return self._of_a_store.get((first, bool(more))), store_id, item if more else None
