"""The bodies and answers of the calls that look back, for the OpenAPI document."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, Field

from api.native.wire import ZOOKIE, Consistency, Filter, Overlay, Tuple, example


class HistoryRequest(BaseModel):
    """Ask for what happened to the tuples that a filter matches. It names one object or one
    subject, by type and id; `consistency` chooses the snapshot up to which it is told."""

    model_config = example(
        {"filter": {"object_type": "document", "object_id": "readme"}, "limit": 100},
        {"filter": {"subject_type": "user", "subject_id": "ann"}, "order": "oldest_first"},
    )
    filter: Filter
    order: Literal["newest_first", "oldest_first"] = "newest_first"
    limit: int | None = None
    cursor: str | None = None
    consistency: Consistency = "minimize_latency"


class HistoryEvent(BaseModel):
    """What one revision did to one tuple. A deleted tuple is told as it stood before; `expired`:
    it was removed because its time was over."""

    model_config = example(
        {
            "op": "touch",
            "expired": False,
            "tuple": {"object": "document:readme", "relation": "viewer", "subject": "user:ann"},
            "zookie": ZOOKIE,
            "committed_at": "2030-01-31T12:00:00Z",
            "actor": "webshop",
            "metadata": {"ticket": "ENG-7"},
        }
    )
    op: Literal["touch", "delete"]
    expired: bool
    tuple: Tuple
    zookie: str
    committed_at: str
    actor: str
    metadata: dict[str, Any]


class HistoryAnswer(BaseModel):
    """A page; `cursor` is null at the end, or where the history window ends."""

    model_config = example({"events": [], "cursor": None, "zookie": ZOOKIE})
    events: list[HistoryEvent]
    cursor: str | None
    zookie: str


class DiffRequest(BaseModel):
    """Ask who gained and who lost a relation or permission between two snapshots, each a zookie
    or a time (RFC 3339): of one `object`, or of all objects of a `type`, by the subjects of one
    form; or what one `subject` gained and lost among the objects of a `type`. `to` is now if
    absent. `context` and `overlay` hold at both."""

    model_config = example(
        {
            "from": "2030-01-31T12:00:00Z",
            "object": "document:readme",
            "relation": "view",
            "subject_type": "user",
        },
        {"from": ZOOKIE, "subject": "user:ann", "type": "document", "relation": "view"},
        {"from": ZOOKIE, "type": "document", "relation": "view", "subject_type": "user"},
    )
    from_: str = Field(alias="from")
    to: str | None = None
    object: str | None = None
    subject: str | None = None
    type: str | None = None
    relation: str
    subject_type: str | None = None
    subject_relation: str = ""
    context: dict[str, Any] = {}
    limit: int | None = None
    cursor: str | None = None
    overlay: Overlay | None = None


class Side(BaseModel):
    """The decision at one of the two snapshots."""

    model_config = example({"decision": "denied", "missing_context": []})
    decision: Literal["allowed", "denied", "conditional"]
    missing_context: list[str]


class Difference(BaseModel):
    """One subject's membership in one object. The wildcard `type:*` stands for every subject that
    is not listed."""

    model_config = example(
        {
            "object": "document:readme",
            "subject": "user:ann",
            "before": {"decision": "denied", "missing_context": []},
            "after": {"decision": "allowed", "missing_context": []},
        }
    )
    object: str
    subject: str
    before: Side
    after: Side


class CauseUpdate(BaseModel):
    """A tuple that a revision touched, or that expired."""

    model_config = example(
        {
            "op": "touch",
            "tuple": {"object": "group:eng", "relation": "member", "subject": "user:ann"},
        }
    )
    op: Literal["touch", "delete", "expire"]
    tuple: Tuple


class Cause(BaseModel):
    """A revision that touched what differences rest on, with those tuples, or changed the schema;
    or a moment at which such tuples expired: then `zookie` is null."""

    model_config = example(
        {
            "zookie": ZOOKIE,
            "committed_at": "2030-01-31T12:00:00Z",
            "actor": "webshop",
            "metadata": {"ticket": "ENG-7"},
            "schema_changed": False,
            "updates": [],
        }
    )
    zookie: str | None
    committed_at: str
    actor: str
    metadata: dict[str, Any]
    schema_changed: bool
    updates: list[CauseUpdate]


class DiffAnswer(BaseModel):
    """A page, sorted by object and subject, with the causes of its differences. `complete` and
    `gaps` are as in lookups; `causes_complete` is of the causes."""

    model_config = example(
        {
            "gained": [],
            "lost": [],
            "changed": [],
            "causes": [],
            "causes_complete": True,
            "cursor": None,
            "from_zookie": ZOOKIE,
            "complete": True,
            "gaps": [],
            "zookie": ZOOKIE,
        }
    )
    gained: list[Difference]
    lost: list[Difference]
    changed: list[Difference]
    causes: list[Cause]
    causes_complete: bool
    cursor: str | None
    from_zookie: str
    complete: bool
    gaps: list[dict[str, Any]]
    zookie: str
