"""Rewrites compiled for one form of subject: what to read of an object, and how to combine it.

A plan is made once per (schema, object type, relation, subject form) and kept with the schema.
Compiling drops every branch that can never lead to the subject's form (`schema.reachability`),
resolves computed relations of the same object in place, and turns each allowed subject type into
the set of tuple forms that may be followed, so that a stored tuple the schema does not allow is
never followed. `engine.check` evaluates plans; nothing else knows how.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple, assert_never

from schema.model import ObjectType, Relation, Schema
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
    This,
    Union,
)

# Computed relations are resolved in place while they add no more nodes than this. Beyond, and where
# relations are mutually recursive, each stays a goal of its own, which is shared, not copied.
_MAX_INLINED = 64

Forms = frozenset[tuple[str, bool]]
"""The (caveat, has an expiry) pairs that a relation allows for one form of subject."""


class SubjectForm(NamedTuple):
    """What a plan is compiled for: a subject's type, and its relation ("" for none)."""

    type: str
    relation: str


@dataclass(slots=True)
class Never:
    """Nothing can make the subject a member."""


@dataclass(slots=True)
class Identity:
    """The object is the subject's object: `self`, and a userset as a member of itself."""


@dataclass(slots=True)
class Direct:
    """Stored tuples of `relation`: the subject itself, the wildcard, and usersets to follow.

    `exact` and `wildcard` are the index of the probe to look at and the forms allowed, or None;
    `usersets` maps (type, relation) to the forms allowed and the plan to ask of each userset,
    which the scan with index `scan` finds.
    """

    exact: tuple[int, Forms] | None
    wildcard: tuple[int, Forms] | None
    usersets: dict[tuple[str, str], tuple[Forms, Plan]]
    scan: int


@dataclass(slots=True)
class Goal:
    """Another relation of the same object, evaluated as a goal of its own."""

    plan: Plan


@dataclass(slots=True)
class Walk:
    """An arrow: the subjects that scan `scan` finds, and the plan to ask of each one's object.

    `targets` has every (type, relation) that the walked relation allows; its plan is None where
    that type has no such target or the target can never reach the subject's form.
    """

    mode: ArrowMode
    targets: dict[tuple[str, str], tuple[Forms, Plan | None]]
    scan: int


@dataclass(slots=True)
class AnyOf:
    """At least one part."""

    parts: tuple[Step, ...]


@dataclass(slots=True)
class AllOf:
    """Every part."""

    parts: tuple[Step, ...]


@dataclass(slots=True)
class Minus:
    """`base` but not `subtracted`."""

    base: Step
    subtracted: Step


Step = Never | Identity | Direct | Goal | Walk | AnyOf | AllOf | Minus


@dataclass(slots=True)
class Program:
    """What one goal reads, and the steps that combine what was read.

    A probe is (relation, whether it is the wildcard's tuple); a scan is (relation, whether
    usersets alone are wanted). Steps name probes and scans by their index. A tuple without caveat
    and expiry that one of the probes in `sure` finds is enough by itself.
    """

    step: Step = field(default_factory=Never)
    probes: list[tuple[str, bool]] = field(default_factory=list)
    scans: list[tuple[str, bool]] = field(default_factory=list)
    sure: tuple[int, ...] = ()


class Plan:
    """The plan of one rewrite of one object type; its program is compiled when first needed.

    Plans are compared by identity: the planner makes one per rewrite.
    """

    __slots__ = ("_planner", "_program", "_rewrite", "name", "object_type")

    def __init__(self, planner: Planner, object_type: ObjectType, name: str, rewrite: Rewrite):
        self.object_type = object_type.name
        self.name = name
        self._planner = planner
        self._rewrite = rewrite
        self._program: Program | None = None

    def __str__(self) -> str:
        return f"{self.object_type}#{self.name}"

    @property
    def form(self) -> SubjectForm:
        """The form of subjects that this is a plan for."""
        return self._planner.form

    @property
    def program(self) -> Program:
        """The compiled program."""
        if self._program is None:
            self._program = _Compiler(self._planner, self.object_type).compile(
                self.name, self._rewrite
            )
        return self._program


