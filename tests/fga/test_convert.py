"""Schemas said in the other language answer every check alike."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from engine import asking
from engine.requests import Check
from engine.tuples import Object, RelationTuple, Subject
from schema import parse_schema
from schema.fga.convert.from_zed import to_model
from schema.fga.convert.notes import CannotConvertError, Effect
from schema.fga.convert.to_zed import Moves, to_zed
from schema.fga.dsl.print import print_model
from schema.fga.language import parse_dsl, schema_of
from schema.fga.lower import lower
from schema.fga.model import AuthorizationModel
from schema.model import Schema
from schema.rewrite import (
    Arrow,
    ArrowMode,
    Computed,
    Exclusion,
    Intersection,
    Nil,
    Rewrite,
    Self,
    Union,
)
from tests.engine.agreement import answerer, simplified
from tests.fga.strategies import BUSY, models
from tests.reference import Condition, Oracle, World
from tests.schema.strategies import PERMISSIONS, RELATIONS, schemas

NOW = datetime(2030, 1, 1, tzinfo=UTC)
CONTEXT = {"x": 1, "y": "a"}
IDS = "12"


def says(name: str, stored: str, request: Mapping[str, Any]) -> Condition:
    """The conditions of `tests.fga.strategies`, by hand; every parameter is given."""
    assert not stored
    return bool(request["x"] < 5 and request["y"] == "a" if name == "near" else request["x"] == 1)


def some_tuples(schema: Schema, seed: int) -> list[RelationTuple]:
    """Tuples of every form that the schema allows, over two ids each."""
    pick = random.Random(seed)
    found: dict[object, RelationTuple] = {}
    relations = [
        (object_type.name, relation)
        for object_type in schema.object_types.values()
        for relation in object_type.relations.values()
    ]
    for _ in range(30 if relations else 0):
        type_name, relation = pick.choice(relations)
        form = pick.choice(relation.subject_types)
        subject = Subject(form.type, "*" if form.wildcard else pick.choice(IDS), form.relation)
        object_ = Object(type_name, pick.choice(IDS))
        item = RelationTuple(object_, relation.name, subject, form.caveat, "", None)
        found.setdefault(item.identity, item)
    return list(found.values())


def moved(tuples: Sequence[RelationTuple], moves: Moves) -> list[RelationTuple]:
    """The same tuples, on the relations that they have moved to."""
    return [
        item._replace(relation=moves.get((item.object.type, item.relation), item.relation))
        for item in tuples
    ]


def questions(schema: Schema) -> list[Check]:
    """Every name of every object, asked for users, an object and a userset."""
    kinds = [kind for kind in schema.object_types.values() if kind.names]
    subjects = [Subject(kind, "1") for kind in schema.object_types]
    subjects += [Subject(kinds[0].name, "2", kinds[0].names[-1])] if kinds else []
    return [
        Check(Object(kind.name, id_), name, subject, CONTEXT)
        for kind in kinds
        for id_ in IDS
        for name in kind.names
        for subject in subjects
    ]


async def answers(schema: Schema, tuples: Sequence[RelationTuple], checks: Sequence[Check]) -> Any:
    """What the engine answers."""
    world = World(schema, tuples, CONTEXT, NOW, says)
    return [simplified(result) for result in await answerer(asking)(world, checks)]


def truth(schema: Schema, tuples: Sequence[RelationTuple], checks: Sequence[Check]) -> Any:
    """What the reference evaluator answers."""
    world = World(schema, tuples, CONTEXT, NOW, says)
    places = list({check.object for check in checks})
    oracles = {check.subject: Oracle(world, check.subject, places) for check in checks}
    return [oracles[check.subject].answer(check.object, check.relation) for check in checks]


@settings(BUSY, max_examples=8)
@given(models(), st.integers(0, 2**32))
async def test_a_model_and_its_zed_answer_alike(model: AuthorizationModel, seed: int) -> None:
    schema, made = lower(model), to_zed(model)
    tuples, checks = some_tuples(schema, seed), questions(schema)
    expected = truth(schema, tuples, checks)
    assert await answers(schema, tuples, checks) == expected
    zed = parse_schema(made.text)
    assert truth(zed, moved(tuples, made.moves), checks) == expected
    assert await answers(zed, moved(tuples, made.moves), checks) == expected


@settings(BUSY, max_examples=8)
@given(models(), st.integers(0, 2**32))
async def test_a_model_comes_back_from_zed_with_the_same_answers(
    model: AuthorizationModel, seed: int
) -> None:
    made = to_zed(model)
    back = to_model(parse_schema(made.text)).model
    read = schema_of(parse_dsl(print_model(back)))
    tuples, checks = some_tuples(lower(model), seed), questions(lower(model))
    expected = truth(lower(model), tuples, checks)
    assert await answers(read, moved(tuples, made.moves), checks) == expected


def sayable(schema: Schema) -> Schema:
    """The schema without what OpenFGA has no words for: walked usersets, `all`, `self`, and
    permissions that are computed from those after them."""
    types = {}
    for object_type in schema.object_types.values():
        relations = {}
        for relation in object_type.relations.values():
            forms = relation.subject_types
            if relation.name in RELATIONS:
                forms = tuple(dict.fromkeys(replace(form, relation="") for form in forms))
            relations[relation.name] = replace(relation, subject_types=forms)
        permissions = {
            permission.name: replace(permission, rewrite=_said(permission.rewrite, index))
            for index, permission in enumerate(object_type.permissions.values())
        }
        types[object_type.name] = replace(object_type, relations=relations, permissions=permissions)
    return Schema(types, schema.caveats)


def _said(rewrite: Rewrite, index: int) -> Rewrite:
    match rewrite:
        case Union(children) | Intersection(children):
            return type(rewrite)(tuple(_said(child, index) for child in children))
        case Exclusion(base, subtracted):
            return Exclusion(_said(base, index), _said(subtracted, index))
        case Arrow(relation, _, target):
            inner = target if isinstance(target, Computed) else _arrow_to_any(target)
            return Arrow(relation, ArrowMode.ANY, inner)
        case Computed(relation) if relation in PERMISSIONS[index:]:
            return Computed("open")
        case Self():
            return Nil()
        case _:
            return rewrite


def _arrow_to_any(arrow: Arrow) -> Arrow:
    return Arrow(arrow.relation, ArrowMode.ANY, arrow.target)


@settings(BUSY, max_examples=10)
@given(schemas(traits=False).map(sayable), st.integers(0, 2**32))
async def test_a_schema_and_its_model_answer_alike(schema: Schema, seed: int) -> None:
    try:
        model = schema_of(to_model(schema).model)
    except CannotConvertError as error:  # an exclusion may depend on itself, over an arrow
        told = [note.message for note in error.notes if note.effect is Effect.REFUSED]
        assume(not all("is invalid" in message for message in told))
        raise
    tuples = some_tuples(schema, seed)
    checks = [
        check
        for check in questions(schema)
        if check.relation in model.object_types[check.object.type].names
        and (
            not check.subject.relation
            or check.subject.relation in model.object_types[check.subject.type].names
        )
    ]
    expected = truth(schema, tuples, checks)
    assert truth(model, tuples, checks) == expected
    assert await answers(model, tuples, checks) == expected


ZED = """
caveat bounded(n uint) { n < 5 }

