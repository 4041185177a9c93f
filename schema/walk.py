"""Where arrows lead: from object types, over a relation, to the object types of its subjects.

Answers are remembered as frozen sets, whose hash Python keeps, so that many arrows over one broad
relation cost one walk; and equal sets are one object.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Set

from schema.model import Schema
from schema.rewrite import Arrow

Node = tuple[str, str]
"""An object type and the name of one of its relations or permissions."""


class ArrowWalk:
    """Follows the arrows of one schema. Names that do not resolve lead nowhere."""

    def __init__(self, schema: Schema) -> None:
        self._schema = schema
        self._sets: dict[frozenset[str], frozenset[str]] = {}
        with_name: defaultdict[str, set[str]] = defaultdict(set)
        with_relation: defaultdict[str, set[str]] = defaultdict(set)
        for object_type in schema.object_types.values():
            for name in object_type.names:
                with_name[name].add(object_type.name)
            for name in object_type.relations:
                with_relation[name].add(object_type.name)
        with_usersets: defaultdict[str, set[str]] = defaultdict(set)
        for object_type in schema.object_types.values():
            for relation in object_type.relations.values():
                if any(subject_type.relation for subject_type in relation.subject_types):
                    with_usersets[relation.name].add(object_type.name)
        self._with_usersets = {name: self._one(types) for name, types in with_usersets.items()}
        self._with_name = {name: self._one(types) for name, types in with_name.items()}
        self._with_relation = {name: self._one(types) for name, types in with_relation.items()}
        self._steps: dict[tuple[str, frozenset[str]], frozenset[str]] = {}
        self._meets: dict[tuple[frozenset[str], frozenset[str]], frozenset[str]] = {}
        self._sorted: dict[frozenset[str], list[str]] = {}
        self._ends: dict[tuple[frozenset[str], str], frozenset[Node]] = {}

    def _one(self, types: Set[str]) -> frozenset[str]:
        """The one set kept with these members: comparing it with itself costs nothing."""
        frozen = frozenset(types)
        return self._sets.setdefault(frozen, frozen)

    def having(self, name: str, types: frozenset[str]) -> frozenset[str]:
        """Those of `types` that have a relation or permission of this name."""
        return self.meet(types, self._with_name.get(name, frozenset()))

    def sources(self, relation: str, types: frozenset[str]) -> frozenset[str]:
        """Those of `types` that have a relation of this name."""
        return self.meet(types, self._with_relation.get(relation, frozenset()))

    def meet(self, types: frozenset[str], others: frozenset[str]) -> frozenset[str]:
        """What is in both sets."""
        found = self._meets.get((types, others))
        if found is None:
            found = self._meets[types, others] = self._one(types & others)
        return found

    def with_usersets(self, relation: str) -> frozenset[str]:
        """The types whose relation of this name allows usersets."""
        return self._with_usersets.get(relation, frozenset())

    def in_order(self, types: frozenset[str]) -> list[str]:
        """`types`, sorted by name."""
        found = self._sorted.get(types)
        if found is None:
            found = self._sorted[types] = sorted(types)
        return found

    def step(self, relation: str, types: frozenset[str]) -> frozenset[str]:
        """The types of the objects that `relation` leads to from objects of `types`."""
        key = (relation, types)
        found = self._steps.get(key)
        if found is None:
            found = frozenset(
                subject_type.type
                for source in self.sources(relation, types)
                for subject_type in self._schema.object_types[source]
                .relations[relation]
                .subject_types
                if subject_type.type in self._schema.object_types
            )
            found = self._steps[key] = self._one(found)
        return found

    def ends(self, object_type: str, arrow: Arrow) -> frozenset[Node]:
        """What is asked at the end of `arrow`, when it starts from `object_type`."""
        types = frozenset((object_type,))
        step = arrow
        while True:
            types = self.step(step.relation, types)
            if not isinstance(step.target, Arrow):
                break
            step = step.target
        key = (types, step.target.relation)
        found = self._ends.get(key)
        if found is None:
            name = step.target.relation
            found = frozenset((kind, name) for kind in self.having(name, types))
            self._ends[key] = found
        return found
