"""The members of a client's JSON objects, taken one by one, and all that is wrong with them.

Strict means: no value of another type (a boolean is not a number), no string where an object is
due, and no unknown member. `null` in an optional place means absent. Every problem carries the path
of its value, as in `updates[3].tuple.subject`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from difflib import get_close_matches
from typing import Any, TypeVar

from engine.errors import EngineError, InvalidRequest
from engine.jsontext import type_name

T = TypeVar("T")
JsonObject = Mapping[str, Any]
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
