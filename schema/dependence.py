"""What the members of each relation and permission depend on, and where two schemas differ in it.

`schema.reachability` asks who may be a member, and leaves out what can only take members away;
this asks what an answer may rest on, so it follows the subtracted side of exclusions and the
relations that arrows walk, too. It may name too much, and never too little.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator

from schema.model import Caveat, ObjectType, Schema
from schema.reachability import Leaf
from schema.rewrite import Arrow, Computed, Exclusion, Intersection, Nil, Rewrite, Self, This, Union
from schema.walk import ArrowWalk, Node

Link = tuple[str, str, str]
"""A subject relation, and the object type and relation of the tuples that lead to it."""

_Needed = Node | frozenset[Node]


class Dependence:
    """The dependences of one schema that passed `schema.typecheck`.

    `walked` holds the relations that arrows walk.
    """

    def __init__(self, schema: Schema) -> None:
        self.walked: set[Node] = set()
        self._schema = schema
        self._walk = ArrowWalk(schema)
        self._users: defaultdict[_Needed, list[_Needed]] = defaultdict(list)
        self._passed: defaultdict[Node, set[str]] = defaultdict(set)
        for object_type in schema.object_types.values():
            for name in object_type.names:
                self._add(object_type, name)

    def users(self, needed: _Needed) -> Iterable[_Needed]:
        """What depends on a node at once, or on one of a set of them."""
        return self._users.get(needed, ())

    def links(self, changed: set[Node]) -> dict[str, set[Link]]:
        """By object type, the tuples over which a change of these nodes can be felt on another
        object, when the type's objects stand in them as subjects."""
        felt = {kind for kind, _ in changed}.union(*(self._passed.get(n, ()) for n in changed))
        found: dict[str, set[Link]] = {}
        for kind in felt & self._schema.object_types.keys():
            for relation in self._schema.object_types[kind].relations.values():
                walked = (kind, relation.name) in self.walked
                for form in relation.subject_types:
                    used = bool(form.relation) and (form.type, form.relation) in changed
                    if form.type in felt and not form.wildcard and (walked or used):
                        link = (form.relation, kind, relation.name)
                        found.setdefault(form.type, set()).add(link)
        return found

    def _add(self, object_type: ObjectType, name: str) -> None:
        node = (object_type.name, name)
        rewrite = object_type.rewrite_of(name)
        assert rewrite is not None  # it is one of the type's names
        for needed in dict.fromkeys(self._needs(object_type, name, rewrite)):
            # Many arrows end in the same set: its members are noted once.
            if isinstance(needed, frozenset) and needed not in self._users:
                for each in needed:
                    self._users[each].append(needed)
            self._users[needed].append(node)

    def _needs(self, object_type: ObjectType, name: str, rewrite: Rewrite) -> Iterator[_Needed]:
        for leaf in _all_leaves(rewrite):
            match leaf:
                case This():
                    for form in object_type.relations[name].subject_types:
                        if form.relation:
                            yield form.type, form.relation
                case Computed(relation=other):
                    yield object_type.name, other
                case Arrow():
                    yield from self._walked_by((object_type.name, name), leaf)
                case Nil() | Self():
                    pass

    def _walked_by(self, node: Node, arrow: Arrow) -> Iterator[_Needed]:
        types, step = frozenset((node[0],)), arrow
        while True:
            places = {(each, step.relation) for each in self._walk.sources(step.relation, types)}
            self.walked |= places
            yield from places
            types = self._walk.step(step.relation, types)
            if not isinstance(step.target, Arrow):
                break
            self._passed[node] |= types
            step = step.target
        yield self._walk.ends(node[0], arrow)


def dependents(start: Iterable[Node], schemas: Iterable[Dependence]) -> set[Node]:
    """These nodes, and all whose members may depend on them in any of the schemas."""
    seen: set[_Needed] = set(start)
    waiting = list(seen)
    while waiting:
        needed = waiting.pop()
        for schema in schemas:
            for user in schema.users(needed):
                if user not in seen:
                    seen.add(user)
                    waiting.append(user)
    return {node for node in seen if not isinstance(node, frozenset)}


def differing(old: Schema, new: Schema) -> set[Node]:
    """The relations and permissions that two schemas say something else about: which only one of
    them has, or whose rewrite, allowed subjects, or caveats of those differ."""
    caveats = {
        name
        for name in old.caveats.keys() | new.caveats.keys()
        if _meaning(old.caveats.get(name)) != _meaning(new.caveats.get(name))
    }
    found: set[Node] = set()
    for kind in old.object_types.keys() | new.object_types.keys():
        before, after = old.object_types.get(kind), new.object_types.get(kind)
        names = {name for each in (before, after) if each is not None for name in each.names}
        found |= {(kind, name) for name in names if _differs(before, after, name, caveats)}
    return found


def _differs(
    before: ObjectType | None, after: ObjectType | None, name: str, caveats: set[str]
) -> bool:
    if before is None or after is None or before.rewrite_of(name) != after.rewrite_of(name):
        return True
    one, two = before.relations.get(name), after.relations.get(name)
    if one is None or two is None:
        return one is not two
    forms = set(one.subject_types)
    return forms != set(two.subject_types) or any(form.caveat in caveats for form in forms)


def _meaning(caveat: Caveat | None) -> tuple[object, ...]:
    return () if caveat is None else (caveat.expression, dict(caveat.parameters))


def _all_leaves(rewrite: Rewrite) -> Iterator[Leaf]:
    stack = [rewrite]
    while stack:
        node = stack.pop()
        match node:
            case Union(children) | Intersection(children):
                stack.extend(children)
            case Exclusion(base, subtracted):
                stack += base, subtracted
            case _:
                yield node
