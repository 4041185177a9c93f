"""Every call of OpenFGA's API: the one table that routing, keys, documents and tests read."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from api.asgi import Answer
from api.auth import Right
from api.calls import Call, Operation
from api.openfga import stores
from api.openfga.errors import render

STORES = "/stores"
STORE = "/stores/{store_id}"


def _call(
    name: str,
    place: str,
    right: Right,
    handler: Callable[[Call], Awaitable[Answer | None]],
    summary: str,
    *,
    status: int = 200,
    writes: bool = False,
    stream: bool = False,
) -> Operation:
    method, _, path = place.partition(" ")
    return Operation(
        f"fga_{name}",
        method,
        path,
        right,
        handler,
        summary,
        status=status,
        writes=writes,
        stream=stream,
        problem=render,
    )


OPERATIONS: tuple[Operation, ...] = (
    _call(
        "create_store",
        f"POST {STORES}",
        Right.ADMIN,
        stores.create_store,
        "Create a store",
        status=201,
        writes=True,
    ),
    _call("list_stores", f"GET {STORES}", Right.ADMIN, stores.list_stores, "List the stores"),
    _call("get_store", f"GET {STORE}", Right.READ, stores.get_store, "One store"),
    _call(
        "delete_store",
        f"DELETE {STORE}",
        Right.ADMIN,
        stores.delete_store,
        "Delete a store with everything in it",
        status=204,
        writes=True,
    ),
)
