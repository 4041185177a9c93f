"""All caveats of a schema, and their evaluation under the context of one request."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from engine.caveats.compile import CompiledCaveat, compile_caveat
from engine.caveats.cost import ContextSize
from engine.caveats.regex import regex_weight
from engine.caveats.values import convert, extent, strings_in, text_items
from engine.errors import CaveatFailed, InvalidContext, InvalidRequest, UnknownCaveat
from engine.jsontext import canonical_json, parse_json_object
from schema.errors import Problem, SchemaTypeError
from schema.model import Caveat, ParameterType, Schema

Outcome = bool | frozenset[str]
_CACHED_CONTEXTS = 4096
_CACHED_LENGTH = 1024
MAX_CAVEATS = 500
"""In one schema. A compiled one takes about 130 KB, however short its text."""


class CaveatSet:
    """Every caveat of a schema, compiled once. Immutable, and safe to share among threads."""

    def __init__(self, schema: Schema) -> None:
        """Raises SchemaTypeError with all problems of all caveats."""
        problems: list[Problem] = []
        if len(schema.caveats) > MAX_CAVEATS:
            raise SchemaTypeError((_too_many(list(schema.caveats.values())),))
        self._compiled: dict[str, CompiledCaveat] = {}
        for caveat in schema.caveats.values():
            made = compile_caveat(caveat)
            if isinstance(made, CompiledCaveat):
                self._compiled[caveat.name] = made
            else:
                problems += made
        if problems:
            raise SchemaTypeError(tuple(problems))
        self._short_contexts = lru_cache(maxsize=_CACHED_CONTEXTS)(self._read_stored)

    def normalize_context(self, name: str, context: Mapping[str, Any], field: str) -> str:
        """The canonical JSON text of a context that is to be stored with a tuple.

        Equal values give equal text: an int given as 1, "1" or 1.0 is 1. Durations and timestamps
        stay as they were written. Raises UnknownCaveat and, naming `field`, InvalidContext for
        unknown names and for values of the wrong type.
        """
        compiled = self._find(name, field)
        made = {}
        for key, value in context.items():
            type_ = compiled.parameters.get(key)
            if type_ is None:
                raise InvalidContext(
                    f"caveat `{name}` has no parameter `{key[:64]}`",
                    field=f"{field}.{key[:64]}",
                    expected="one of " + ", ".join(f"`{each}`" for each in compiled.parameters),
                )
            made[key] = convert(value, type_, f"{field}.{key}", strict=compiled.strict).json
        text = canonical_json(made)
        size = ContextSize(len(text), text_items(text), _pattern_weight(compiled, made))
        if not compiled.bears(size):
            raise InvalidContext(
                f"with so large a context caveat `{name}` can take too long", field=field
            )
        return text

    def bind(self, context: Mapping[str, Any], field: str = "context") -> Bound:
        """An evaluator for one request, whose own context is `context`.

        Names that no caveat knows are ignored, as one request may meet many caveats; values are
        read when an evaluation needs them.
        """
        return Bound(self, context, field)

    def _find(self, name: str, field: str = "") -> CompiledCaveat:
        try:
            return self._compiled[name]
        except KeyError:
            raise UnknownCaveat(f"the schema has no caveat `{name[:64]}`", field=field) from None

    def _stored(self, name: str, stored: str) -> Mapping[str, Any]:
        if len(stored) > _CACHED_LENGTH:
            return self._read_stored(name, stored)
        return self._short_contexts(name, stored)

    def _read_stored(self, name: str, stored: str) -> Mapping[str, Any]:
        """A stored context as CEL values; names that the caveat has no more are left out."""
        if not stored:
            return {}
        compiled = self._find(name)
        parameters = compiled.parameters
        try:
            return {
                key: convert(value, parameters[key], key, strict=compiled.strict).cel
                for key, value in parse_json_object(stored).items()
                if key in parameters
            }
        except (InvalidContext, InvalidRequest) as error:
            raise CaveatFailed(
                f"a stored context does not fit caveat `{name}` any more: {error.message}"
            ) from error


class Bound:
    """Caveats under the context of one request. Not for sharing between requests."""

    __slots__ = ("_caveats", "_context", "_converted", "_field", "_known")

    def __init__(self, caveats: CaveatSet, context: Mapping[str, Any], field: str) -> None:
        self._caveats = caveats
        self._context = context
        self._field = field
        self._known: dict[tuple[str, str], Outcome] = {}
        self._converted: dict[tuple[str, ParameterType, bool], tuple[Any, tuple[int, int]]] = {}

    def evaluate(self, name: str, stored: str) -> Outcome:
        """Whether caveat `name` holds with the stored context `stored` (canonical JSON, or "").

        Stored values win over the request's. If the result is an error and parameters that the
        expression refers to were not given, the answer is their names; of a strict caveat always,
        if any of its parameters were not given. Raises CaveatFailed for any other error of the
        expression, InvalidContext for a value of the request that has the wrong type, and
        UnknownCaveat.
        """
        key = (name, stored)
        outcome = self._known.get(key)
        if outcome is None:
            outcome = self._known[key] = self._evaluate(name, stored)
        return outcome

    def _evaluate(self, name: str, stored: str) -> Outcome:
        compiled = self._caveats._find(name)  # noqa: SLF001 - one pair of classes
        values = dict(self._caveats._stored(name, stored))  # noqa: SLF001
        size, items = len(stored), text_items(stored)
        for parameter, type_ in compiled.parameters.items():
            if parameter not in values and parameter in self._context:
                asked = (parameter, type_, compiled.strict)
                values[parameter], (more, parts) = self._request_value(asked)
                size, items = size + more, items + parts
        if compiled.strict and len(values) < len(compiled.parameters):
            return frozenset(compiled.parameters).difference(values)
        if not compiled.bears(ContextSize(size, items, _pattern_weight(compiled, values))):
            raise CaveatFailed(f"with so large a context caveat `{name}` can take too long")
        try:
            result = compiled.expression.eval(data=values).value()
        except RuntimeError as error:  # what the binding raises when it stops at 10,000 loop steps
            raise CaveatFailed(f"caveat `{name}` was stopped: {_said(error)}") from error
        if isinstance(result, bool):
            return result
        missing = compiled.references.difference(values)
        if missing:
            return missing
        raise CaveatFailed(f"caveat `{name}` failed: {_said(result)}")

    def _request_value(self, asked: tuple[str, ParameterType, bool]) -> tuple[Any, tuple[int, int]]:
        if asked not in self._converted:
            parameter, type_, strict = asked
            given, field = self._context[parameter], f"{self._field}.{parameter}"
            made = convert(given, type_, field, strict=strict)
            self._converted[asked] = made.cel, extent(made.json)
        return self._converted[asked]


def _pattern_weight(compiled: CompiledCaveat, values: Mapping[str, Any]) -> int:
    """The weight of the heaviest pattern among these values of a caveat's parameters."""
    if not compiled.pattern_parameters:
        return 0
    given = (values[name] for name in compiled.pattern_parameters if name in values)
    return max((regex_weight(text) for value in given for text in strings_in(value)), default=0)


def _too_many(caveats: Sequence[Caveat]) -> Problem:
    """The problem of more caveats than a schema may have, at the first that is too many."""
    return Problem(
        "too_many_caveats",
        f"the schema has {len(caveats)} caveats, and at most {MAX_CAVEATS} can be compiled",
        caveats[MAX_CAVEATS].span,
    )


def _said(error: object) -> str:
    """CEL's own words, without its status codes and cut to what fits a message."""
    text = str(error).partition("\n")[0]
    status, colon, rest = text.partition(": ")
    text = (rest if colon and status.isupper() else text).partition(" [")[0]
    return "".join(char if char.isprintable() else "\ufffd" for char in text[:200])
