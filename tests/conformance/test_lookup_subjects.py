"""Lookups of subjects and of permissions agree with checks, over all that the files name.

Brute force: every object with every relation and permission, every subject that a file names and
one that it does not; each list at several sizes of page, with the tuples stored, and with half of
them contextual. Of the largest files every n-th question is asked.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pytest

from engine.engine import Engine
from engine.errors import EngineError
from engine.pages import Way
from engine.requests import (
    AtExactSnapshot,
    Check,
    LookupPermissions,
    LookupSubjects,
    WriteRequest,
)
from engine.schemas import compile_schema
from engine.store.memory import MemoryStorage
from engine.tuples import Object, RelationTuple, Subject
from tests.conformance.data import cases
from tests.conformance.planting import plant_tuples
from tests.conformance.scenarios import Stage, every_scenario
from tests.conformance.systems import EngineTenant, System, touches
from tests.conformance.test_known_bypasses import REFUSED
from tests.conformance.validation_files import ValidationFile, every_file, goals
from tests.engine.agreement import simplified
from tests.lookups.subjects import Answer, Listed, differences, every_page

STRANGER = "nobody-by-this-name"
FILES = cases(every_file, lambda file: file.name)
SCENARIOS = cases(
    lambda: [scenario for scenario in every_scenario() if scenario.id not in REFUSED],
    lambda scenario: scenario.id,
)
Form = tuple[str, str]


class Brute:
    """Checks of everything in one store, with some tuples contextual."""

    def __init__(
        self,
        tenant: EngineTenant,
        zookie: str,
        context: Mapping[str, Any],
        contextual: Sequence[RelationTuple],
    ) -> None:
        self.tenant = tenant
        self.at = AtExactSnapshot(zookie)
        self.context = context
        self.contextual = contextual

    async def truth(
        self, object_: Object, relation: str, subjects: Sequence[Subject]
    ) -> list[Answer]:
        checks = [
            Check(object_, relation, subject, self.context, self.contextual) for subject in subjects
        ]
        answer = await self.tenant.engine.check_batch(self.tenant.name, checks, self.at)
        return [simplified(result) for result in answer.results]

    async def subjects(
        self, object_: Object, relation: str, form: Form, ids: Sequence[str], sizes: Sequence[int]
    ) -> list[str]:
        """The differences between the list of one form and the checks of its subjects."""
        asked = LookupSubjects(object_, relation, *form, self.context, self.contextual)
        made = []
        for size in sizes:
            found, gaps = await every_page(
                self.tenant.engine.lookup_subjects,
                self.tenant.name,
                asked,
                Way(size, None, self.at),
            )
            made.append(Listed(tuple(found), frozenset(gap.about for gap in gaps)))
        assert all(one == made[0] for one in made)
        checked = [Subject(form[0], id_, form[1]) for id_ in ids]
        truth = dict(zip(ids, await self.truth(object_, relation, checked), strict=True))
        question = f"{object_}#{relation} for {'#'.join(form)}: "
        return [question + one for one in differences(made[0], form, truth)]

    async def permissions(
        self, object_: Object, subject: Subject, names: Sequence[str]
    ) -> list[str]:
        """The differences between what a subject may do and the checks of each name."""
        asked = LookupPermissions(object_, subject, self.context, self.contextual, relations=True)
        way = Way(consistency=self.at)
        told = await self.tenant.engine.lookup_permissions(self.tenant.name, asked, way)
        says: dict[str, Answer] = {name: simplified(found) for name, found in told.permissions}
        assert list(says) == sorted(says)
        says |= {gap.about: "error" for gap in told.gaps}
        wrong = []
        for name in names:
            (is_,) = await self.truth(object_, name, [subject])
            if says.get(name, "denied") != is_:
                wrong.append(f"{object_}#{name}@{subject} is {is_}, not {says.get(name)}")
        return wrong


def forms_of(subjects: set[Subject]) -> dict[Form, list[str]]:
    """The ids of the subjects that are named, by form; the last one is a stranger's."""
    found: dict[Form, list[str]] = {}
    for subject in sorted(subjects):
        found.setdefault((subject.type, subject.relation), []).append(subject.id)
    return {form: [*ids, STRANGER] for form, ids in found.items()}


