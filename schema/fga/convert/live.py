"""A model without what can never have a user, which OpenFGA refuses and other languages allow."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from types import MappingProxyType

from schema.fga.convert.notes import Effect, Notes
from schema.fga.model import (
    AuthorizationModel,
    RelationDefinition,
    Restriction,
    TypeDefinition,
    is_assignable,
)
from schema.rewrite import Arrow, Computed, Exclusion, Intersection, Nil, Rewrite, This, Union

Node = tuple[str, str]


def without_dead(model: AuthorizationModel, notes: Notes) -> AuthorizationModel:
    """The same without relations that nobody can ever be in, and without what mentions them.

    A union loses such sides and an exclusion what it subtracts in vain, so no answer about the
    others changes.
    """
    live = _Live(model)
    types = tuple(live.without_dead(kind) for kind in model.types)
    for type_name, name in sorted(live.relations.keys() - live.found):
        message = "left out: nobody can ever be in it, and OpenFGA refuses that"
        notes.add(Effect.LOST, f"{type_name}#{name}", message)
    return replace(model, types=types)


class _Live:
    """`found` are the relations that some tuples could give a user."""

    def __init__(self, model: AuthorizationModel) -> None:
        self.relations: dict[Node, RelationDefinition] = {
            (kind.name, name): relation
            for kind in model.types
            for name, relation in kind.relations.items()
        }
        self.found: set[Node] = set()
        before = -1
        while before != len(self.found):
            before = len(self.found)
            self.found |= {
                node
                for node, relation in self.relations.items()
                if node not in self.found and self._simple(node, relation.rewrite) != Nil()
            }

    def without_dead(self, kind: TypeDefinition) -> TypeDefinition:
        relations = {}
        for name, relation in kind.relations.items():
            if (kind.name, name) in self.found:
                rewrite = self._simple((kind.name, name), relation.rewrite)
                allowed = self._allowed(relation.restrictions) if is_assignable(rewrite) else ()
                relations[name] = replace(relation, rewrite=rewrite, restrictions=allowed)
        return replace(kind, relations=MappingProxyType(relations))

    def _allowed(self, restrictions: Iterable[Restriction]) -> tuple[Restriction, ...]:
        return tuple(
            item
            for item in restrictions
            if not item.relation or (item.type, item.relation) in self.found
        )

    def _simple(self, node: Node, rewrite: Rewrite) -> Rewrite:
        """The rewrite as far as it can have a user by what was found; `Nil` if it cannot."""
        match rewrite:
            case This() if self._allowed(self.relations[node].restrictions):
                return rewrite
            case Computed(relation) if (node[0], relation) in self.found:
                return rewrite
            case Arrow() if self._leads_somewhere(node, rewrite):
                return rewrite
            case Union(children):
                left = [self._simple(node, child) for child in children]
                left = [child for child in left if child != Nil()]
                return Union(tuple(left)) if len(left) > 1 else [*left, Nil()][0]
            case Intersection(children):
                sides = tuple(self._simple(node, child) for child in children)
                return Nil() if Nil() in sides else Intersection(sides)
            case Exclusion(base, subtracted):
                base, without = self._simple(node, base), self._simple(node, subtracted)
                return base if Nil() in (base, without) else Exclusion(base, without)
            case _:
                return Nil()

    def _leads_somewhere(self, node: Node, arrow: Arrow) -> bool:
        walked = self.relations.get((node[0], arrow.relation))
        target = arrow.target.relation
        return walked is not None and any(
            (item.type, target) in self.found for item in walked.restrictions
        )
