"""Lookups of objects agree with checks, over all that the files name.

Brute force: every subject that a file names with every type, relation and permission, and a check
of every object; each list at several sizes of page, with the tuples stored, and with half of them
contextual. Of the largest files every n-th question is asked.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import pytest

from engine.engine import Engine
from engine.errors import EngineError
from engine.pages import Way
from engine.requests import AtExactSnapshot, Check, LookupObjects, WriteRequest
from engine.schemas import compile_schema
from engine.store.memory import MemoryStorage
from engine.tuples import Object, RelationTuple, Subject, parse_subject
from tests.conformance.data import ROOT, cases
from tests.conformance.planting import plant_tuples
from tests.conformance.scenarios import every_scenario, to_tuple, to_zed
from tests.conformance.systems import EngineTenant, System, Tenant, touches
from tests.conformance.test_known_bypasses import REFUSED
from tests.conformance.test_lookup_subjects import contexts, named
from tests.conformance.validation_files import ValidationFile, every_file, goals
from tests.engine.agreement import in_words, simplified
from tests.lookups.objects import every_page

SIZES = (1, 2, 3, 1000)
BATCH = 1000
FILES = cases(every_file, lambda file: file.name)
SCENARIOS = cases(
    lambda: [scenario for scenario in every_scenario() if scenario.id not in REFUSED],
    lambda scenario: scenario.id,
)


class Brute(NamedTuple):
    """Checks of everything in one store, with some tuples contextual."""

    tenant: Tenant
    zookie: str
    context: Mapping[str, Any]
    contextual: Sequence[RelationTuple]

    async def truth(
        self, objects: Sequence[Object], relation: str, subject: Subject
    ) -> dict[str, str]:
        """What checks say of the objects that are not denied."""
        found: dict[str, str] = {}
        at = AtExactSnapshot(self.zookie)
        for start in range(0, len(objects), BATCH):
            part = objects[start : start + BATCH]
            checks = [
                Check(each, relation, subject, self.context, self.contextual) for each in part
            ]
            answer = await self.tenant.engine.check_batch(self.tenant.name, checks, at)
            says = zip(part, map(simplified, answer.results), strict=True)
            found |= {str(each): in_words(said) for each, said in says if said != "denied"}
        return found

    async def list(self, kinds: Sequence[str], relation: str, subject: Subject) -> dict[str, str]:
        """What the list says, which is the same at every size of page."""
        asked = LookupObjects(kinds, relation, subject, self.context, self.contextual)
        made = []
        for size in SIZES:
            way = Way(size, None, AtExactSnapshot(self.zookie))
            found, gaps = await every_page(
                self.tenant.engine.lookup_objects, self.tenant.name, asked, way
            )
            assert [item.object for item in found] == sorted({item.object for item in found})
            says = {str(item.object): in_words(simplified(item.decision)) for item in found}
            made.append(says | {gap.about: "error" for gap in gaps})
        assert all(one == made[0] for one in made)
        return made[0]


async def compare_all(
    brute: Brute, schema: str, objects: set[Object], subjects: set[Subject], most: int
) -> None:
    """Fails with every difference found by about `most` questions."""
    types = compile_schema(schema).schema.object_types
    objects = objects | {Object(subject.type, subject.id) for subject in subjects}
    asked = [
        (kind, name, subject)
        for subject in sorted(subjects)
        for kind, known in types.items()
        for name in known.names
    ]
    wrong = []
    for kind, name, subject in asked[:: len(asked) // most + 1]:
        kinds = [other for other, known in types.items() if name in known.names]
        together = kinds if len(asked) % 2 else [kind]
        there = sorted(each for each in objects if each.type in together)
        is_ = await brute.truth(there, name, subject)
        says = await brute.list(together, name, subject)
        if says != is_:
            wrong.append(f"{together}#{name} of {subject}: is {is_}, the list says {says}")
    assert not wrong, "\n".join(wrong[:20])


def most(engine: Engine) -> int:
    """How many questions are asked of a store: over a network they take longer."""
    return 40 if isinstance(engine.storage, MemoryStorage) else 25


@pytest.mark.parametrize("file", FILES)
async def test_lists_of_a_file_agree_with_checks(engine: Engine, file: ValidationFile) -> None:
    objects, subjects = goals(file)
    subjects |= {Subject(subject.type, "nobody-by-this-name") for subject in subjects}
    for start in (None, 0, 1):
        tenant = await System(engine).tenant()
        zookie = await tenant.put_schema(file.schema)
        stored = file.tuples if start is None else file.tuples[start::2]
        contextual = () if start is None else file.tuples[1 - start :: 2]
        if stored:
            zookie = await tenant.write(touches(stored))
        for context in contexts(file):
            brute = Brute(tenant, zookie, context, contextual)
            await compare_all(brute, file.schema, objects, subjects, most(engine))


@pytest.mark.parametrize("scenario", SCENARIOS)
async def test_lists_of_a_known_bypass_agree_with_checks(engine: Engine, scenario: Any) -> None:
    stage = scenario.stages[0]
    tenant = await System(engine).tenant()
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


class Told(NamedTuple):
    """A published list of objects, with what it is asked of."""

    id: str
    schema: str
    tuples: list[RelationTuple]
    asked: LookupObjects
    ids: list[str]


def published_lists() -> list[Told]:
    """Every list of objects among the published scenarios whose schema is accepted."""
    path = ROOT / "scenarios" / "known-bypasses.json"
    made = []
    for told in json.loads(path.read_text(encoding="utf-8")):
        for kind, name, subject, context, ids in told["lr"]:
            if told["id"] not in REFUSED and told["schema"]:
                asked = LookupObjects((kind,), name, parse_subject(subject), context or {})
                tuples = [to_tuple(text) for text in told["tuples"]]
                made.append(Told(told["id"], to_zed(told["schema"]), tuples, asked, ids))
    return made


# B05, B06 (every size of page), B10, C04 and whatever else the list says of objects.
PUBLISHED = cases(published_lists, lambda told: f"{told.id}-{told.asked.subject}")


@pytest.mark.parametrize("told", PUBLISHED)
async def test_a_published_list_b05_b06_b10_c04(engine: Engine, told: Told) -> None:
    tenant = await System(engine).tenant()
    assert isinstance(tenant, EngineTenant)
    await tenant.put_schema(told.schema)
    zookie = await tenant.write(touches(told.tuples))
    brute = Brute(tenant, zookie, told.asked.context, ())
    says = await brute.list(told.asked.types, told.asked.relation, told.asked.subject)
    assert sorted(says) == sorted(f"{told.asked.types[0]}:{id_}" for id_ in told.ids)
