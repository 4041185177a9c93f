"""Every call of the native API: the one table that routing, keys, documents and tests read."""

from __future__ import annotations

from collections.abc import Mapping

from api.auth import Right
from api.calls import Operation
from api.native import (
    answers,
    auditing,
    auditing_wire,
    handlers,
    impact,
    impact_wire,
    lookup_answers,
    lookups,
    object_lookups,
    schema_calls,
    transfer,
    watching,
    wire,
)
from api.native.decode import FILTER_FIELDS

STORES = "/v1/stores"
STORE = "/v1/stores/{store}"

_CONSISTENCY: Mapping[str, str] = {
    "consistency": "`minimize_latency` or `fully_consistent`",
    "at_least_as_fresh": "A zookie: any snapshot that is not older",
    "at_exact_snapshot": "A zookie: its own snapshot",
    "at_time": "RFC 3339: the newest snapshot committed by then",
}
_FILTER = {name: f"Only tuples with this {name.replace('_', ' ')}" for name in FILTER_FIELDS}

OPERATIONS: tuple[Operation, ...] = (
    Operation(
        "check",
        "POST",
        f"{STORE}/check",
        Right.CHECK,
        handlers.check,
        "Is a subject a member of a relation or permission?",
        wire.CheckRequest,
        answers.CheckAnswer,
        question=handlers.question,
    ),
    Operation(
        "check_batch",
        "POST",
        f"{STORE}/check/batch",
        Right.CHECK,
        handlers.check_batch,
        "Many checks at one snapshot",
        wire.BatchRequest,
        answers.BatchAnswer,
    ),
    Operation(
        "expand",
        "POST",
        f"{STORE}/expand",
        Right.READ,
        handlers.expand,
        "The userset tree of a relation or permission",
        wire.ExpandRequest,
        answers.ExpandAnswer,
        variant=answers.ExpandPage,
    ),
    Operation(
        "lookup_objects",
        "POST",
        f"{STORE}/lookup/objects",
        Right.READ,
        object_lookups.lookup_objects,
        "Of which objects is a subject a member? In pages, or as lines of JSON",
        wire.LookupObjectsRequest,
        lookup_answers.LookupObjectsAnswer,
        lines=True,
    ),
    Operation(
        "count_objects",
        "POST",
        f"{STORE}/lookup/objects/count",
        Right.READ,
        object_lookups.count_objects,
        "Of how many objects is a subject a member?",
        wire.CountObjectsRequest,
        lookup_answers.CountObjectsAnswer,
    ),
    Operation(
        "lookup_subjects",
        "POST",
        f"{STORE}/lookup/subjects",
        Right.READ,
        lookups.lookup_subjects,
        "Who is a member of a relation or permission? In pages, or as lines of JSON",
        wire.LookupSubjectsRequest,
        lookup_answers.LookupSubjectsAnswer,
        lines=True,
    ),
    Operation(
        "count_subjects",
        "POST",
        f"{STORE}/lookup/subjects/count",
        Right.READ,
        lookups.count_subjects,
        "How many are members of a relation or permission?",
        wire.CountSubjectsRequest,
        lookup_answers.CountSubjectsAnswer,
    ),
    Operation(
        "lookup_permissions",
        "POST",
        f"{STORE}/lookup/permissions",
        Right.CHECK,
        lookups.lookup_permissions,
        "What may a subject do on an object?",
        wire.LookupPermissionsRequest,
        lookup_answers.LookupPermissionsAnswer,
    ),
    Operation(
        "read",
        "POST",
        f"{STORE}/read",
        Right.READ,
        handlers.read,
        "Stored tuples that match a filter, in pages",
        wire.ReadRequest,
        answers.ReadAnswer,
    ),
    Operation(
        "history",
        "POST",
        f"{STORE}/history",
        Right.READ,
        auditing.history,
        "What happened to the tuples of an object or a subject, in pages",
        auditing_wire.HistoryRequest,
        auditing_wire.HistoryAnswer,
    ),
    Operation(
        "diff",
        "POST",
        f"{STORE}/diff",
        Right.READ,
        auditing.diff,
        "Who gained and lost access between two snapshots, and why. In pages, or as lines of JSON",
        auditing_wire.DiffRequest,
        auditing_wire.DiffAnswer,
        lines=True,
    ),
    Operation(
        "impact",
        "POST",
        f"{STORE}/impact",
        Right.READ,
        impact.impact,
        "Who would gain and who would lose access by a change",
        impact_wire.ImpactRequest,
        impact_wire.ImpactAnswer,
    ),
    Operation(
        "write",
        "POST",
        f"{STORE}/write",
        Right.WRITE,
        handlers.write,
        "Touch, create and delete tuples, all or nothing",
        wire.WriteRequest,
        answers.WriteAnswer,
        writes=True,
        idempotent=True,
    ),
    Operation(
        "delete",
        "POST",
        f"{STORE}/delete",
        Right.WRITE,
        handlers.delete,
        "Delete the tuples that match a filter",
        wire.DeleteRequest,
        answers.DeleteAnswer,
        writes=True,
        idempotent=True,
    ),
    Operation(
        "import",
        "POST",
        f"{STORE}/import",
        Right.WRITE,
        transfer.import_tuples,
        "Write tuples from lines of JSON, as a sequence of revisions",
        wire.Tuple,
        answers.ImportAnswer,
        {"op": "`touch` (default) or `create`"},
        writes=True,
        stream=True,
    ),
    Operation(
        "export",
        "GET",
        f"{STORE}/export",
        Right.READ,
        transfer.export_tuples,
        "Every tuple of one snapshot, as lines of JSON",
        None,
        wire.Tuple,
        {**_FILTER, **_CONSISTENCY, "after": "A tuple, string or JSON: go on after it"},
        stream=True,
    ),
    Operation(
        "post_export",
        "POST",
        f"{STORE}/export",
        Right.READ,
        transfer.post_export,
        "The same, asked for in a body, which may hold an overlay",
        wire.ExportRequest,
        wire.Tuple,
        stream=True,
    ),
    Operation(
        "watch",
        "GET",
        f"{STORE}/watch",
        Right.WATCH,
        watching.watch,
        "Every change, as it is committed",
        None,
        answers.WatchEvent,
        {
            "after": "A zookie: changes after it; absent: from now on",
            "types": "Only changes of these object types, separated by commas",
            "relations": "Only changes of these relations, separated by commas",
        },
        stream=True,
    ),
    Operation(
        "write_schema",
        "PUT",
        f"{STORE}/schema",
        Right.SCHEMA,
        schema_calls.write_schema,
        "Replace the schema",
        wire.SchemaRequest,
        answers.SchemaWritten,
        {"dry_run": "`true`: only tell what would change"},
        writes=True,
        idempotent=True,
    ),
    Operation(
        "read_schema",
        "GET",
        f"{STORE}/schema",
        Right.READ,
        schema_calls.read_schema,
        "The schema in force",
        None,
        answers.SchemaAnswer,
        _CONSISTENCY,
    ),
    Operation(
        "list_stores",
        "GET",
        STORES,
        Right.ADMIN,
        handlers.list_stores,
        "The stores, by name, in pages",
        None,
        answers.StoreList,
        {"limit": "Stores in a page", "cursor": "The cursor of the page before"},
    ),
    Operation(
        "create_store",
        "POST",
        STORES,
        Right.ADMIN,
        handlers.create_store,
        "Create a store",
        wire.StoreRequest,
        answers.Store,
        status=201,
        writes=True,
    ),
    Operation(
        "get_store",
        "GET",
        STORE,
        Right.READ,
        handlers.get_store,
        "One store",
        None,
        answers.Store,
    ),
    Operation(
        "delete_store",
        "DELETE",
        STORE,
        Right.ADMIN,
        handlers.delete_store,
        "Delete a store and everything in it",
        status=204,
        writes=True,
    ),
)


class Routes:
    """Finds operations by path and method."""

    def __init__(self, operations: tuple[Operation, ...] = OPERATIONS) -> None:
        self._about_stores: dict[str, Operation] = {}
        self._of_a_store: dict[str, dict[str, Operation]] = {}
        for operation in operations:
            if operation.path == STORES:
                self._about_stores[operation.method] = operation
            else:
                rest = operation.path.removeprefix(STORE).removeprefix("/")
                self._of_a_store.setdefault(rest, {})[operation.method] = operation

    def find(self, path: str) -> tuple[Mapping[str, Operation] | None, str]:
        """The operations of a path by method, None if there are none, and the store's name."""
        if path.startswith(f"{STORES}/"):
            store, slash, rest = path[len(STORES) + 1 :].partition("/")
            if not store or (slash and not rest):
                return None, ""
            return self._of_a_store.get(rest), store
        return (self._about_stores, "") if path == STORES else (None, "")