definition user {}
definition acme/team {
    /** Who is in it. */
    relation member: user | user:* with bounded
    relation nobody: acme/team#nobody
    permission view = member - nobody + nil
}
definition doc {
    relation home: acme/team
    permission deep = home->member
    permission none = nil
}
"""


def test_what_openfga_need_not_say_is_told() -> None:
    made = to_model(parse_schema(ZED))
    team, doc = made.model.types[1], made.model.types[2]
    assert list(team.relations) == ["member", "view"]
    assert team.relations["view"].rewrite == Computed("member")
    assert list(doc.relations) == ["home", "deep"]
    assert [str(note) for note in made.notes if note.effect is Effect.LOST] == [
        "acme/team#member: its comment",
        "bounded: that values of type `uint` are not negative: they are of type `int`",
        "acme/team#nobody: left out: nobody can ever be in it, and OpenFGA refuses that",
        "doc#none: left out: nobody can ever be in it, and OpenFGA refuses that",
    ]


REFUSED_ZED = [
    ("relation r: user with expiration", "doc#r: tuples of OpenFGA do not expire"),
    (
        "relation r: doc\npermission p = r.all(p)",
        "doc#p: OpenFGA has no arrow over all objects",
    ),
    ("permission p = self", "doc#p: OpenFGA has no word for the object itself"),
    (
        "relation r: doc#r | doc\npermission p = r->r",
        (
            "doc#p: `r` is walked and allows the userset `doc#r`, "
            "and OpenFGA walks only relations of objects"
        ),
    ),
    (
        "relation r: user\npermission p = r + q\npermission q = r + p",
        (
            "OpenFGA's server would refuse it: the definition of relation 'p' in object type 'doc' "
            "is invalid: an authorization model cannot contain a cycle"
        ),
    ),
    (
        f"relation {'a' * 51}: user",
        f"doc#{'a' * 51}: the name does not match OpenFGA's rule ^[^:#@\\*\\s]{{1,50}}$",
    ),
    (
        "relation r: user with c\n}\ncaveat c(x map<any>, y bytes) { x.isSubtreeOf({}) && y == b''",
        "c: OpenFGA's expressions have neither `isSubtreeOf` nor optional values",
    ),
]


@pytest.mark.parametrize(("body", "message"), REFUSED_ZED)
def test_what_openfga_cannot_say_is_refused(body: str, message: str) -> None:
    flags = "use expiration\nuse self\n"
    schema = parse_schema(f"{flags}definition user {{}}\ndefinition doc {{\n{body}\n}}")
    with pytest.raises(CannotConvertError) as caught:
        to_model(schema)
    assert message in {str(n) for n in caught.value.notes if n.effect is Effect.REFUSED}


def test_a_nested_arrow_becomes_a_relation() -> None:
    schema = parse_schema(
        "definition user {}\n"
        "definition org { relation admin: user }\n"
        "definition team { relation org: org }\n"
        "definition doc { relation team: team\npermission admin = team->org->admin }"
    )
    text = print_model(to_model(schema).model)
    assert "define org_to_admin: admin from org" in text
    assert "define admin: org_to_admin from team" in text


MODEL = """model
  schema 1.1
