"""The answers of the lookups, for the OpenAPI document."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

from api.native.answers import Problem
from api.native.wire import ZOOKIE, example


class Gap(BaseModel):
    """Why a list is incomplete: the entry that could not be decided (null: what would have come
    after a budget was used up), and the error."""

    model_config = ConfigDict(extra="forbid")
    about: str | None
    error: Problem


class FoundObject(BaseModel):
    """An object that the subject is a member of."""

    model_config = example(
        {"object": "document:readme", "decision": "allowed", "missing_context": []}
    )
    object: str
    decision: Literal["allowed", "conditional"]
    missing_context: list[str]


class LookupObjectsAnswer(BaseModel):
    """A page; as lines of JSON each object is a line, and the last line has the rest."""

    model_config = example(
        {
            "objects": [
                {"object": "document:readme", "decision": "allowed", "missing_context": []}
            ],
            "cursor": None,
            "complete": True,
            "gaps": [],
            "zookie": ZOOKIE,
        }
    )
    objects: list[FoundObject]
    cursor: str | None
    complete: bool
    gaps: list[Gap]
    zookie: str


class CountObjectsAnswer(BaseModel):
    """How many objects the list has."""

    model_config = example(
        {"allowed": 3, "conditional": 1, "complete": True, "gaps": [], "zookie": ZOOKIE}
    )
    allowed: int
    conditional: int
    complete: bool
    gaps: list[Gap]
    zookie: str


class FoundSubject(BaseModel):
    """A member, or the wildcard `type:*`. Denied ones stand only beside a wildcard, which does
    not let them in."""

    model_config = example({"subject": "user:ann", "decision": "allowed", "missing_context": []})
    subject: str
    decision: Literal["allowed", "denied", "conditional"]
    missing_context: list[str]


class LookupSubjectsAnswer(BaseModel):
    """A page; as lines of JSON each subject is a line, and the last line has the rest."""

    model_config = example(
        {
            "subjects": [{"subject": "user:ann", "decision": "allowed", "missing_context": []}],
            "cursor": None,
            "complete": True,
            "gaps": [],
            "zookie": ZOOKIE,
        }
    )
    subjects: list[FoundSubject]
    cursor: str | None
    complete: bool
    gaps: list[Gap]
    zookie: str


class CountSubjectsAnswer(BaseModel):
    """How many subjects the list has beside the wildcard, and what the wildcard's own decision
    is, null if it is no member."""

    model_config = example(
        {
            "allowed": 3,
            "conditional": 1,
            "denied": 0,
            "wildcard": None,
            "complete": True,
            "gaps": [],
            "zookie": ZOOKIE,
        }
    )
    allowed: int
    conditional: int
    denied: int
    wildcard: Literal["allowed", "conditional"] | None
    complete: bool
    gaps: list[Gap]
    zookie: str


class FoundPermission(BaseModel):
    """A permission, or a relation if relations were asked for."""

    model_config = example({"permission": "view", "decision": "allowed", "missing_context": []})
    permission: str
    decision: Literal["allowed", "conditional"]
    missing_context: list[str]


class LookupPermissionsAnswer(BaseModel):
    """The permissions that are allowed or conditional, by name."""

    model_config = example(
        {
            "permissions": [{"permission": "view", "decision": "allowed", "missing_context": []}],
            "complete": True,
            "gaps": [],
            "zookie": ZOOKIE,
        }
    )
    permissions: list[FoundPermission]
    complete: bool
    gaps: list[Gap]
    zookie: str
