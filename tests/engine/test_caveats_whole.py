"""Strict caveats: what is missing, and how they read the values of a context."""

from __future__ import annotations

from typing import Any

import pytest

from engine.caveats import CaveatSet
from engine.errors import CaveatFailed, InvalidContext
from engine.requests import Check
from engine.schemas import CompiledSchema
from engine.tuples import parse_object, parse_subject, parse_tuple
from schema import rewrite as rw
from schema.model import Caveat, ObjectType, ParameterType, Relation, Schema, SubjectType
from tests.engine.ground import NOW, PLENTY, Setting, reader_of


def type_of(text: str) -> ParameterType:
    name, _, argument = text.rstrip(">").partition("<")
    return ParameterType(name, type_of(argument) if argument else None)


def caveats(expression: str, types: dict[str, str], *, strict: bool = True) -> CaveatSet:
    parameters = {name: type_of(text) for name, text in types.items()}
    return CaveatSet(Schema({}, {"c": Caveat("c", parameters, expression, strict=strict)}))


def outcome(
    expression: str, types: dict[str, str], context: dict[str, Any], stored: str = "", **how: bool
) -> Any:
    return caveats(expression, types, **how).bind(context).evaluate("c", stored)


EITHER = ("x == 1 || y == 2", {"x": "int", "y": "int"})


@pytest.mark.parametrize(
    ("context", "stored", "lenient", "strict"),
    [
        ({}, "", {"x", "y"}, {"x", "y"}),
        ({"x": 1}, "", True, {"y"}),
        ({"x": 1}, '{"y":3}', True, True),
        ({"x": 3}, '{"y":2}', True, True),
        ({"x": 1, "y": 2}, '{"x":5,"y":5}', False, False),
        ({"z": 1}, '{"x":1}', True, {"y"}),
        ({"y": 9, "z": 1}, '{"x":5}', False, False),
    ],
)
def test_nothing_may_be_missing(
    context: dict[str, Any], stored: str, lenient: Any, strict: Any
) -> None:
    assert outcome(*EITHER, context, stored) == strict
    assert outcome(*EITHER, context, stored, strict=False) == lenient


def test_an_unused_parameter_is_wanted_too() -> None:
    assert outcome("x == 1", {"x": "int", "y": "int"}, {"x": 1}) == {"y"}
    assert outcome("x == 1", {"x": "int", "y": "int"}, {"x": 1, "y": 0}) is True
    assert outcome("true", {}, {"x": 1}) is True


def test_what_is_missing_goes_before_what_fails() -> None:
    types = {"x": "int", "y": "int"}
    assert outcome("1 / x == 1 && y == 1", types, {"x": 0}) == {"y"}
    with pytest.raises(CaveatFailed):
        outcome("1 / x == 1 && y == 1", types, {"x": 0, "y": 1})


@pytest.mark.parametrize(
    ("type_", "value", "expression"),
    [
        ("int", "10.0", "x == 10"),
        ("int", "1e3", "x == 1000"),
        ("int", 10.0, "x + 1 == 11"),
        ("int", "-3", "x == -3"),
        ("uint", "4", "x + 1u == 5u"),
        ("uint", 4.0, "x + 1u == 5u"),
        ("double", "1.5", "x == 1.5"),
        ("double", 3, "x / 2.0 == 1.5"),
        ("duration", "1h30m", 'x == duration("90m")'),
        ("timestamp", "2023-05-01T00:00:00.5Z", 'x > timestamp("2023-05-01T00:00:00Z")'),
        ("ipaddress", "::ffff:10.1.2.3", 'x.in_cidr("10.0.0.0/8")'),
        ("ipaddress", "10.1.2.3", 'x.in_cidr("::ffff:10.0.0.0/104")'),
        ("any", 5, "x / 2.0 == 2.5"),
        ("any", 5, "x == 5"),
        ("any", {"a": [5, True, None]}, "x.a[0] / 2.0 == 2.5 && x.a[1] == true && x.a[2] == null"),
        ("any", None, "x == null"),
        ("list<any>", [1], "x[0] / 2.0 == 0.5"),
        ("map<any>", {"a": 1}, "x.a / 2.0 == 0.5"),
        ("list<int>", ["1.0", 2.0], "x == [1, 2]"),
        ("map<string>", {"a": "b"}, 'x == {"a": "b"}'),
    ],
)
def test_values_are_read_as_openfga_does(type_: str, value: Any, expression: str) -> None:
    made = caveats(expression, {"x": type_})
    assert made.bind({"x": value}).evaluate("c", "") is True
    stored = made.normalize_context("c", {"x": value}, "context")
    assert made.bind({}).evaluate("c", stored) is True
    assert made.normalize_context("c", {"x": value}, "context") == stored