type user
type doc
  relations
    define viewer: [user, user:*] or editor
    define viewer_direct: [user]
    define public: [user:*, doc#public]
    define editor: [user, doc#public]
"""


def test_relations_that_are_stored_and_computed_move_their_tuples() -> None:
    made = to_zed(parse_dsl(MODEL))
    assert made.moves == {
        ("doc", "viewer"): "viewer_direct_",
        ("doc", "public"): "public_direct",
    }
    assert "permission viewer = viewer_direct_ + editor" in made.text
    assert "relation editor: user | doc#public" in made.text
    assert [str(note) for note in made.notes] == [
        "doc#viewer: its tuples are those of `doc#viewer_direct_`",
        "doc#public: its tuples are those of `doc#public_direct`",
    ]


@pytest.mark.parametrize("name", ["Viewer", "can.share", "nil", "definition", "_x"])
def test_names_that_zed_does_not_have_are_refused(name: str) -> None:
    text = f"model\n  schema 1.1\ntype user\n  relations\n    define {name}: [user]\n"
    with pytest.raises(CannotConvertError, match="cannot be a name"):
        to_zed(parse_dsl(text))


def test_what_a_server_may_refuse_is_told() -> None:
    expression = " || ".join(["x == 1"] * 60)
    types = "".join(f"definition t{number} {{}}\n" for number in range(101))
    made = to_model(parse_schema(f"caveat c(x int) {{ {expression} }}\n{types}"))
    assert [str(note) for note in made.notes if note.effect is Effect.LIMIT] == [
        "a server of OpenFGA may refuse more than 100 types",
        "c: a server of OpenFGA may refuse an expression of more than 512 bytes",
    ]
