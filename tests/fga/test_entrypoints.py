"""Entrypoints and circles, against a search relation by relation as OpenFGA's server makes it."""

from __future__ import annotations

from types import MappingProxyType

from hypothesis import given
from hypothesis import strategies as st

from schema.fga.entrypoints import Entrypoints
from schema.fga.model import (
    AuthorizationModel,
    RelationDefinition,
    Restriction,
    TypeDefinition,
    leaves,
)
from schema.rewrite import Arrow, ArrowMode, Computed, Exclusion, Intersection, Rewrite, This, Union
from tests.fga.strategies import BUSY

TYPES = ("a", "b")
RELATIONS = ("p", "q", "r", "s")
PARENT = "parent"

_names = st.sampled_from(RELATIONS)
_leaf: st.SearchStrategy[Rewrite] = st.one_of(
    st.just(This()),
    _names.map(Computed),
    _names.map(lambda name: Arrow(PARENT, ArrowMode.ANY, Computed(name))),
)


def _operators(inner: st.SearchStrategy[Rewrite]) -> st.SearchStrategy[Rewrite]:
    children = st.lists(inner, min_size=2, max_size=3).map(tuple)
    return st.one_of(
        children.map(Union), children.map(Intersection), st.builds(Exclusion, inner, inner)
    )


_rewrites = st.recursive(_leaf, _operators, max_leaves=4)
_restrictions = st.lists(
    st.builds(Restriction, st.sampled_from(TYPES), st.sampled_from((*RELATIONS, *RELATIONS, ""))),
    min_size=1,
    max_size=2,
).map(tuple)


@st.composite
def models(draw: st.DrawFn) -> AuthorizationModel:
    types = []
    for name in TYPES:
        relations = {
            relation: RelationDefinition(relation, draw(_rewrites), draw(_restrictions))
            for relation in RELATIONS
        }
        parents = (Restriction(draw(st.sampled_from(TYPES))),)
        relations[PARENT] = RelationDefinition(PARENT, This(), parents)
        types.append(TypeDefinition(name, MappingProxyType(relations)))
    return AuthorizationModel("1.1", tuple(types))


class Search:
    """Walks from one relation; where it has been before, on this way, there is nothing to find."""

    def __init__(self, model: AuthorizationModel) -> None:
        self._relations = {
            (kind.name, name): relation
            for kind in model.types
            for name, relation in kind.relations.items()
        }

    def has(self, node: tuple[str, str], been: frozenset[tuple[str, str]] = frozenset()) -> bool:
        if node in been:
            return False
        return self._part(node, self._relations[node].rewrite, been | {node})

    def _part(
        self, node: tuple[str, str], rewrite: Rewrite, been: frozenset[tuple[str, str]]
    ) -> bool:
        match rewrite:
            case This():
                return any(
                    not item.relation or self.has((item.type, item.relation), been)
                    for item in self._relations[node].restrictions
                )
            case Computed(relation):
                return self.has((node[0], relation), been)
            case Arrow(relation, _, Computed(target)):
                walked = self._relations[node[0], relation].restrictions
                return any(self.has((item.type, target), been) for item in walked)
            case Union(children):
                return any(self._part(node, child, been) for child in children)
            case Intersection(children):
                return all(self._part(node, child, been) for child in children)
            case Exclusion(base, subtracted):
                return all(self._part(node, side, been) for side in (base, subtracted))
            case _:
                raise AssertionError(rewrite)

    def circles(
        self, node: tuple[str, str], been: frozenset[tuple[str, str]] = frozenset()
    ) -> bool:
        """Whether computed relations lead from here to where they have been."""
        inside = been | {node}
        following = [
            (node[0], leaf.relation)
            for leaf in leaves(self._relations[node].rewrite)
            if isinstance(leaf, Computed)
        ]
        return any(item in inside or self.circles(item, inside) for item in following)


@BUSY
@given(models())
def test_entrypoints_and_circles_are_those_of_a_search(model: AuthorizationModel) -> None:
    entry, search = Entrypoints(model), Search(model)
    for kind in model.types:
        for name in kind.relations:
            assert entry.has(kind.name, name) == search.has((kind.name, name))
            assert entry.has_cycle(kind.name, name) == search.circles((kind.name, name))
            if not entry.has(kind.name, name) and entry.loops(kind.name, name):
                assert entry.has_cycle(kind.name, name)
