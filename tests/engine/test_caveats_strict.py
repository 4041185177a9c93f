"""What strict caveats may say, and the constructor of addresses."""

from __future__ import annotations

import pytest

from engine.caveats import CaveatSet
from engine.caveats.compile import CompiledCaveat, compile_caveat
from engine.errors import CaveatFailed
from schema.errors import Problem
from schema.model import Caveat, ParameterType, Schema


def caveat(expression: str, *, strict: bool = True, **types: str) -> Caveat:
    parameters = {name: ParameterType(type_) for name, type_ in types.items()}
    return Caveat("c", parameters, expression, strict=strict)


def problems(made: Caveat) -> list[Problem]:
    found = compile_caveat(made)
    return [] if isinstance(found, CompiledCaveat) else found


def test_only_a_strict_caveat_may_leave_a_parameter_unused() -> None:
    assert problems(caveat("true", x="int")) == []
    found = problems(caveat("true", x="int", strict=False))
    assert [problem.code for problem in found] == ["caveat_unused_parameter"]


@pytest.mark.parametrize(("expression", "strict"), [("x < 5u", True), ("x < 5", False)])
def test_uint_is_a_type_of_its_own_in_strict_caveats(expression: str, *, strict: bool) -> None:
    made = caveat(expression, x="uint", strict=strict)
    assert problems(made) == []
    assert problems(caveat(expression, x="uint", strict=not strict))
    caveats = CaveatSet(Schema({}, {"c": made}))
    assert caveats.bind({"x": 4}).evaluate("c", "") is True
    assert caveats.bind({"x": "5"}).evaluate("c", "") is False


def test_a_problem_names_its_caveat_and_repeats_what_cel_says() -> None:
    (problem,) = problems(caveat("y", x="int"))
    assert problem.about == "c"
    assert problem.detail.startswith("ERROR: c:1:1: undeclared reference to 'y'")
    (problem,) = problems(caveat("x", x="int"))
    assert (problem.code, problem.about, problem.detail) == ("caveat_not_boolean", "c", "int")


def test_an_address_can_be_made_of_text() -> None:
    made = caveat('x == ipaddress("192.0.2.1") || ipaddress(y).in_cidr("10.0.0.0/8")')
    made = Caveat(
        "c", {"x": ParameterType("ipaddress"), "y": ParameterType("string")}, made.expression
    )
    caveats = CaveatSet(Schema({}, {"c": made}))
    assert caveats.bind({"x": "192.0.2.1", "y": "192.0.2.1"}).evaluate("c", "") is True
    assert caveats.bind({"x": "::ffff:192.0.2.1", "y": "192.0.2.1"}).evaluate("c", "") is True
    assert caveats.bind({"x": "192.0.2.2", "y": "::ffff:10.1.2.3"}).evaluate("c", "") is True
    assert caveats.bind({"x": "192.0.2.2", "y": "11.0.0.0"}).evaluate("c", "") is False
    with pytest.raises(CaveatFailed):
        caveats.bind({"x": "192.0.2.2", "y": "10.1"}).evaluate("c", "")