class Planner:
    """The plans of one schema for one form of subject."""

    def __init__(self, schema: Schema, reach: SubjectReach, form: SubjectForm) -> None:
        self.schema = schema
        self.form = form
        self._reach = reach
        self._plans: dict[tuple[str, Rewrite | str], Plan] = {}

    def plan(self, object_type: str, name: str) -> Plan | None:
        """The plan of a relation or permission, or None if the form can never be a member."""
        if not self.reaches(object_type, name):
            return None
        rewrite = self.schema.object_types[object_type].rewrite_of(name)
        assert rewrite is not None  # a name that reaches a form exists
        return self._shared(object_type, name, name, rewrite)

    def target(self, object_type: str, target: Computed | Arrow) -> Plan | None:
        """The plan of an arrow's target on one type, or None if it can never be reached."""
        match target:
            case Computed(relation=name):
                return self.plan(object_type, name)
            case Arrow(relation=name):
                if name not in self.schema.object_types[object_type].relations:
                    return None
                return self._shared(object_type, target, f"{name}->…", target)
        assert_never(target)

    def reaches(self, object_type: str, name: str) -> bool:
        """Whether the form may be a member of `object_type#name`; False for unknown names."""
        known = self.schema.object_types.get(object_type)
        return (
            known is not None
            and known.rewrite_of(name) is not None
            and self._reach.reaches(object_type, name, self.form.type, self.form.relation)
        )

    def _shared(self, object_type: str, key: Rewrite | str, name: str, rewrite: Rewrite) -> Plan:
        plan = self._plans.get((object_type, key))
        if plan is None:
            plan = Plan(self, self.schema.object_types[object_type], name, rewrite)
            self._plans[object_type, key] = plan
        return plan


class Plans:
    """The planners of one schema, by form of subject."""

    def __init__(self, schema: Schema) -> None:
        self._schema = schema
        self._reach = SubjectReach(schema)
        self._planners: dict[SubjectForm, Planner] = {}

    def for_subject(self, subject_type: str, subject_relation: str) -> Planner:
        """The planner for subjects of this type and relation, which must be in the schema."""
        form = SubjectForm(subject_type, subject_relation)
        planner = self._planners.get(form)
        if planner is None:
            planner = self._planners[form] = Planner(self._schema, self._reach, form)
        return planner


class _Compiler:
    """Compiles one program; remembers what it reads and which relations it stands inside of."""

    def __init__(self, planner: Planner, object_type: str) -> None:
        self._planner = planner
        self._type = planner.schema.object_types[object_type]
        self._program = Program()
        self._inside: list[str] = []
        self._inlined = 0

    def compile(self, name: str, rewrite: Rewrite) -> Program:
        self._program.step = self._named(name, rewrite)
        self._program.sure = tuple(dict.fromkeys(_sure(self._program.step)))
        return self._program

    def _named(self, name: str, rewrite: Rewrite) -> Step:
        """The step of a rewrite under its name: a userset is also a member of itself."""
        self._inside.append(name)
        step = self._step(rewrite, name)
        self._inside.pop()
        if self._planner.form == (self._type.name, name):
            return _any_of((Identity(), step))
        return step

    def _step(self, rewrite: Rewrite, name: str) -> Step:
        match rewrite:
            case This():
                return self._direct(self._type.relations[name])
            case Computed(relation=other):
                return self._computed(other)
            case Arrow():
                return self._walk(rewrite)
            case Union(children=children):
                return _any_of(self._step(child, name) for child in children)
            case Intersection(children=children):
                return _all_of([self._step(child, name) for child in children])
            case Exclusion(base=base, subtracted=subtracted):
                return _minus(self._step(base, name), self._step(subtracted, name))
            case Nil():
                return Never()
            case Self():
                form = self._planner.form
                return Identity() if form == (self._type.name, "") else Never()
        assert_never(rewrite)

    def _computed(self, name: str) -> Step:
        plan = self._planner.plan(self._type.name, name)
        if plan is None:
            return Never()
        rewrite = self._type.rewrite_of(name)
        assert rewrite is not None  # it has a plan
        size = _size(rewrite)
        if name in self._inside or self._inlined + size > _MAX_INLINED:
            return Goal(plan)
        self._inlined += size
        return self._named(name, rewrite)

    def _direct(self, relation: Relation) -> Step:
        form = self._planner.form
        usersets: dict[tuple[str, str], tuple[Forms, Plan]] = {}
        for kind, forms in allowed_forms(relation, usersets=True).items():
            plan = self._planner.plan(*kind)
            if plan is not None:
                usersets[kind] = (forms, plan)
        exact = None
        if form not in usersets:  # a scan for usersets finds the subject itself, too
            exact = self._probe(relation, form, wildcard=False)
        wildcard = self._probe(relation, form, wildcard=True)
        if exact is None and wildcard is None and not usersets:
            return Never()
        scan = self._scan(relation.name, only_usersets=True) if usersets else -1
        return Direct(exact, wildcard, usersets, scan)

    def _probe(
        self, relation: Relation, form: SubjectForm, *, wildcard: bool
    ) -> tuple[int, Forms] | None:
        forms = frozenset(
            (allowed.caveat, allowed.expiration)
            for allowed in relation.subject_types
            if (allowed.type, allowed.relation) == form and allowed.wildcard == wildcard
        )
        if not forms:
            return None
        return _index(self._program.probes, (relation.name, wildcard)), forms

    def _walk(self, arrow: Arrow) -> Step:
        relation = self._type.relations[arrow.relation]
        targets = {
            kind: (forms, self._planner.target(kind[0], arrow.target))
            for kind, forms in allowed_forms(relation, usersets=False).items()
        }
        if all(plan is None for _, plan in targets.values()):
            return Never()
        return Walk(arrow.mode, targets, self._scan(relation.name, only_usersets=False))

    def _scan(self, relation: str, *, only_usersets: bool) -> int:
        return _index(self._program.scans, (relation, only_usersets))


