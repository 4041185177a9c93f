"""Reachability never says "never" of a subject that some tuples make a member."""

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schema import Schema, SubjectReach, parse_schema
from schema.rewrite import (
    Arrow,
    ArrowMode,
    Computed,
    Exclusion,
    Intersection,
    Nil,
    Rewrite,
    Self,
    This,
    Union,
)
from tests.schema.strategies import TYPES, schemas

TEXT = """
use self
definition user {}
definition bot {}
definition group {
  relation member: user | group#member
  relation guest: bot | user:*
  permission all = member + guest
  permission loop = member + loop
}
definition folder {
  relation parent: folder
  relation owner: user | group#all
  permission view = owner + parent->view
}
definition doc {
  relation folder: folder | group
  relation reader: group#member
  relation banned: bot
  permission both = reader & banned
  permission but = reader - banned
  permission up = folder->view
  permission every = folder.all(all)
  permission far = folder->parent->owner
  permission me = self
  permission never = nil
}
"""


@pytest.fixture(scope="module")
def reach() -> SubjectReach:
    return SubjectReach(parse_schema(TEXT))


@pytest.mark.parametrize(
    ("node", "subject", "reached"),
    [
        ("group#member", "user", True),
        ("group#member", "bot", False),
        ("group#guest", "user", True),
        ("group#all", "bot", True),
        ("group#loop", "user", True),
        ("group#member", "group#member", True),
        ("group#all", "group#member", True),
        ("group#member", "group#all", False),
        ("group#guest", "group#member", False),
        ("group#member", "group", False),
        ("folder#owner", "group#member", True),
        ("folder#view", "group#guest", True),
        ("folder#view", "folder#view", True),
        ("folder#view", "folder#owner", True),
        ("folder#owner", "folder#view", False),
        ("doc#both", "user", False),
        ("doc#both", "group#member", False),
        ("doc#but", "user", True),
        ("doc#but", "bot", False),
        ("doc#but", "doc#reader", True),
        ("doc#up", "folder#owner", True),
        ("doc#up", "bot", True),
        ("doc#up", "group#loop", False),
        ("doc#every", "user", True),
        ("doc#every", "group#guest", True),
        ("doc#far", "user", True),
        ("doc#far", "folder#owner", True),
        ("doc#far", "folder#view", False),
        ("doc#me", "doc", True),
        ("doc#me", "user", False),
        ("doc#me", "doc#me", True),
        ("doc#never", "user", False),
        ("doc#never", "doc#never", True),
        ("doc#missing", "user", False),
        ("missing#x", "user", False),
        ("doc#but", "missing", False),
        ("doc#but", "user#missing", False),
    ],
)
def test_reaches(reach: SubjectReach, node: str, subject: str, reached: bool) -> None:
    object_type, _, name = node.partition("#")
    subject_type, _, relation = subject.partition("#")
    assert reach.reaches(object_type, name, subject_type, relation) is reached


@pytest.mark.parametrize(
    ("node", "types"),
    [
        ("group#member", ("user",)),
        ("group#all", ("bot", "user")),
        ("doc#but", ("user",)),
        ("doc#both", ()),
        ("doc#up", ("bot", "user")),
        ("doc#me", ("doc",)),
        ("doc#never", ()),
        ("doc#missing", ()),
    ],
)
def test_terminal_types(reach: SubjectReach, node: str, types: tuple[str, ...]) -> None:
    object_type, _, name = node.partition("#")
    assert reach.terminal_types(object_type, name) == types


def test_cycles(reach: SubjectReach) -> None:
    assert reach.cycles() == (
        (("folder", "view"),),
        (("group", "loop"),),
        (("group", "member"),),
    )
    text = "definition a { relation b: a permission c = nil + d permission d = b->c }"
    assert SubjectReach(parse_schema(text)).cycles() == ((("a", "c"), ("a", "d")),)


