"""What OpenFGA's server says of wrong models, in its words and its order."""

from __future__ import annotations

import json
from typing import Any

import pytest

from engine.errors import SchemaRefused
from engine.schemas import compile_schema
from schema import parse_schema
from schema.errors import SchemaTypeError
from schema.fga.decode import decode_model
from schema.fga.validate import INVALID_MODEL, in_openfga_words, validate

THIS: dict[str, Any] = {"this": {}}
USER: dict[str, Any] = {"type": "user"}


def computed(relation: str) -> dict[str, Any]:
    return {"computedUserset": {"object": "", "relation": relation}}


def walk(tupleset: str, relation: str) -> dict[str, Any]:
    return {
        "tupleToUserset": {
            "tupleset": {"relation": tupleset},
            "computedUserset": {"relation": relation},
        }
    }


def union(*children: Any) -> dict[str, Any]:
    return {"union": {"child": list(children)}}


def both(*children: Any) -> dict[str, Any]:
    return {"intersection": {"child": list(children)}}


def minus(base: Any, subtract: Any) -> dict[str, Any]:
    return {"difference": {"base": base, "subtract": subtract}}


def kind(name: str, /, **relations: Any) -> dict[str, Any]:
    """A type; each relation is a rewrite, or a pair of it and its restrictions."""
    rewrites, metadata = {}, {}
    for relation, given in relations.items():
        rewrites[relation], allowed = given if isinstance(given, tuple) else (given, [])
        if allowed:
            metadata[relation] = {"directly_related_user_types": allowed}
    return {"type": name, "relations": rewrites, "metadata": {"relations": metadata}}


def model(*types: Any, conditions: Any = None, version: str = "1.1") -> dict[str, Any]:
    return {
        "schema_version": version,
        "type_definitions": [{"type": "user"}, *types],
        "conditions": conditions or {},
    }


def say(**changes: Any) -> dict[str, Any]:
    condition: dict[str, Any] = {
        "name": "c",
        "expression": "x",
        "parameters": {"x": {"type_name": "TYPE_NAME_BOOL"}},
    }
    return condition | changes


def wrong(relation: str, why: str) -> str:
    return f"the definition of relation '{relation}' in object type 'doc' is invalid: {why}"


ANYONE = (THIS, [USER])
LIST_OF_TWO = {"type_name": "TYPE_NAME_LIST", "generic_types": [{"type_name": 2}, {"type_name": 2}]}

CASES: list[tuple[str, Any, str]] = [
    ("version 1.0", model(version="1.0"), "invalid schema version"),
    ("no version", model(version=""), "invalid schema version"),
    ("twice", model(USER), "an authorization model cannot contain duplicate types"),
    ("type self", model(kind("self")), "the definition of type 'self' is invalid"),
    (
        "no type name",
        model(kind("")),
        "the type name of a type definition cannot be an empty string",
    ),
    (
        "no relation name",
        model({"type": "doc", "relations": {"": THIS}}),
        "type 'doc' defines a relation with an empty string for a name",
    ),
    (
        "relation this",
        model(kind("doc", this=ANYONE)),
        wrong("this", "self and this are reserved keywords"),
    ),
    ("no rewrite", model(kind("doc", r={})), wrong("r", "invalid userset rewrite definition")),
    (
        "no rewrite inside",
        model(kind("doc", r=(union(THIS, {}), [USER]))),
        wrong("r", "invalid userset rewrite definition"),
    ),
    (
        "itself",
        model(kind("doc", r=computed("r"))),
        wrong("r", "invalid userset rewrite definition"),
    ),
    ("computed", model(kind("doc", r=computed("x"))), "'doc#x' relation is undefined"),
    ("tupleset", model(kind("doc", r=walk("x", "y"))), "'doc#x' relation is undefined"),
    (
        "tupleset with a rewrite",
        model(kind("doc", a=ANYONE, p=computed("a"), r=walk("p", "r"))),
        (
            "the 'doc#p' relation is referenced in at least one tupleset "
            "and thus must be a direct relation"
        ),
    ),
    (
        "nothing there",
        model(kind("doc", p=(THIS, [USER, {"type": "doc"}]), r=walk("p", "x"))),
        (
            "undefined relation: x does not appear as a relation in any of the directly related "
            'user types [type:"user" type:"doc"]'
        ),
    ),
    (
        "nobody allowed",
        model(kind("doc", r=THIS)),
        "the assignable relation 'r' in object type 'doc' must contain at least one relation type",
    ),
    (
        "somebody allowed",
        model(kind("doc", a=ANYONE, r=(computed("a"), [USER]))),
        "the non-assignable relation 'r' in object type 'doc' should not contain a relation type",
    ),
    (
        "unknown type",
        model(kind("doc", r=(THIS, [{"type": "x"}]))),
        "the relation type 'x' on 'r' in object type 'doc' is not valid",
    ),
    (
        "unknown relation",
        model(kind("doc", r=(THIS, [{"type": "user", "relation": "x"}]))),
        "the relation type 'user#x' on 'r' in object type 'doc' is not valid",
    ),
    (
        "userset in a tupleset",
        model(
            kind("doc", p=(THIS, [{"type": "doc", "relation": "r"}]), r=union(walk("p", "r"), THIS))
        ),
        "the relation type 'doc#r' on 'p' in object type 'doc' is not valid",
    ),
    (
        "wildcard in a tupleset",
        model(
            kind(
                "doc",
                p=(THIS, [{"type": "doc", "wildcard": {}}]),
                r=(union(walk("p", "r"), THIS), [USER]),
            )
        ),
        "the relation type 'doc' on 'p' in object type 'doc' is not valid",
    ),
    (
        "unknown condition",
        model(kind("doc", r=(THIS, [USER | {"condition": "c"}]))),
        "condition c is undefined for relation r",
    ),
    (
        "union of one",
        model(kind("doc", r=(union(THIS), [USER]))),
        "invalid relation: 'doc#r' as union has less than 2 children",
    ),
    (
        "intersection of none",
        model(kind("doc", r=(union(THIS, both()), [USER]))),
        "invalid relation: 'doc#r' as intersection has less than 2 children",
    ),
    (
        "userset of itself",
        model(kind("doc", r=(THIS, [{"type": "doc", "relation": "r"}]))),
        wrong("r", "no entrypoints defined"),
    ),
    (
        "excluded without end",
        model(kind("doc", a=ANYONE, p=(THIS, [{"type": "doc"}]), r=minus(walk("p", "r"), THIS))),
        "the assignable relation 'r' in object type 'doc' must contain at least one relation type",
    ),
    (
        "parents without end",
        model(kind("doc", p=(THIS, [{"type": "doc"}]), r=walk("p", "r"))),
        wrong("r", "no entrypoints defined"),
    ),
    ("loop", model(kind("doc", a=computed("b"), b=computed("a"))), wrong("a", "potential loop")),
    (
        "cycle",
        model(kind("doc", a=(union(THIS, computed("b")), [USER]), b=computed("a"))),
        wrong("a", "an authorization model cannot contain a cycle"),
    ),
    (
        "a condition's key",
        model(conditions={"d": say()}),
        "condition key 'd' does not match condition name 'c'",
    ),
    (
        "a parameter without a type",
        model(conditions={"c": say(parameters={"x": {}})}),
        (
            "failed to compile expression on condition 'c' - failed to decode parameter type for "
            "parameter 'x': unknown condition parameter type `TYPE_NAME_UNSPECIFIED`"
        ),
    ),
    (
        "a list of two types",
        model(conditions={"c": say(parameters={"x": LIST_OF_TWO})}),
        (
            "failed to compile expression on condition 'c' - failed to decode parameter type for "
            "parameter 'x': condition parameter type `TYPE_NAME_LIST` requires 2 generic types; "
            "found 1"
        ),
    ),
]