def questions(
    schema: str, objects: set[Object], subjects: set[Subject]
) -> Iterator[tuple[Object, str, Form, list[str]]]:
    """Every object with every name and every form of subject."""
    types = compile_schema(schema).schema.object_types
    usersets = {Subject(*at, name) for at in objects for name in types[at.type].names}
    forms = forms_of(subjects | usersets)
    for object_ in sorted(objects):
        for name in types[object_.type].names:
            for form, ids in forms.items():
                yield object_, name, form, ids


async def compare_all(
    brute: Brute, schema: str, objects: set[Object], subjects: set[Subject], most: int
) -> None:
    """Fails with every difference found by about `most` questions."""
    wrong: list[str] = []
    asked = list(questions(schema, objects, subjects))
    for object_, name, form, ids in asked[:: len(asked) // most + 1]:
        sizes = (1, 2, 3, 1000)
        wrong += await brute.subjects(object_, name, form, ids, sizes)
    types = compile_schema(schema).schema.object_types
    for object_ in sorted(objects)[:20]:
        for subject in sorted(subjects)[:3]:
            wrong += await brute.permissions(object_, subject, types[object_.type].names)
    assert not wrong, "\n".join(wrong[:20])


def contexts(file: ValidationFile) -> list[Mapping[str, Any]]:
    """The contexts that the assertions of a file give, each once, and none."""
    made: list[Mapping[str, Any]] = [{}]
    for assertion in file.assertions:
        if assertion.check.context not in made:
            made.append(assertion.check.context)
    return made[:3]


def most(engine: Engine) -> int:
    """How many questions are asked of a store: over a network they take longer."""
    return 40 if isinstance(engine.storage, MemoryStorage) else 25


@pytest.mark.parametrize("file", FILES)
async def test_lists_of_a_file_agree_with_checks(engine: Engine, file: ValidationFile) -> None:
    objects, subjects = goals(file)
    for start in (None, 0):
        tenant = await System(engine).tenant()
        assert isinstance(tenant, EngineTenant)
        zookie = await tenant.put_schema(file.schema)
        stored = file.tuples if start is None else file.tuples[::2]
        contextual = () if start is None else file.tuples[1::2]
        if stored:
            zookie = await tenant.write(touches(stored))
        for context in contexts(file):
            brute = Brute(tenant, zookie, context, contextual)
            await compare_all(brute, file.schema, objects, subjects, most(engine))


def named(stage: Stage) -> tuple[set[Object], set[Subject]]:
    """Every object and every subject but wildcards that a stage names and its schema knows."""
    types = compile_schema(stage.schema).schema.object_types
    stored = {item.subject for item in stage.tuples if item.subject.id != "*"}
    subjects = {subject for subject in stored if subject.type in types}
    subjects = {s for s in subjects if not s.relation or s.relation in types[s.type].names}
    subjects |= {check.subject for check in stage.checks}
    objects = {item.object for item in stage.tuples} | {check.object for check in stage.checks}
    objects |= {Object(subject.type, subject.id) for subject in subjects}
    return {at for at in objects if at.type in types}, subjects


@pytest.mark.parametrize("scenario", SCENARIOS)
async def test_lists_of_a_known_bypass_agree_with_checks(engine: Engine, scenario: Any) -> None:
    stage = scenario.stages[0]
    tenant = await System(engine).tenant()
    assert isinstance(tenant, EngineTenant)
    zookie = await tenant.put_schema(stage.schema)
    for item in stage.tuples:
        try:
            zookie = (await engine.write(tenant.name, WriteRequest(touches([item])))).zookie
        except EngineError:
            zookie = await plant_tuples(tenant, [item])
    objects, subjects = named(stage)
    for context in ({}, *(check.context for check in stage.checks if check.context)):
        brute = Brute(tenant, zookie, context, ())
        await compare_all(brute, stage.schema, objects, subjects, most(engine))


async def test_a_ban_under_a_wildcard_inside_an_intersection_b02(engine: Engine) -> None:
    (scenario,) = (each for each in every_scenario() if each.id == "B02")
    (stage,) = scenario.stages
    tenant = await System(engine).tenant()
    await tenant.put_schema(stage.schema)
    zookie = await tenant.write(touches(stage.tuples))
    asked = LookupSubjects(Object("doc", "1"), "viewer", "user")
    way = Way(consistency=AtExactSnapshot(zookie))
    found = (await engine.lookup_subjects(tenant.name, asked, way)).subjects
    assert [(str(item.subject), item.decision.verdict) for item in found] == [
        ("user:alice", "allowed")
    ]
