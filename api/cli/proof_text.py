"""The words of a proof: one line for each goal, tuple and step, for trees and pictures alike.

Proofs are read as `docs/explain.md` describes them, leniently: they come from a server.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Json = Mapping[str, Any]

_STATES = {
    "expired": "expired",
    "not_in_schema": "not allowed by the schema, so ignored",
    "unreachable": "never leads to such a subject",
    "caveat_false": "its caveat says no",
    "caveat_needs": "its caveat needs ",
    "caveat_failed": "its caveat fails",
}


def tuple_text(item: Json) -> str:
    """A tuple in one line, with its caveat's name and its expiry."""
    text = f"{item['object']}#{item['relation']}@{item['subject']}"
    if item.get("caveat"):
        text += f"[{item['caveat']['name']}]"
    if item.get("expires_at"):
        text += f"[expiration:{item['expires_at']}]"
    return text


def fact_text(fact: Json) -> str:
    """A tuple of a proof, where it comes from, and why it counts or not."""
    text = tuple_text(fact["tuple"])
    notes = []
    if fact.get("contextual"):
        notes.append("contextual")
    elif "revision" in fact:
        notes.append(f"revision {fact['revision']}")
    state = str(fact["state"])
    if state in _STATES:
        notes.append(_STATES[state] + ", ".join(fact.get("missing") or ()))
    if fact.get("given"):
        given = ", ".join(f"{name}={value!r}" for name, value in fact["given"].items())
        notes.append(f"given {given}")
    return f"{text} ({', '.join(notes)})" if notes else text


def step_text(step: Json, goal: str) -> str:
    """What a step without tuples and goals says; "" for those that only hold others."""
    kind, allowed = step["kind"], step["verdict"] == "allowed"
    object_ = goal.rpartition("#")[0]
    if kind == "identity":
        return "a userset is a member of itself"
    if kind == "self":
        return "the object itself" if allowed else "not the object itself"
    if kind == "nil":
        return "nil: nobody"
    if kind == "unreachable":
        name = f"`{step['relation']}`: " if step.get("relation") else ""
        return f"{name}the schema lets no such subject in"
    if kind == "tuples" and not step.get("tuples"):
        wanted = " or ".join(step.get("looked_for") or ()) or "such subjects"
        return f"no tuple {object_}#{step['relation']} of {wanted}"
    if kind == "arrow" and not step.get("tuples"):
        return f"no tuple {object_}#{step['relation']} to walk along"
    return ""


def told_judgements(proof: Json) -> dict[str, Json]:
    """The judgement of each goal, with every failing side of a denial where the proof has one."""
    beside = proof.get("also_denied") or {}
    told = (*proof["judgements"], *(beside.get("judgements") or ()))
    return {item["goal"]: item for item in told}


def way_text(way: Json) -> str:
    """Whom else a way to yes lets in."""
    width = way["lets_in"]
    if width.get("everyone"):
        return "lets everyone in"
    others, exact = width.get("others") or 0, width.get("exact")
    if others:
        count = f"{'' if exact else 'at least '}{others} other{'s' if others != 1 else ''}"
        possibly = width.get("conditional") or 0
        return f"lets in {count}" + (f", {possibly} on a condition" if possibly else "")
    if not exact and width.get("groups"):
        return "lets in others that belong to what it ties together, not counted"
    if not exact:
        return "others were not counted"
    if width.get("distance"):
        return "lets in this subject alone, and to more than was asked"
    return "lets in this subject alone"


def change_text(update: Json) -> str:
    """One change of a way to yes: `+` writes a tuple, `-` deletes it."""
    sign = "-" if update["op"] == "delete" else "+"
    return f"{sign} {tuple_text(update['tuple'])}"
