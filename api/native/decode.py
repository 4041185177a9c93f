"""Client JSON to engine values: strict, and all problems of a body at once (`api.members`)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from api.consistencies import MADE_CONSISTENCY, decode_consistency
from api.members import Members, Problems
from engine.jsontext import canonical_json, parse_json, type_name
from engine.requests import Consistency
from engine.store.protocol import TupleFilter
from engine.tuples import (
    MAX_CAVEAT_BYTES,
    MAX_RELATION_BYTES,
    MAX_TYPE_BYTES,
    RelationTuple,
    check_id,
    check_name,
    check_subject_id,
    make_tuple,
    parse_object,
    parse_subject,
    parse_time,
    parse_tuple,
)

TUPLE_FIELDS = ("object", "relation", "subject", "caveat", "expires_at")


def relation_name(text: str, field: str) -> str:
    """A relation or permission name. Raises InvalidTuple."""
    return check_name(text, field, MAX_RELATION_BYTES)


def decode_tuple(value: Any, path: str, problems: Problems) -> RelationTuple | None:
    """A tuple in its string or object form; None after a problem."""
    if type(value) is str:
        return problems.attempt(parse_tuple, value, path)
    if type(value) is not dict:
        problems.add(
            "wrong_type", f"found {type_name(value)}", path, "a relation tuple: string or object"
        )
        return None
    before = len(problems.found)
    members = Members(value, path, TUPLE_FIELDS, problems)
    object_ = members.parsed("object", parse_object)
    relation = members.parsed("relation", relation_name)
    subject = members.parsed("subject", parse_subject)
    caveat, context = _caveat(members, problems)
    expires_at = _expiry(members, problems)
    if len(problems.found) > before or object_ is None or relation is None or subject is None:
        return None

    def make() -> RelationTuple:
        return make_tuple(
            object_,
            relation,
            subject,
            caveat=caveat,
            context=context,
            expires_at=expires_at,
            field=path,
        )

    return problems.attempt(make)


def _caveat(members: Members, problems: Problems) -> tuple[str, str]:
    value = members.get("caveat")
    if value is None:
        return "", ""
    inner = Members(value, members.path("caveat"), ("name", "context"), problems)
    name = inner.parsed("name", lambda text, field: check_name(text, field, MAX_CAVEAT_BYTES))
    return name or "", canonical_json(inner.object("context"))


def _expiry(members: Members, problems: Problems) -> datetime | None:
    value = members.optional_text("expires_at")
    if value is None:
        return None
    return problems.attempt(parse_time, value, members.path("expires_at"))


_FILTER: Mapping[str, Callable[[str, str], str]] = {
    "object_type": lambda text, field: check_name(text, field, MAX_TYPE_BYTES),
    "object_id": check_id,
    "relation": relation_name,
    "subject_type": lambda text, field: check_name(text, field, MAX_TYPE_BYTES),
    "subject_id": check_subject_id,
    "subject_relation": lambda text, field: relation_name(text, field) if text else "",
}
FILTER_FIELDS = tuple(_FILTER)


def decode_filter(value: Any, path: str, problems: Problems) -> TupleFilter:
    """A filter: absent members mean any, `"subject_relation": ""` means none."""
    members = Members(value, path, FILTER_FIELDS, problems)
    parts: dict[str, str | None] = {}
    for name, parse in _FILTER.items():
        text = members.optional_text(name)
        if text is not None:
            parts[name] = problems.attempt(parse, text, members.path(name))
    if not parts and not problems.found:
        problems.add(
            "empty_filter", "the filter is empty", path, f"one of {', '.join(FILTER_FIELDS)}"
        )
    return TupleFilter(**parts)


CONSISTENCY_QUERY = ("consistency", *MADE_CONSISTENCY)


def consistency_of_query(query: Mapping[str, str], problems: Problems) -> Consistency | None:
    """The same from a query string: `consistency=fully_consistent` or `at_time=...`; None when
    nothing is asked."""
    given = [name for name in CONSISTENCY_QUERY if name in query]
    if len(given) > 1:
        problems.add("invalid_request", "it contradicts another", given[1], f"only `{given[0]}`")
    if not given:
        return None
    value: Any = query[given[0]]
    if given[0] != "consistency":
        value = {given[0]: value}
    return decode_consistency(value, given[0] if given[0] == "consistency" else "query", problems)


def filter_of_query(query: Mapping[str, str], problems: Problems) -> TupleFilter:
    """The filter that a query string gives; the one that matches everything when it gives none."""
    given = {name: query[name] for name in FILTER_FIELDS if name in query}
    return decode_filter(given, "", problems) if given else TupleFilter()


def tuple_of_query(text: str, field: str, problems: Problems) -> RelationTuple | None:
    """A tuple in a query string: its string form, or its object form as JSON."""
    value: Any = text
    if text.startswith("{"):
        value = problems.attempt(parse_json, text, field)
    return decode_tuple(value, field, problems) if value is not None else None
