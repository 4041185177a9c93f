"""The JSON form of models: both spellings, what is ignored, what is refused, what it means."""

from __future__ import annotations

import json
from typing import Any

import pytest

from engine.schemas import compile_schema
from schema import parse_schema
from schema.errors import SchemaSyntaxError
from schema.fga.decode import MAX_DEPTH, decode_model, parse_json_model
from schema.model import ParameterType, SubjectType
from schema.rewrite import Arrow, ArrowMode, Computed, Exclusion, Intersection, This, Union

MODEL: dict[str, Any] = {
    "id": "01HVMMBCMGZNT3SED4Z17ECXCA",
    "schema_version": "1.1",
    "type_definitions": [
        {"type": "user", "relations": {}, "metadata": None},
        {
            "type": "my-doc",
            "relations": {
                "owner": {"this": {}},
                "parent": {"this": {}},
                "viewer": {
                    "union": {
                        "child": [
                            {"this": {}},
                            {"computedUserset": {"object": "", "relation": "owner"}},
                            {
                                "tupleToUserset": {
                                    "tupleset": {"object": "", "relation": "parent"},
                                    "computedUserset": {"object": "", "relation": "viewer"},
                                }
                            },
                        ]
                    }
                },
                "can.share": {
                    "difference": {
                        "base": {"computedUserset": {"relation": "owner"}},
                        "subtract": {
                            "intersection": {
                                "child": [
                                    {"computedUserset": {"relation": "owner"}},
                                    {"computedUserset": {"relation": "viewer"}},
                                ]
                            }
                        },
                    }
                },
            },
            "metadata": {
                "module": "core",
                "source_info": {"file": "core.fga"},
                "relations": {
                    "owner": {"directly_related_user_types": [{"type": "user", "condition": ""}]},
                    "parent": {"directly_related_user_types": [{"type": "my-doc"}]},
                    "viewer": {
                        "directly_related_user_types": [
                            {"type": "user"},
                            {"type": "user", "wildcard": {}, "condition": "near"},
                            {"type": "my-doc", "relation": "owner"},
                            {"type": "user"},
                        ],
                        "module": "other",
                    },
                },
            },
        },
    ],
    "conditions": {
        "near": {
            "name": "near",
            "expression": "x < 100 && 'a' in l",
            "parameters": {
                "x": {"type_name": "TYPE_NAME_INT", "generic_types": []},
                "l": {
                    "type_name": "TYPE_NAME_LIST",
                    "generic_types": [{"type_name": "TYPE_NAME_STRING"}],
                },
            },
            "metadata": None,
        }
    },
}


def respelled(value: Any, spell: Any) -> Any:
    """`value` with every key that is a field's name in another spelling."""
    if isinstance(value, list):
        return [respelled(item, spell) for item in value]
    if not isinstance(value, dict):
        return value
    return {spell(key): respelled(item, spell) for key, item in value.items()}


def camel(key: str) -> str:
    first, *rest = key.split("_")
    return first + "".join(part.capitalize() for part in rest)


def snake(key: str) -> str:
    return "".join(f"_{char.lower()}" if char.isupper() else char for char in key)


def test_a_model_means_the_schema_it_says() -> None:
    schema = parse_schema(json.dumps(MODEL), "fga")
    doc = schema.object_types["my-doc"]
    assert list(doc.relations) == ["owner", "parent", "viewer"]
    assert list(doc.permissions) == ["can.share"]
    assert doc.relations["owner"].rewrite == This()
    assert doc.relations["viewer"].rewrite == Union(
        (This(), Computed("owner"), Arrow("parent", ArrowMode.ANY, Computed("viewer")))
    )
    assert doc.relations["viewer"].subject_types == (
        SubjectType("user"),
        SubjectType("user", wildcard=True, caveat="near"),
        SubjectType("my-doc", "owner"),
    )
    assert doc.permissions["can.share"].rewrite == Exclusion(
        Computed("owner"), Intersection((Computed("owner"), Computed("viewer")))
    )
    near = schema.caveats["near"]
    assert near.strict
    assert near.parameters == {
        "x": ParameterType("int"),
        "l": ParameterType("list", ParameterType("string")),
    }


def test_a_model_compiles_for_the_engine() -> None:
    assert compile_schema(json.dumps(MODEL), "fga").schema.caveats["near"].strict


@pytest.mark.parametrize("spell", [camel, snake])
def test_fields_are_accepted_in_both_spellings(spell: Any) -> None:
    assert decode_model(respelled(MODEL, spell)) == decode_model(MODEL)


def test_unknown_fields_are_ignored_and_the_id_is_kept() -> None:
    model = decode_model({**MODEL, "store": "x", "resolution": [1]})
    assert model == decode_model(MODEL)
    assert model.id == MODEL["id"]
    assert decode_model({key: MODEL[key] for key in MODEL if key != "id"}).id == ""


def test_where_parts_come_from_is_kept() -> None:
    doc = parse_json_model(json.dumps(MODEL)).types[1]
    assert (doc.origin.module, doc.origin.file) == ("core", "core.fga")
    assert doc.relations["viewer"].origin.module == "other"


def nested(depth: int) -> Any:
    inner: Any = {"this": {}}
    for _ in range(depth):
        inner = {"union": {"child": [inner, {"this": {}}]}}
    return inner


REFUSED: list[tuple[str, str, str]] = [
    ("no JSON", "{", "not JSON"),
    ("not an object", "[]", "the model must be an object"),
    ("twice", '{"id": "", "id": ""}', "a field is given twice"),
    ("twice, in two spellings", '{"schema_version": "", "schemaVersion": ""}', "given twice"),
    ("NaN", '{"x": NaN}', "not JSON: NaN"),
    ("a lone surrogate", '{"id": "\\ud800"}', "a lone surrogate"),
    ("a number for text", '{"schema_version": 1.1}', "schema_version must be a string"),
    ("types not in an array", '{"type_definitions": {}}', "type_definitions must be an array"),
    ("a type that is text", '{"type_definitions": ["user"]}', "type_definitions[0] must be"),
    (
        "two rewrites in one",
        '{"type_definitions": [{"type": "a", "relations": {"r": {"this": {}, "union": {}}}}]}',
        "type_definitions[0].relations.r has both this and union",
    ),
    (
        "a type of parameter that there is not",
        '{"conditions": {"c": {"parameters": {"x": {"type_name": "TYPE_NAME_UUID"}}}}}',
        "conditions.c.parameters.x.type_name is not the name of a type",
    ),
    (
        "a rewrite too deep",
        json.dumps(
            {"type_definitions": [{"type": "a", "relations": {"r": nested(MAX_DEPTH + 1)}}]}
        ),
        f"nested more than {MAX_DEPTH} levels deep",
    ),
    ("JSON too deep", '{"x":' + "[" * 100_000 + "]" * 100_000 + "}", "nested too deeply"),
]


@pytest.mark.parametrize(("text", "why"), [c[1:] for c in REFUSED], ids=[c[0] for c in REFUSED])
def test_what_is_no_model_is_refused(text: str, why: str) -> None:
    with pytest.raises(SchemaSyntaxError) as caught:
        parse_schema(text, "fga")
    assert why in caught.value.problems[0].message