def allowed_forms(relation: Relation, *, usersets: bool) -> dict[tuple[str, str], Forms]:
    """The forms a relation allows by (subject type, subject relation), wildcards left out."""
    found: dict[tuple[str, str], set[tuple[str, bool]]] = {}
    for allowed in relation.subject_types:
        if not allowed.wildcard and (allowed.relation or not usersets):
            traits = found.setdefault((allowed.type, allowed.relation), set())
            traits.add((allowed.caveat, allowed.expiration))
    return {kind: frozenset(traits) for kind, traits in found.items()}


def _sure(step: Step) -> Iterator[int]:
    """The probes of which one is enough: those that unions alone stand above."""
    match step:
        case AnyOf(parts=parts):
            for part in parts:
                yield from _sure(part)
        case Direct(exact=exact, wildcard=wildcard):
            for probed in (exact, wildcard):
                if probed is not None and ("", False) in probed[1]:
                    yield probed[0]
        case _:
            return


def _size(rewrite: Rewrite) -> int:
    """The nodes of a rewrite; counted no further than what is surely too large to inline."""
    todo = [rewrite]
    for node in todo:
        match node:
            case Union(children=children) | Intersection(children=children):
                todo.extend(children[:_MAX_INLINED])
            case Exclusion(base=base, subtracted=subtracted):
                todo += base, subtracted
        if len(todo) > _MAX_INLINED:
            break
    return len(todo)


def _index(items: list[tuple[str, bool]], item: tuple[str, bool]) -> int:
    if item not in items:
        items.append(item)
    return items.index(item)


def _any_of(steps: Iterable[Step]) -> Step:
    parts: list[Step] = []
    for step in steps:
        if isinstance(step, AnyOf):
            parts.extend(step.parts)
        elif not isinstance(step, Never):
            parts.append(step)
    if not parts:
        return Never()
    # What is likely to decide for little comes first; the answer does not depend on the order.
    return parts[0] if len(parts) == 1 else AnyOf(tuple(sorted(parts, key=_weight)))


def _weight(step: Step) -> int:
    """How much a step costs, roughly."""
    if isinstance(step, Direct):
        return 2 if step.usersets else 1
    return 0 if isinstance(step, Identity) else 3


def _all_of(steps: list[Step]) -> Step:
    if any(isinstance(step, Never) for step in steps):
        return Never()
    return steps[0] if len(steps) == 1 else AllOf(tuple(steps))


def _minus(base: Step, subtracted: Step) -> Step:
    if isinstance(base, Never) or isinstance(subtracted, Never):
        return base
    return Minus(base, subtracted)
