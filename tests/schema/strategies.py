"""Random schemas that are valid by construction, for the property tests."""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType

from hypothesis import strategies as st

from schema.model import (
    Caveat,
    ObjectType,
    ParameterType,
    Permission,
    Relation,
    Schema,
    SubjectType,
)
from schema.reachability import SubjectReach
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

TYPES = ("user", "acme/doc", "x")
RELATIONS = ("r0", "r1")  # of every type; what arrows may walk
OPEN = ("open",)  # may allow wildcards, so that no arrow walks it and no relation allows it
PERMISSIONS = ("p0", "p1", "p2")
CAVEATS = ("late", "acme/near")

_docs = st.sampled_from(
    ("", "", "One line.", "Two\n  lines", "a\n\nb * c", "* star\n/slash", "ß ✓")
)
_scalars = st.sampled_from(("any", "bool", "int", "string", "ipaddress", "timestamp"))
_parameter_types = st.recursive(
    _scalars.map(ParameterType),
    lambda inner: st.builds(ParameterType, st.sampled_from(("list", "map")), inner),
    max_leaves=3,
)


@st.composite
def caveats(draw: st.DrawFn, name: str) -> Caveat:
    names = draw(st.lists(st.sampled_from(("a", "b", "userIp")), min_size=1, unique=True))
    parameters = {parameter: draw(_parameter_types) for parameter in names}
    bodies = (f"{names[0]} == {names[0]}", '"}" != "{" // }\n&& [1].size() == 1', "{'k': {}} != {}")
    return Caveat(name, MappingProxyType(parameters), draw(st.sampled_from(bodies)), draw(_docs))


_computed = st.sampled_from((*RELATIONS, *OPEN, *PERMISSIONS)).map(Computed)


def _arrows() -> st.SearchStrategy[Arrow]:
    lefts, modes = st.sampled_from(RELATIONS), st.sampled_from(ArrowMode)
    one = st.builds(Arrow, lefts, modes, _computed)
    return one | st.builds(Arrow, lefts, modes, one)


def rewrites() -> st.SearchStrategy[Rewrite]:
    leaves: st.SearchStrategy[Rewrite] = st.one_of(
        _computed, _arrows(), st.just(Nil()), st.just(Self())
    )

    def operators(inner: st.SearchStrategy[Rewrite]) -> st.SearchStrategy[Rewrite]:
        children = st.lists(inner, min_size=2, max_size=3).map(tuple)
        return st.one_of(
            st.builds(Union, children),
            st.builds(Intersection, children),
            st.builds(Exclusion, inner, inner),
        )

    return st.recursive(leaves, operators, max_leaves=8)


def _not_alias(rewrite: Rewrite) -> Rewrite:
    """A permission that is only a name could close a cycle of names."""
    return Union((rewrite, Nil())) if isinstance(rewrite, Computed) else rewrite


@st.composite
def subject_types(draw: st.DrawFn, *, open_relation: bool, traits: bool) -> SubjectType:
    relation = draw(st.sampled_from(("", "", *RELATIONS, *PERMISSIONS)))
    wildcard = open_relation and not relation and draw(st.booleans())
    caveat = draw(st.sampled_from(("", *CAVEATS))) if traits else ""
    expiration = traits and draw(st.booleans())
    return SubjectType(draw(st.sampled_from(TYPES)), relation, wildcard, caveat, expiration)


@st.composite
def object_types(draw: st.DrawFn, name: str, *, traits: bool) -> ObjectType:
    relations = {}
    for relation in (*RELATIONS, *OPEN):
        forms = subject_types(open_relation=relation in OPEN, traits=traits)
        allowed = draw(st.lists(forms, min_size=1, max_size=3, unique=True))
        relations[relation] = Relation(relation, tuple(allowed), doc=draw(_docs))
    permissions = {
        permission: Permission(permission, _not_alias(draw(rewrites())), doc=draw(_docs))
        for permission in PERMISSIONS
    }
    return ObjectType(name, MappingProxyType(relations), MappingProxyType(permissions), draw(_docs))


@st.composite
def schemas(draw: st.DrawFn, *, traits: bool = True) -> Schema:
    """A schema of all TYPES, each with all names above; some permissions say their types."""
    declared = {name: draw(caveats(name)) for name in CAVEATS} if traits else {}
    types = {name: draw(object_types(name, traits=traits)) for name in TYPES}
    schema = Schema(MappingProxyType(types), MappingProxyType(declared))
    if not draw(st.booleans()):
        return schema
    reach = SubjectReach(schema)
    annotated = {
        name: replace(
            object_type,
            permissions=MappingProxyType(
                {
                    permission.name: replace(
                        permission, annotation=reach.terminal_types(name, permission.name)
                    )
                    for permission in object_type.permissions.values()
                }
            ),
        )
        for name, object_type in types.items()
    }
    return Schema(MappingProxyType(annotated), MappingProxyType(declared))
