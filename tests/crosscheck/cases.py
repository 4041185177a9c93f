"""What the cross-check is made over: every published and own scenario, and random worlds.

A case is a world with the objects and subjects to ask about. Its tuples are stored below
validation and its schema is given to the engine as it is, so schemas that no text has and tuples
that no write accepts are crossed, too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from engine.caveats import CaveatSet
from engine.errors import EngineError
from engine.limits import Limits
from engine.schemas import CompiledSchema
from engine.tuples import WILDCARD, Object, RelationTuple, Subject
from engine.write import checked_tuple
from schema.model import Schema
from schema.zed.lower import lower
from schema.zed.parse import parse_document
from tests import test_scenarios
from tests.conformance.scenarios import Scenario, every_scenario
from tests.conformance.validation_files import ValidationFile, every_file, goals
from tests.lookups.subjects import IDS, with_wildcards
from tests.reference import Condition, World
from tests.worlds import NOW, Worlds

STRANGER = "nobody-by-this-name"
_NOWHERE = "nothing-by-this-name"
_CONTEXTS = 3


class Case(NamedTuple):
    """A world and all that is asked about in it; each type of object has one that nothing names,
    and so has each form of subject."""

    name: str
    world: World
    objects: tuple[Object, ...]
    subjects: tuple[Subject, ...]

    @property
    def goals(self) -> list[tuple[Object, str]]:
        """Every object with every relation and permission of its type."""
        types = self.world.schema.object_types
        return [(at, name) for at in self.objects for name in types[at.type].names]

    @property
    def forms(self) -> dict[tuple[str, str], list[str]]:
        """The ids of the subjects by form, a stranger's last."""
        found: dict[tuple[str, str], list[str]] = {}
        for kind, id_, relation in self.subjects:
            found.setdefault((kind, relation), []).append(id_)
        return {form: [*sorted(set(ids) - {STRANGER}), STRANGER] for form, ids in found.items()}


def case(
    name: str,
    world: World,
    objects: Iterable[Object] = (),
    subjects: Iterable[Subject] = (),
) -> Case:
    """A case of a world: all that its tuples name is asked about, and more if given."""
    types = world.schema.object_types
    who = {item.subject for item in world.tuples} | set(subjects)
    who = {each for each in who if each.id != WILDCARD and each.type in types}
    who = {each for each in who if not each.relation or each.relation in types[each.type].names}
    at = {item.object for item in world.tuples} | set(objects)
    at |= {Object(*item.subject[:2]) for item in world.tuples if item.subject.id != WILDCARD}
    at |= {Object(*subject[:2]) for subject in who}
    at = {each for each in at if each.type in types}
    at |= {Object(kind, _NOWHERE) for kind, known in types.items() if known.names}
    who |= {Subject(kind, STRANGER, relation) for kind, _, relation in who}
    return Case(name, _as_written(world), tuple(sorted(at)), tuple(sorted(who)))


def _as_written(world: World) -> World:
    """The world with the contexts of its tuples as a write leaves them, where one takes them."""
    compiled = CompiledSchema(world.schema, CaveatSet(world.schema))
    made: dict[object, RelationTuple] = {}
    for item in world.tuples:
        try:
            made[item.identity] = checked_tuple(compiled, item, Limits(), "tuple")
        except EngineError:
            made[item.identity] = item
    return world._replace(tuples=list(made.values()))


def random_case(seed: int) -> Case:
    """A random world; every second one has wildcards with exclusions."""
    world = Worlds(seed).world()
    if seed % 2:
        world = with_wildcards(world)
    usersets = [("group", "member"), ("group", "all"), ("doc", "view"), ("folder", "view")]
    more = [Subject(kind, id_, name) for kind, name in usersets for id_ in "12"]
    more += [Subject("user", id_) for id_ in IDS["user"]]
    objects = [Object(kind, id_) for kind in ("doc", "folder", "group") for id_ in "12"]
    return case(f"world {seed}", world, objects, more)


def published_files() -> list[Case]:
    """SpiceDB's validation files, each with no context and with those that its assertions have."""
    return [each for file in every_file() for each in _of_file(file)]


def _of_file(file: ValidationFile) -> Iterator[Case]:
    schema = _schema(file.schema)
    objects, subjects = goals(file)
    told = [assertion.check.context for assertion in file.assertions]
    for number, context in enumerate(_contexts(told)):
        world = World(schema, file.tuples, context, NOW, _caveats(schema))
        yield case(f"{file.name} {number}", world, objects, subjects)


def known_bypasses() -> list[Case]:
    """Every stage of every known bypass; what an earlier stage wrote is still stored."""
    return [each for scenario in every_scenario() for each in _of_bypass(scenario)]


def _of_bypass(scenario: Scenario) -> Iterator[Case]:
    stored: dict[object, RelationTuple] = {}
    for number, stage in enumerate(scenario.stages):
        schema = _schema(stage.schema)
        stored |= {item.identity: item for item in stage.tuples}
        objects = [check.object for check in stage.checks]
        subjects = [check.subject for check in stage.checks]
        for context in _contexts(check.context for check in stage.checks):
            world = World(schema, list(stored.values()), context, NOW, _caveats(schema))
            name = f"{scenario.id} stage {number} {dict(context)}"
            yield case(name, world, objects, subjects)


def own_scenarios() -> list[Case]:
    """The scenarios of `tests/scenarios`, at every time and in every context that they name."""
    return [
        each
        for path in test_scenarios.FILES
        for each in _of_scenario(path.stem, test_scenarios.read(path))
    ]


def _of_scenario(name: str, told: test_scenarios.Scenario) -> Iterator[Case]:
    schema = _schema(told.schema)
    known = schema.object_types
    for moment in sorted({group.now for group in told.groups}):
        checks = [check for group in told.groups if group.now == moment for check in group.checks]
        objects = [check.object for check in checks]
        subjects = [check.subject for check in checks if check.subject.type in known]
        for context in _contexts(check.context for check in checks):
            world = World(schema, told.tuples, context, moment, _caveats(schema))
            yield case(f"{name} at {moment} {dict(context)}", world, objects, subjects)


def _schema(text: str) -> Schema:
    """The schema of a text, which the type checker may refuse."""
    schema, problems = lower(parse_document(text))
    assert not len(problems)
    return schema


def _contexts(told: Iterable[Mapping[str, Any]]) -> Sequence[Mapping[str, Any]]:
    """The empty context and the first of those that are told, each once."""
    made: list[Mapping[str, Any]] = [{}]
    made += [context for context in told if context not in made]
    return [each for number, each in enumerate(made) if each not in made[:number]][:_CONTEXTS]


def _caveats(schema: Schema) -> Callable[[str, str, Mapping[str, Any]], Condition]:
    """What the schema's caveats say, for the oracle."""
    caveats = CaveatSet(schema)

    def says(name: str, stored: str, request: Mapping[str, Any]) -> Condition:
        try:
            return caveats.bind(request).evaluate(name, stored)
        except EngineError:
            return None

    return says


def moment_of(each: Case) -> Callable[[], datetime]:
    """A clock that has stopped at the time of the case."""
    return lambda: each.world.now
