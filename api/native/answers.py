"""The answers of the native API, for its OpenAPI document."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from api.native.explanation_answers import Explanation
from api.native.impact_wire import ImpactSummary
from api.native.wire import ZOOKIE, CaveatUse, Tuple, example


class WriteAnswer(BaseModel):
    """What became of each update, in order."""

    model_config = example({"zookie": ZOOKIE, "results": ["created"]})
    zookie: str
    results: list[Literal["created", "updated", "unchanged", "deleted", "absent"]]


class DeleteAnswer(BaseModel):
    """`complete` says that nothing is left that matches; if not, ask again."""

    model_config = example({"deleted": 3, "complete": True, "zookie": ZOOKIE})
    deleted: int
    complete: bool
    zookie: str


class ReadAnswer(BaseModel):
    """A page; `cursor` is null at the end."""

    model_config = example(
        {
            "tuples": [{"object": "document:readme", "relation": "viewer", "subject": "user:ann"}],
            "cursor": None,
            "zookie": ZOOKIE,
        }
    )
    tuples: list[Tuple]
    cursor: str | None
    zookie: str


class Decision(BaseModel):
    """`allowed` is true only for an unconditional yes; `missing_context` names what a
    conditional answer still needs."""

    model_config = example({"decision": "allowed", "allowed": True, "missing_context": []})
    decision: Literal["allowed", "denied", "conditional"]
    allowed: bool
    missing_context: list[str]


class CheckAnswer(Decision):
    """A decision, and the zookie of the snapshot that it was made at."""

    model_config = example(
        {"decision": "allowed", "allowed": True, "missing_context": [], "zookie": ZOOKIE}
    )
    explanation: Explanation | None = None
    zookie: str


class Problem(BaseModel):
    """RFC 9457: what was wrong, where, and what would be right."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "type": "urn:stonetown:error:unknown_relation",
                    "title": "The object type has no such relation or permission",
                    "status": 400,
                    "code": "unknown_relation",
                    "detail": "`document` has no relation or permission `veiw`",
                    "field": "relation",
                    "expected": "`view`",
                    "request_id": "5c1f0d2e-1a",
                }
            ]
        }
    )
    type: str
    title: str
    status: int
    code: str
    detail: str
    field: str | None = None
    expected: str | None = None
    outcome: Literal["unknown"] | None = None
    errors: list[dict[str, Any]] | None = None
    request_id: str | None = None


class BatchItem(BaseModel):
    """A decision, or the error of this one check."""

    model_config = example({"decision": "denied", "allowed": False, "missing_context": []})
    decision: Literal["allowed", "denied", "conditional"] | None = None
    allowed: bool | None = None
    missing_context: list[str] | None = None
    explanation: Explanation | None = None
    error: Problem | None = None


class BatchAnswer(BaseModel):
    """One result per check, in order."""

    model_config = example(
        {
            "results": [{"decision": "allowed", "allowed": True, "missing_context": []}],
            "zookie": ZOOKIE,
        }
    )
    results: list[BatchItem]
    zookie: str


class TreeSubject(BaseModel):
    """A subject of a stored tuple, with what the tuple depends on."""

    model_config = example({"subject": "user:ann"})
    subject: str
    caveat: CaveatUse | None = None
    expires_at: str | None = None


class Tree(BaseModel):
    """A node of the userset tree; usersets among a leaf's subjects are not followed."""

    model_config = example(
        {
            "kind": "leaf",
            "object": "document:readme",
            "relation": "viewer",
            "subjects": [{"subject": "user:ann"}],
        }
    )
    kind: str
    object: str
    relation: str
    via: TreeSubject | None = None
    subjects: list[TreeSubject] = []
    children: list[Tree] = []


class ExpandAnswer(BaseModel):
    """The userset tree at one snapshot."""

    model_config = example(
        {
            "tree": {
                "kind": "leaf",
                "object": "document:readme",
                "relation": "viewer",
                "subjects": [{"subject": "user:ann"}],
            },
            "zookie": ZOOKIE,
        }
    )
    tree: Tree
    zookie: str


class ExpandPage(BaseModel):
    """With `recursive`: the tree asked for, and one of each userset beneath it, in pages."""

    model_config = example(
        {
            "trees": [
                {
                    "kind": "leaf",
                    "object": "document:readme",
                    "relation": "viewer",
                    "subjects": [{"subject": "group:eng#member"}],
                },
                {
                    "kind": "leaf",
                    "object": "group:eng",
                    "relation": "member",
                    "subjects": [{"subject": "user:ann"}],
                },
            ],
            "cursor": None,
            "zookie": ZOOKIE,
        }
    )
    trees: list[Tree]
    cursor: str | None
    zookie: str


class SchemaWritten(BaseModel):
    """A schema write; `blocked_by` and `impact` stand only in the answer to a dry run. `impact` is
    null for a key without the right `read`."""

    model_config = example({"version": 1, "zookie": ZOOKIE, "changes": [], "warnings": []})
    version: int
    zookie: str
    changes: list[dict[str, str]]
    warnings: list[dict[str, Any]]
    blocked_by: list[Tuple] | None = None
    impact: ImpactSummary | None = None


class SchemaAnswer(BaseModel):
    """The schema in force."""

    model_config = example(
        {
            "schema": "definition user {}\n",
            "language": "zed",
            "version": 1,
            "zookie": ZOOKIE,
        }
    )
    schema_: str = Field(alias="schema")
    language: str
    version: int
    zookie: str


class Store(BaseModel):
    """A store. The id is never used again; the name may be. A store that was made by another
    dialect may have a title for people, others have ""."""

    model_config = example(
        {
            "name": "acme",
            "id": "0f3c9a5e7b21d4860f3c9a5e7b21d486",
            "created_at": "2030-01-31T12:00:00Z",
            "title": "",
        }
    )
    name: str
    id: str
    created_at: str
    title: str


class StoreList(BaseModel):
    """A page of stores by name."""

    model_config = example(
        {
            "stores": [
                {
                    "name": "acme",
                    "id": "0f3c9a5e7b21d4860f3c9a5e7b21d486",
                    "created_at": "2030-01-31T12:00:00Z",
                    "title": "",
                }
            ],
            "cursor": None,
        }
    )
    stores: list[Store]
    cursor: str | None


class ImportAnswer(BaseModel):
    """How many tuples were imported."""

    model_config = example({"imported": 2, "zookie": ZOOKIE})
    imported: int
    zookie: str


class ChangedTuple(BaseModel):
    """A tuple as a revision left it."""

    model_config = example(
        {
            "op": "touch",
            "tuple": {"object": "document:readme", "relation": "viewer", "subject": "user:ann"},
        }
    )
    op: Literal["touch", "delete"]
    tuple: Tuple


class WatchEvent(BaseModel):
    """One revision; everything up to its zookie has been delivered when it arrives."""

    model_config = example(
        {"zookie": ZOOKIE, "updates": [], "metadata": {}, "schema_changed": True}
    )
    zookie: str
    updates: list[ChangedTuple]
    metadata: dict[str, Any]
    schema_changed: bool