@pytest.mark.parametrize(
    ("given", "message"), [case[1:] for case in CASES], ids=[c[0] for c in CASES]
)
def test_wrong_models_are_refused_in_the_words_of_openfga(given: Any, message: str) -> None:
    problem = validate(decode_model(given))
    assert problem is not None
    assert (problem.code, problem.message) == (INVALID_MODEL, message)


def test_the_first_problem_in_the_order_of_names_is_told() -> None:
    given = model(
        kind("b", r=computed("missing")),
        kind("a", z=computed("later"), y=THIS),
        conditions={"d": say()},
    )
    problem = validate(decode_model(given))
    assert problem is not None
    assert problem.message.startswith("the assignable relation 'y' in object type 'a'")


GOOD: list[tuple[str, Any]] = [
    ("no types", {"schema_version": "1.1", "type_definitions": []}),
    ("version 1.2", model(version="1.2")),
    (
        "one of two parents",
        model(
            kind("doc", p=(THIS, [USER, {"type": "doc"}]), r=ANYONE),
        ),
    ),
    (
        "a relation needed by both sides",  # which OpenFGA takes for a loop
        model(
            kind(
                "doc",
                z=ANYONE,
                x=computed("z"),
                y=computed("x"),
                a=both(computed("x"), computed("y")),
                b=computed("a"),
            )
        ),
    ),
    (
        "an entrypoint behind a userset",
        model(kind("doc", r=(THIS, [{"type": "doc", "relation": "s"}]), s=ANYONE)),
    ),
    ("a wildcard", model(kind("doc", r=(THIS, [USER | {"wildcard": {}}])))),
    ("a condition that nobody uses", model(conditions={"c": say()})),
]


@pytest.mark.parametrize("given", [case[1] for case in GOOD], ids=[c[0] for c in GOOD])
def test_right_models_are_taken(given: Any) -> None:
    assert validate(decode_model(given)) is None


def test_the_language_tells_the_problem() -> None:
    with pytest.raises(SchemaTypeError) as caught:
        parse_schema('{"schema_version": "0.9"}', "fga")
    assert [problem.message for problem in caught.value.problems] == ["invalid schema version"]


CONDITIONS = [
    ("y", "failed to compile expression on condition 'c' - ERROR: c:1:1: undeclared reference to"),
    ("1", "failed to compile expression on condition 'c' - expected a bool condition expression "),
    ("x &&", "failed to compile expression on condition 'c' - ERROR: c:1:5: Syntax error: "),
]


@pytest.mark.parametrize(("expression", "message"), CONDITIONS)
def test_what_the_engine_says_of_conditions_is_told_in_openfga_words(
    expression: str, message: str
) -> None:
    text = json.dumps(model(conditions={"c": say(expression=expression)}))
    with pytest.raises(SchemaRefused) as caught:
        compile_schema(text, "fga")
    told = in_openfga_words(caught.value.extra["problems"][0])
    assert told.code == INVALID_MODEL
    assert told.message.startswith(message)
