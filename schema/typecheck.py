"""Whether a schema makes sense: every name resolves and types fit. All problems at once.

Works on a `Schema`, so that every schema language shares it. Rules and their source: SpiceDB's type
system (`pkg/schema/type_check.go`), listed in `docs/schema-language.md`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from itertools import chain, islice

from schema.model import Caveat, ObjectType, Permission, Relation, Schema, SubjectType
from schema.problems import MAX_PROBLEMS, ProblemList, quote
from schema.reachability import SubjectReach
from schema.rewrite import Arrow, Computed, Exclusion, Intersection, Rewrite, Union
from schema.source import Span
from schema.walk import ArrowWalk

_MAX_SHOWN = 5


def typecheck(schema: Schema) -> ProblemList:
    """Every problem of `schema`; none means that the engine can rely on it."""
    return _Check(schema).run()


def references(rewrite: Rewrite) -> Iterator[Computed | Arrow]:
    """The leaves of `rewrite` that name something: computed usersets, and arrows as a whole."""
    stack = [rewrite]
    while stack:
        node = stack.pop()
        match node:
            case Computed() | Arrow():
                yield node
            case Union(children) | Intersection(children):
                stack.extend(reversed(children))
            case Exclusion(base, subtracted):
                stack.extend((subtracted, base))
            case _:
                pass


def left_span(arrow: Arrow) -> Span | None:
    """Where the relation that `arrow` walks stands in the text."""
    if arrow.span is None:
        return None
    start = arrow.span.start
    return Span(start, start + len(arrow.relation), arrow.span.line, arrow.span.column)


class _Check:
    def __init__(self, schema: Schema) -> None:
        self._schema = schema
        self._problems = ProblemList()
        self._walk = ArrowWalk(schema)
        self._wildcards = _wildcard_sources(schema)
        open_types: defaultdict[str, set[str]] = defaultdict(set)
        for type_name, relation in self._wildcards:
            open_types[relation].add(type_name)
        self._open_types = {name: frozenset(types) for name, types in open_types.items()}

    def run(self) -> ProblemList:
        for object_type in self._schema.object_types.values():
            for relation in object_type.relations.values():
                self._relation(object_type, relation)
            for permission in object_type.permissions.values():
                self._rewrite(object_type, permission.rewrite)
            self._alias_cycles(object_type)
        for caveat in self._schema.caveats.values():
            self._caveat(caveat)
        if not len(self._problems):
            self._annotations()
        return self._problems

    # -- relations ------------------------------------------------------------------------------

    def _relation(self, object_type: ObjectType, relation: Relation) -> None:
        name = f"{object_type.name}#{relation.name}"
        if not relation.subject_types:
            message = f"the relation {quote(name)} allows no subject type"
            self._problems.add("no_subject_type", message, relation.span)
        seen: set[SubjectType] = set()
        for subject_type in relation.subject_types:
            if subject_type in seen:
                message = f"{quote(str(subject_type))} is allowed twice on {quote(name)}"
                self._problems.add("duplicate_subject_type", message, subject_type.span)
            seen.add(subject_type)
            self._subject_type(name, subject_type)
        self._rewrite(object_type, relation.rewrite)

    def _subject_type(self, name: str, subject_type: SubjectType) -> None:
        self._known_caveat(subject_type)
        target = self._known_type(subject_type.type, subject_type.span)
        if target is None or not subject_type.relation:
            return
        if target.rewrite_of(subject_type.relation) is None:
            self._unknown_member(target, subject_type.relation, subject_type.span)
            return
        wildcard = self._wildcards.get((subject_type.type, subject_type.relation))
        if wildcard is not None:
            userset = f"{subject_type.type}#{subject_type.relation}"
            message = (
                f"{quote(name)} cannot allow {quote(userset)}, "
                f"because that allows the wildcard {quote(wildcard)}"
            )
            self._problems.add("transitive_wildcard", message, subject_type.span)

    def _known_type(self, name: str, span: Span | None) -> ObjectType | None:
        object_type = self._schema.object_types.get(name)
        if object_type is None:
            message = f"there is no object type {quote(name)}"
            self._problems.add(
                "unknown_type", message, span, word=name, candidates=self._schema.object_types
            )
        return object_type

    def _known_caveat(self, subject_type: SubjectType) -> None:
        name = subject_type.caveat
        if not name or name in self._schema.caveats:
            return
        message = f"there is no caveat {quote(name)}"
        if name == "expiration":
            message += ": to let tuples expire, write `use expiration` at the top of the schema"
        self._problems.add(
            "unknown_caveat",
            message,
            subject_type.span,
            word=name,
            candidates=self._schema.caveats,
        )

    def _unknown_member(self, object_type: ObjectType, name: str, span: Span | None) -> None:
        message = f"there is no relation or permission {quote(name)} in {quote(object_type.name)}"
        if name == "self":
            message += ": for the object itself, write `use self` at the top of the schema"
        members = chain(object_type.relations, object_type.permissions)
        self._problems.add("unknown_relation", message, span, word=name, candidates=members)

    # -- rewrites -------------------------------------------------------------------------------

    def _rewrite(self, object_type: ObjectType, rewrite: Rewrite) -> None:
        for node in references(rewrite):
            if isinstance(node, Arrow):
                self._arrow(object_type, node)
            elif object_type.rewrite_of(node.relation) is None:
                self._unknown_member(object_type, node.relation, node.span)

    def _arrow(self, object_type: ObjectType, arrow: Arrow) -> None:
        """The first step must be a relation of this type; each later one of a type walked to."""
        name = arrow.relation
        if name in object_type.permissions:
            message = (
                f"the left side of an arrow is a relation, and {quote(name)} is a permission "
                f"of {quote(object_type.name)}"
            )
            self._problems.add("arrow_on_permission", message, left_span(arrow))
            return
        if name not in object_type.relations:
            message = f"there is no relation {quote(name)} in {quote(object_type.name)}"
            self._problems.add(
                "unknown_relation",
                message,
                left_span(arrow),
                word=name,
                candidates=object_type.relations,
            )
            return
        self._no_wildcard(object_type.name, arrow)
        if isinstance(arrow.target, Arrow):
            self._next_step(arrow, frozenset((object_type.name,)))

    def _next_step(self, arrow: Arrow, sources: frozenset[str]) -> None:
        """Check `arrow.target`, an arrow that is walked from every type `arrow` leads to."""
        step = arrow.target
        if not isinstance(step, Arrow):
            return
        types = self._walk.step(arrow.relation, sources)
        having = self._walk.sources(step.relation, types)
        if not having:
            message = (
                f"{quote(step.relation)} is not a relation of any type "
                f"that {quote(arrow.relation)} leads to"
            )
            known = (
                name
                for kind in self._walk.in_order(types)
                for name in self._schema.object_types[kind].relations
            )
            self._problems.add(
                "unknown_relation", message, left_span(step), word=step.relation, candidates=known
            )
            return
        open_types = self._walk.meet(having, self._open_types.get(step.relation, frozenset()))
        if open_types:
            self._no_wildcard(self._walk.in_order(open_types)[0], step)
        self._next_step(step, having)

    def _no_wildcard(self, type_name: str, arrow: Arrow) -> None:
        wildcard = self._wildcards.get((type_name, arrow.relation))
        if wildcard is not None:
            message = (
                f"an arrow cannot walk {quote(f'{type_name}#{arrow.relation}')}, "
                f"because that allows the wildcard {quote(wildcard)}"
            )
            self._problems.add("arrow_over_wildcard", message, left_span(arrow))

    def _alias_cycles(self, object_type: ObjectType) -> None:
        """Permissions that are nothing but each other's names have no meaning at all."""
        aliases = {
            name: permission.rewrite.relation
            for name, permission in object_type.permissions.items()
            if isinstance(permission.rewrite, Computed)
        }
        finished: set[str] = set()
        for start in aliases:
            path: dict[str, None] = {}
            name = start
            while name in aliases and name not in path and name not in finished:
                path[name] = None
                name = aliases[name]
            if name in path:
                names = list(path)
                self._alias_cycle(object_type, names[names.index(name) :])
            finished.update(path)

    def _alias_cycle(self, object_type: ObjectType, names: list[str]) -> None:
        shown = [quote(name) for name in names[:_MAX_SHOWN]]
        shown += ["…"] if len(names) > _MAX_SHOWN else []
        way = " = ".join((*shown, quote(names[0])))
        message = f"these permissions only name each other: {way}"
        span = object_type.permissions[names[0]].span
        self._problems.add("alias_cycle", message, span)

    # -- annotations and caveats ----------------------------------------------------------------

    def _annotations(self) -> None:
        """Needs a schema without other problems, since it asks what reaches what."""
        reach = SubjectReach(self._schema)
        for object_type in self._schema.object_types.values():
            for permission in object_type.permissions.values():
                if permission.annotation and len(self._problems) < MAX_PROBLEMS:
                    self._annotation(reach, object_type, permission)

    def _annotation(
        self, reach: SubjectReach, object_type: ObjectType, permission: Permission
    ) -> None:
        for name in permission.annotation:
            self._known_type(name, permission.span)
        others = reach.terminal_types_besides(
            object_type.name, permission.name, permission.annotation
        )
        missing = list(islice(others, _MAX_SHOWN + 1))
        if missing:
            names = ", ".join(quote(name) for name in missing[:_MAX_SHOWN])
            more = ", …" if len(missing) > _MAX_SHOWN else ""
            message = (
                f"{quote(f'{object_type.name}#{permission.name}')} can have subjects "
                f"of types that it does not name: {names}{more}"
            )
            self._problems.add("annotation_too_narrow", message, permission.span)

    def _caveat(self, caveat: Caveat) -> None:
        if not caveat.parameters:
            message = f"the caveat {quote(caveat.name)} has no parameter"
            self._problems.add("no_parameter", message, caveat.span)


def _wildcard_sources(schema: Schema) -> dict[tuple[str, str], str]:
    """The relations that allow a wildcard, directly or through a userset, and which one.

    As in SpiceDB, usersets of relations are followed and those of permissions are not.
    """
    users: dict[tuple[str, str], list[tuple[str, str]]] = {}
    found: dict[tuple[str, str], str] = {}
    for object_type in schema.object_types.values():
        for relation in object_type.relations.values():
            key = (object_type.name, relation.name)
            for subject_type in relation.subject_types:
                if subject_type.wildcard:
                    found.setdefault(key, f"{subject_type.type}:*")
                elif subject_type.relation:
                    used = (subject_type.type, subject_type.relation)
                    users.setdefault(used, []).append(key)
    pending = list(found)
    while pending:
        used = pending.pop()
        for key in users.get(used, ()):
            if key not in found:
                found[key] = found[used]
                pending.append(key)
    return found
