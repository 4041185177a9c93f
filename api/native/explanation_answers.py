"""The explanation in an answer to a check, for the OpenAPI document (`docs/explain.md`)."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel

from api.native.wire import Update, example

_TUPLE = {"object": "document:readme", "relation": "viewer", "subject": "user:ann"}
_EXPLANATION = {
    "version": 1,
    "object": "document:readme",
    "relation": "viewer",
    "subject": "user:ann",
    "context": {},
    "decision": "allowed",
    "missing_context": [],
    "now": "2030-01-31T12:00:00Z",
    "revision": 2,
    "complete": True,
    "judgements": [
        {
            "goal": "document:readme#viewer",
            "verdict": "allowed",
            "step": {
                "kind": "tuples",
                "verdict": "allowed",
                "relation": "viewer",
                "tuples": [
                    {"tuple": _TUPLE, "state": "holds", "verdict": "allowed", "revision": 2}
                ],
            },
        }
    ],
}


class Judgement(BaseModel):
    """One goal of a proof, its verdict, and the step of its rewrite that decides it."""

    model_config = example(
        {
            "goal": "document:readme#viewer",
            "verdict": "denied",
            "step": {"kind": "tuples", "verdict": "denied", "relation": "viewer"},
        }
    )
    goal: str
    verdict: Literal["allowed", "denied", "conditional"]
    step: dict[str, Any]


class LetsIn(BaseModel):
    """Whom else a way lets in: `others` are named by tuples, `conditional` of them only under a
    condition; without `exact` there may be more. The rest estimates how widely it does."""

    model_config = example(
        {
            "others": 3,
            "conditional": 0,
            "exact": True,
            "everyone": 0,
            "groups": 1,
            "distance": 0,
        }
    )
    others: int
    conditional: int
    exact: bool
    everyone: int
    groups: int
    distance: int


class Way(BaseModel):
    """Updates that would turn a denial, as a write takes them, and whom else they let in."""

    model_config = example(
        {
            "updates": [{"op": "touch", "tuple": _TUPLE}],
            "lets_in": {
                "others": 3,
                "conditional": 0,
                "exact": True,
                "everyone": 0,
                "groups": 1,
                "distance": 0,
            },
        }
    )
    updates: list[Update]
    lets_in: LetsIn


class AlsoDenied(BaseModel):
    """Goals of a denial with every side that fails, beside those of the proof."""

    model_config = example({"judgements": [], "complete": True})
    judgements: list[Judgement]
    complete: bool
    reason: str | None = None


class Ways(BaseModel):
    """The nearest ways to yes; `reason` says why there may be others."""

    model_config = example({"found": [], "complete": True})
    found: list[Way]
    complete: bool
    reason: str | None = None


class Explanation(BaseModel):
    """A proof of a decision (version 1). Only a complete one verifies."""

    model_config = example(_EXPLANATION)
    version: int
    object: str
    relation: str
    subject: str
    context: dict[str, Any]
    decision: Literal["allowed", "denied", "conditional"]
    missing_context: list[str]
    now: str
    revision: int
    complete: bool
    reason: str | None = None
    judgements: list[Judgement]
    also_denied: AlsoDenied | None = None
    ways_to_yes: Ways | None = None
