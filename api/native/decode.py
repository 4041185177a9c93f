"""Client JSON to engine values: strict, and all problems of a body at once.

Strict means: no unknown member, no value of another type (a boolean is not a number), no string
where an object is due. `null` in an optional place means absent. Every problem carries the path of
its value, as in `updates[3].tuple.subject`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from difflib import get_close_matches
from typing import Any, TypeVar

from engine.errors import EngineError, InvalidRequest
from engine.jsontext import canonical_json, parse_json, type_name
from engine.requests import (
    FULLY_CONSISTENT,
    MINIMIZE_LATENCY,
    AtExactSnapshot,
    AtLeastAsFresh,
    AtTime,
    Consistency,
)
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

T = TypeVar("T")
JsonObject = Mapping[str, Any]

TUPLE_FIELDS = ("object", "relation", "subject", "caveat", "expires_at")
_NAMED_CONSISTENCY: Mapping[str, Consistency] = {
    "minimize_latency": MINIMIZE_LATENCY,
    "fully_consistent": FULLY_CONSISTENT,
}
_MAX_PROBLEMS = 100


class Problems:
    """What is wrong with one input. Reading goes on after a problem, up to a hundred of them."""

    def __init__(self) -> None:
        self.found: list[EngineError] = []

    def add(self, code: str, message: str, field: str, expected: str) -> None:
        """Note a problem; raises what was found once there are too many."""
        self.note(InvalidRequest(message, field=field, expected=expected, code=code))

    def note(self, error: EngineError) -> None:
        """Note an error that was raised while reading; raises once there are too many."""
        self.found.append(error)
        if len(self.found) >= _MAX_PROBLEMS:
            self.raise_any()

    def attempt(self, parse: Callable[..., T], *arguments: Any) -> T | None:
        """What `parse` returns; None if it raised, with the error noted."""
        try:
            return parse(*arguments)
        except EngineError as error:
            self.note(error)
            return None

    def raise_any(self) -> None:
        """Raise the first problem, carrying all of them, if there is one."""
        if self.found:
            first = self.found[0]
            if len(self.found) > 1:
                first.extra["errors"] = tuple(self.found)
            raise first


class Members:
    """The members of one JSON object, taken one by one with their types."""

    __slots__ = ("_path", "_problems", "_values")

    def __init__(self, value: Any, path: str, known: tuple[str, ...], problems: Problems) -> None:
        self._path = path
        self._problems = problems
        self._values: JsonObject = {}
        if type(value) is not dict:
            problems.add("wrong_type", f"found {type_name(value)}", path or "body", "an object")
            return
        self._values = value
        if not value.keys() <= set(known):
            self._refuse_unknown(known)

    def path(self, name: str) -> str:
        """The path of the member `name`."""
        return f"{self._path}.{name}" if self._path else name

    def text(self, name: str) -> str:
        """A string that must be there; "" after a problem."""
        value = self._values.get(name)
        if type(value) is str:
            return value
        self._missing_or_wrong(name, value, "a string")
        return ""

    def parsed(self, name: str, parse: Callable[[str, str], T]) -> T | None:
        """A string that must be there, given to `parse` with its path; None after a problem."""
        value = self._values.get(name)
        if type(value) is str:
            return self._problems.attempt(parse, value, self.path(name))
        self._missing_or_wrong(name, value, "a string")
        return None

    def optional_text(self, name: str) -> str | None:
        """A string or None."""
        return self._typed(name, str, "a string")

    def optional_count(self, name: str) -> int | None:
        """A whole number from 1, or None."""
        value = self._typed(name, int, "a whole number")
        if value is not None and value < 1:
            self._problems.add(
                "invalid_request", f"found {value}", self.path(name), "a whole number from 1"
            )
        return value

    def flag(self, name: str) -> bool:
        """True or false; false when absent."""
        return self._typed(name, bool, "`true` or `false`") or False

    def object(self, name: str) -> dict[str, Any]:
        """A JSON object; the empty one when absent."""
        return self._typed(name, dict, "an object") or {}

    def items(self, name: str, *, required: bool = False) -> list[Any]:
        """A JSON array; the empty one when absent, which is a problem if it is required."""
        if required and self._values.get(name) is None:
            self._missing_or_wrong(name, None, "an array")
        return self._typed(name, list, "an array") or []

    def get(self, name: str) -> Any:
        """The value as it came, None when absent."""
        return self._values.get(name)

    def required(self, name: str) -> Any:
        """The value as it came; a problem when absent."""
        value = self._values.get(name)
        if value is None:
            self._missing_or_wrong(name, None, "a value")
        return value

    def _typed(self, name: str, kind: type[T], expected: str) -> T | None:
        value = self._values.get(name)
        if value is None or type(value) is kind:
            return value
        self._missing_or_wrong(name, value, expected)
        return None

    def _missing_or_wrong(self, name: str, value: Any, expected: str) -> None:
        if value is None and not self._values and self._problems.found:
            return  # the object itself was refused, which is told already
        if value is None:
            self._problems.add("missing_field", "it is missing", self.path(name), expected)
        else:
            self._problems.add("wrong_type", f"found {type_name(value)}", self.path(name), expected)

    def _refuse_unknown(self, known: tuple[str, ...]) -> None:
        for name in sorted(self._values.keys() - set(known)):
            shown = "".join(char if char.isprintable() else "\ufffd" for char in name[:64])
            near = get_close_matches(shown, known, 1, 0.8)
            expected = f"`{near[0]}`" if near else "one of " + ", ".join(f"`{k}`" for k in known)
            self._problems.add(
                "unknown_field", f"`{shown}` is not known here", self.path(shown), expected
            )


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


def decode_consistency(value: Any, path: str, problems: Problems) -> Consistency:
    """One of the five ways to choose a snapshot; `minimize_latency` when absent."""
    if value is None:
        return MINIMIZE_LATENCY
    if type(value) is str and (named := _NAMED_CONSISTENCY.get(value)) is not None:
        return named
    if type(value) is dict and len(value) == 1:
        ((kind, argument),) = value.items()
        if kind in _MADE_CONSISTENCY and type(argument) is str:
            made = problems.attempt(_MADE_CONSISTENCY[kind], argument, f"{path}.{kind}")
            return made or MINIMIZE_LATENCY
    problems.add(
        "invalid_request",
        "it is not a consistency",
        path,
        '`"minimize_latency"`, `"fully_consistent"`, `{"at_least_as_fresh": zookie}`, '
        '`{"at_exact_snapshot": zookie}` or `{"at_time": RFC3339}`',
    )
    return MINIMIZE_LATENCY


_MADE_CONSISTENCY: Mapping[str, Callable[[str, str], Consistency]] = {
    "at_least_as_fresh": lambda zookie, _: AtLeastAsFresh(zookie),
    "at_exact_snapshot": lambda zookie, _: AtExactSnapshot(zookie),
    "at_time": lambda text, field: AtTime(parse_time(text, field)),
}
CONSISTENCY_QUERY = ("consistency", *_MADE_CONSISTENCY)


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
