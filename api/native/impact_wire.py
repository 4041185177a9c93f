"""The body and the answers of impacts, for the OpenAPI document."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from api.native.auditing_wire import Difference
from api.native.wire import ZOOKIE, Consistency, Overlay, example


class ImpactRequest(BaseModel):
    """Ask who would gain and who would lose access by a change, given as an `overlay`. `types` and
    `permissions` restrict what is compared; `subjects` are forms of subject, `user` or
    `group#member`: without it, subjects without a relation, of every type. `include_relations`:
    relations, too. `limit` is the size of each sample."""

    model_config = example(
        {"overlay": {"add": ["group:eng#member@user:kim"]}},
        {
            "overlay": {"schema": "definition user {}\n"},
            "types": ["document"],
            "permissions": ["view"],
            "subjects": ["user"],
            "limit": 3,
        },
    )
    overlay: Overlay
    types: list[str] | None = None
    permissions: list[str] | None = None
    subjects: list[str] | None = None
    include_relations: bool = False
    limit: int | None = None
    cursor: str | None = None
    consistency: Consistency = "minimize_latency"


class ImpactCounts(BaseModel):
    """How many memberships of one permission differ. `new_access`: those gained, and those that
    are conditional no more or on something else."""

    model_config = example(
        {
            "type": "document",
            "permission": "view",
            "subjects": "user",
            "gained": 2,
            "lost": 0,
            "changed": 0,
            "new_access": 2,
        }
    )
    type: str
    permission: str
    subjects: str
    gained: int
    lost: int
    changed: int
    new_access: int


class ImpactSample(BaseModel):
    """The first differences of each kind."""

    model_config = example({"gained": [], "lost": [], "changed": []})
    gained: list[Difference]
    lost: list[Difference]
    changed: list[Difference]


class ImpactRow(ImpactCounts):
    """As before, with some of the differences."""

    sample: ImpactSample


class ImpactSummary(BaseModel):
    """The numbers of a whole schema; if they are incomplete, there are at least so many. `complete`
    and `gaps` are as in lookups."""

    model_config = example(
        {
            "gained": 0,
            "lost": 0,
            "changed": 0,
            "new_access": 0,
            "permissions": [],
            "complete": True,
            "gaps": [],
            "zookie": ZOOKIE,
        }
    )
    gained: int
    lost: int
    changed: int
    new_access: int
    permissions: list[ImpactCounts]
    complete: bool
    gaps: list[dict[str, Any]]
    zookie: str


class ImpactAnswer(BaseModel):
    """The permissions in which something differs. With a cursor the numbers are those of a part:
    going on gives the rest, to be added to them. `complete` and `gaps` are as in lookups."""

    model_config = example(
        {
            "gained": 0,
            "lost": 0,
            "changed": 0,
            "new_access": 0,
            "permissions": [],
            "cursor": None,
            "complete": True,
            "gaps": [],
            "zookie": ZOOKIE,
        }
    )
    gained: int
    lost: int
    changed: int
    new_access: int
    permissions: list[ImpactRow]
    cursor: str | None
    complete: bool
    gaps: list[dict[str, Any]]
    zookie: str
