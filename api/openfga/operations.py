"""Every call of OpenFGA's API: the one table that routing, keys, documents and tests read."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from api.asgi import Answer
from api.auth import Right
from api.calls import Call, Operation, Question
from api.openfga import assertions, changes, checks, expansion, lists, models, reads, stores, writes
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
    question: Callable[[Call, bytes], Question] | None = None,
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
        question=question,
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
        "update_store",
        f"PATCH {STORE}",
        Right.ADMIN,
        stores.update_store,
        "Give a store another name",
        writes=True,
    ),
    _call(
        "delete_store",
        f"DELETE {STORE}",
        Right.ADMIN,
        stores.delete_store,
        "Delete a store with everything in it",
        status=204,
        writes=True,
    ),
    _call(
        "write_authorization_model",
        f"POST {STORE}/authorization-models",
        Right.SCHEMA,
        models.write_model,
        "Write a model, which is the latest one then",
        status=201,
        writes=True,
    ),
    _call(
        "read_authorization_models",
        f"GET {STORE}/authorization-models",
        Right.READ,
        models.read_models,
        "The models, the newest first",
    ),
    _call(
        "read_authorization_model",
        f"GET {STORE}/authorization-models/{{id}}",
        Right.READ,
        models.read_model,
        "One model",
    ),
    _call(
        "write",
        f"POST {STORE}/write",
        Right.WRITE,
        writes.write,
        "Write and delete tuples, all or nothing",
        writes=True,
    ),
    _call("read", f"POST {STORE}/read", Right.READ, reads.read, "The stored tuples, in pages"),
    _call(
        "read_changes",
        f"GET {STORE}/changes",
        Right.WATCH,
        changes.read_changes,
        "What was written and deleted, in order",
    ),
    _call(
        "write_assertions",
        f"PUT {STORE}/assertions/{{authorization_model_id}}",
        Right.SCHEMA,
        assertions.write_assertions,
        "Keep assertions with a model",
        status=204,
        writes=True,
    ),
    _call(
        "read_assertions",
        f"GET {STORE}/assertions/{{authorization_model_id}}",
        Right.READ,
        assertions.read_assertions,
        "The assertions kept with a model",
    ),
    _call(
        "check",
        f"POST {STORE}/check",
        Right.CHECK,
        checks.check,
        "May a user do this?",
        question=checks.question,
    ),
    _call(
        "batch_check",
        f"POST {STORE}/batch-check",
        Right.CHECK,
        checks.batch_check,
        "Many checks at one snapshot",
    ),
    _call(
        "expand", f"POST {STORE}/expand", Right.READ, expansion.expand, "What a relation is made of"
    ),
    _call(
        "list_objects",
        f"POST {STORE}/list-objects",
        Right.READ,
        lists.list_objects,
        "Which objects is a user related to?",
    ),
    _call(
        "streamed_list_objects",
        f"POST {STORE}/streamed-list-objects",
        Right.READ,
        lists.streamed_list_objects,
        "The same, an object a line",
        stream=True,
    ),
    _call(
        "list_users",
        f"POST {STORE}/list-users",
        Right.READ,
        lists.list_users,
        "Which users are related to an object?",
    ),
)