def test_the_graph_says_how(reach: SubjectReach) -> None:
    graph = reach.graph()
    kinds = {
        (f"{a}#{b}", f"{c}#{d}"): graph[a, b][c, d]["kind"]
        for (a, b), (c, d) in graph.edges
        if a == "folder"
    }
    assert kinds == {
        ("folder#owner", "group#all"): "userset",
        ("folder#view", "folder#owner"): "computed",
        ("folder#view", "folder#view"): "arrow",
    }


def test_unknown_names_are_not_remembered(reach: SubjectReach) -> None:
    before = len(reach._reached)
    assert not reach.reaches("doc", "but", "nobody", "nothing")
    assert len(reach._reached) == before


# -- against data -------------------------------------------------------------------------------

Object = tuple[str, int]
Subject = tuple[str, int, str]
Tuple = tuple[Object, str, Subject]
Members = dict[tuple[Object, str], set[Subject]]


class _World:
    """The greatest sets that tuples could make: exclusions take nothing away, wildcards are
    objects. One object and another per type."""

    def __init__(self, schema: Schema, tuples: set[Tuple]) -> None:
        self.schema = schema
        self.tuples = tuples
        objects = list(itertools.product(schema.object_types, range(2)))
        self.members: Members = {
            (o, name): {(*o, name)} for o in objects for name in schema.object_types[o[0]].names
        }
        changed = True
        while changed:
            changed = False
            for (o, name), known in self.members.items():
                rewrite = schema.object_types[o[0]].rewrite_of(name)
                assert rewrite is not None
                found = self.value(rewrite, o, name)
                changed |= not found <= known
                known.update(found)

    def value(self, rewrite: Rewrite, o: Object, name: str) -> set[Subject]:
        match rewrite:
            case This():
                found: set[Subject] = set()
                for kind, number, relation in self.subjects(o, name):
                    found.add((kind, number, relation))
                    found |= self.members.get(((kind, number), relation), set())
                return found
            case Computed(relation):
                return self.members[o, relation]
            case Arrow(relation, mode, target):
                return self.arrow(o, relation, mode, target)
            case Union(children):
                return set().union(*(self.value(child, o, name) for child in children))
            case Intersection(children):
                return set.intersection(*(set(self.value(c, o, name)) for c in children))
            case Exclusion(base, _):
                return self.value(base, o, name)
            case Nil():
                return set()
            case Self():
                return {(*o, "")}

    def arrow(
        self, o: Object, relation: str, mode: ArrowMode, target: Computed | Arrow
    ) -> set[Subject]:
        sets = [
            set(self.value(target, (kind, number), ""))
            if isinstance(target, Arrow)
            else set(self.members.get(((kind, number), target.relation), set()))
            for kind, number, _ in self.subjects(o, relation)
        ]
        if not sets:
            return set()
        return set.intersection(*sets) if mode is ArrowMode.ALL else set().union(*sets)

    def subjects(self, o: Object, relation: str) -> list[Subject]:
        return [s for (of, name, s) in self.tuples if of == o and name == relation]


@st.composite
def worlds(draw: st.DrawFn) -> _World:
    schema = draw(schemas(traits=False))
    forms = [
        (object_type.name, relation.name, allowed)
        for object_type in schema.object_types.values()
        for relation in object_type.relations.values()
        for allowed in relation.subject_types
    ]
    chosen = draw(st.lists(st.sampled_from(forms), max_size=15))
    numbers = st.integers(0, 1)
    tuples = {
        ((kind, draw(numbers)), name, (allowed.type, draw(numbers), allowed.relation))
        for kind, name, allowed in chosen
    }
    return _World(schema, tuples)


@settings(max_examples=80, deadline=None)
@given(worlds())
def test_it_never_under_approximates(world: _World) -> None:
    reach = SubjectReach(world.schema)
    assert set(world.schema.object_types) == set(TYPES)
    for ((object_type, _), name), members in world.members.items():
        for kind, _, relation in members:
            assert reach.reaches(object_type, name, kind, relation)
