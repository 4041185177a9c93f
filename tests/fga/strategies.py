"""Random OpenFGA models that are valid, and that the DSL can say."""

from __future__ import annotations

from functools import cache
from types import MappingProxyType

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from schema.fga.model import (
    AuthorizationModel,
    Condition,
    RelationDefinition,
    Restriction,
    TypeDefinition,
    TypeRef,
)
from schema.rewrite import Arrow, ArrowMode, Computed, Exclusion, Intersection, Rewrite, This, Union

OBJECT_TYPES = ("group", "doc")
BASE = "r0"
"""Of every object type; users may be given it."""
PARENT = "parent"
"""Of every object type; what a `from` walks."""
LATER = ("r1", "r2", "r3")
"""Of every object type; each is made of those before it."""

_INT, _STRING = TypeRef("int"), TypeRef("string")
BUSY = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
"""For a machine that is busy with other tests."""
CONDITIONS = {
    "near": Condition("near", "x < 5 && y == 'a'", MappingProxyType({"x": _INT, "y": _STRING})),
    "one": Condition("one", "x == 1", MappingProxyType({"x": _INT})),
}


@cache
def _leaf(known: tuple[str, ...]) -> st.SearchStrategy[Rewrite]:
    names = st.sampled_from(known)
    arrows = names.map(lambda name: Arrow(PARENT, ArrowMode.ANY, Computed(name)))
    return names.map(Computed) | arrows


@st.composite
def rewrites(draw: st.DrawFn, known: tuple[str, ...], depth: int) -> Rewrite:
    """A rewrite of relations that are there already, with no assignment in it."""
    shape = draw(st.sampled_from(("leaf", "leaf", "or", "and", "but not"))) if depth else "leaf"
    if shape == "leaf":
        return draw(_leaf(known))
    parts = _parts(known, depth - 1)
    if shape == "but not":
        return Exclusion(draw(parts), draw(parts))
    children = tuple(draw(st.lists(parts, min_size=2, max_size=3)))
    return Union(children) if shape == "or" else Intersection(children)


@cache
def _parts(known: tuple[str, ...], depth: int) -> st.SearchStrategy[Rewrite]:
    return rewrites(known, depth)


_forms = st.builds(
    Restriction,
    st.just("user"),
    wildcard=st.booleans(),
    condition=st.sampled_from(("", *CONDITIONS)),
) | st.builds(
    Restriction,
    st.sampled_from(OBJECT_TYPES),
    st.sampled_from(("", BASE, *LATER)),
    condition=st.sampled_from(("", "one")),
)


_some_forms = st.lists(_forms, max_size=3)
_shapes = st.sampled_from(("computed", "direct", "or", "and", "but not"))


@st.composite
def restrictions(draw: st.DrawFn) -> tuple[Restriction, ...]:
    """Whom a relation may be given to: a user always, so that it has an entrypoint."""
    return tuple(dict.fromkeys([Restriction("user"), *draw(_some_forms)]))


@st.composite
def definitions(draw: st.DrawFn, name: str, known: tuple[str, ...]) -> RelationDefinition:
    """A relation after those that are `known`; with an assignment, that comes first."""
    rewrite = draw(_parts(known, 2))
    shape = draw(_shapes)
    if shape == "computed":
        return RelationDefinition(name, rewrite)
    if shape == "direct":
        rewrite = This()
    elif shape == "or":
        more = draw(st.sampled_from(((), (Arrow(PARENT, ArrowMode.ANY, Computed(name)),))))
        rewrite = Union((This(), rewrite, *more))
    elif shape == "and":
        rewrite = Intersection((This(), rewrite))
    else:
        rewrite = Exclusion(This(), rewrite)
    return RelationDefinition(name, rewrite, draw(restrictions()))


@st.composite
def object_types(draw: st.DrawFn, name: str) -> TypeDefinition:
    parents = draw(st.sets(st.sampled_from(OBJECT_TYPES), min_size=1))
    relations = {
        BASE: RelationDefinition(BASE, This(), draw(restrictions())),
        PARENT: RelationDefinition(
            PARENT, This(), tuple(Restriction(parent) for parent in sorted(parents))
        ),
    }
    for relation in LATER:
        known = (BASE, *(item for item in LATER if item in relations))
        relations[relation] = draw(definitions(relation, known))
    return TypeDefinition(name, MappingProxyType(relations))


@st.composite
def models(draw: st.DrawFn) -> AuthorizationModel:
    """A valid model of users, groups and documents."""
    types = [TypeDefinition("user"), *(draw(object_types(name)) for name in OBJECT_TYPES)]
    return AuthorizationModel("1.1", tuple(types), MappingProxyType(CONDITIONS))