@pytest.mark.parametrize(
    ("type_", "value"),
    [
        ("int", "1.5"),
        ("int", 1.5),
        ("int", "1e30"),
        ("int", "1e9999"),
        ("int", "1e-9999"),
        ("int", "inf"),
        ("int", "0x10"),
        ("int", "9223372036854775808"),
        ("int", True),
        ("int", None),
        ("uint", "-1.0"),
        ("uint", -1),
        ("double", "nan"),
        ("bool", "true"),
        ("string", 1),
        ("duration", "2sm"),
        ("duration", 1),
        ("timestamp", "2023-0914"),
        ("ipaddress", "invalid"),
        ("list<string>", "hello"),
        ("list<string>", ["hello", 1]),
        ("map<string>", {"hello": 1}),
        ("map<string>", None),
    ],
)
def test_what_openfga_refuses_is_refused(type_: str, value: Any) -> None:
    made = caveats("x == x", {"x": type_})
    with pytest.raises(InvalidContext):
        made.bind({"x": value}).evaluate("c", "")
    with pytest.raises(InvalidContext):
        made.normalize_context("c", {"x": value}, "context")


def test_other_caveats_read_as_ever() -> None:
    with pytest.raises(InvalidContext):
        outcome("x == 10", {"x": "int"}, {"x": "10.0"}, strict=False)
    with pytest.raises(CaveatFailed):
        outcome("x / 2.0 == 2.5", {"x": "any"}, {"x": 5}, strict=False)


def test_two_kinds_of_caveats_share_no_value() -> None:
    """Though they ask for a parameter of the same name and type."""
    made = {
        name: Caveat(name, {"x": ParameterType("any")}, "x / 2 == 2", strict=strict)
        for name, strict in (("lenient", False), ("strict", True))
    }
    for order in (("lenient", "strict"), ("strict", "lenient")):
        bound = CaveatSet(Schema({}, made)).bind({"x": 5})
        told: dict[str, object] = {}
        for name in order:
            try:
                told[name] = bound.evaluate(name, "")
            except CaveatFailed:
                told[name] = "failed"
        assert told == {"lenient": True, "strict": "failed"}


async def test_a_check_is_conditional_until_all_is_known() -> None:
    form = SubjectType("user", caveat="c")
    document = ObjectType("document", {"viewer": Relation("viewer", (form,), rw.This())}, {})
    types = {"user": ObjectType("user", {}, {}), "document": document}
    caveat = Caveat("c", {"x": type_of("int"), "y": type_of("int")}, EITHER[0], strict=True)
    schema = Schema(types, {"c": caveat})
    reader = await reader_of([parse_tuple('document:1#viewer@user:ann[c:{"x":1}]')])
    setting = Setting(CompiledSchema(schema, CaveatSet(schema)), reader, PLENTY)
    asked = (parse_object("document:1"), "viewer", parse_subject("user:ann"))
    told = await setting.ask(Check(*asked), Check(*asked, context={"y": 7}))
    assert told == ["conditional", "allowed"]
    assert setting.ground.now == NOW
