"""The member `overlay` of a request: what counts as written for its answer alone."""

from __future__ import annotations

from api.members import Members, Problems
from api.native.decode import decode_tuple
from engine.requests import Overlay
from engine.tuples import RelationTuple

FIELD = "overlay"
OVERLAY_FIELDS = ("add", "remove", "schema")


def overlay_of(body: Members, problems: Problems) -> Overlay | None:
    """The overlay of a body, None when absent."""
    value = body.get(FIELD)
    if value is None:
        return None
    members = Members(value, FIELD, OVERLAY_FIELDS, problems)
    added, removed = tuples_of(members, "add", problems), tuples_of(members, "remove", problems)
    return Overlay(added, removed, members.optional_text("schema"))


def tuples_of(members: Members, name: str, problems: Problems) -> list[RelationTuple]:
    """The tuples of an array that may be absent."""
    decoded = (
        decode_tuple(item, f"{members.path(name)}[{index}]", problems)
        for index, item in enumerate(members.items(name))
    )
    return [item for item in decoded if item is not None]
