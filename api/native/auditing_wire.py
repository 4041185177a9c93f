"""The bodies and answers of the calls that look back, for the OpenAPI document."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel

from api.native.wire import ZOOKIE, Consistency, Filter, Tuple, example


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
