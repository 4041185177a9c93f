"""`validation:` blocks, and the sets of subjects that they are compared with, against checks."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from time import perf_counter

import pytest

from api.cli.membership import members_of, settled
from api.cli.subject_sets import Member, SubjectSet
from api.cli.validation import run_file
from api.cli.validation_file import read_validation_file
from engine.budget import Budget
from engine.decision import Decision
from engine.engine import Engine
from engine.errors import BudgetExceeded, EngineError
from engine.expand import expand_all
from engine.requests import FULLY_CONSISTENT, Check, ExpandNode
from engine.schemas import compile_schema
from engine.store.memory import MemoryStorage
from engine.tuples import Object, RelationTuple, Subject
from tests.conformance.data import ROOT, cases
from tests.conformance.systems import System, touches
from tests.conformance.validation_files import ValidationFile, every_file, goals
from tests.explain.asking import decide, prepared
from tests.worlds import Worlds

Goal = tuple[Object, str]


def with_block() -> list[Path]:
    """The files that expect relations."""
    files = sorted((ROOT / "spicedb").rglob("*.yaml"))
    return [file for file in files if re.search(r"(?m)^validation:", file.read_text())]


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", cases(with_block, name_of))
async def test_expected_relations_are_found(path: Path) -> None:
    report = await run_file(path)
    assert report.differences == []
    assert report.holds
    assert report.relations == len(read_validation_file(path).expected)


@pytest.mark.parametrize("path", cases(with_block, name_of))
async def test_each_entry_is_needed_and_each_path_matters(path: Path, tmp_path: Path) -> None:
    text = path.read_text()
    schema = read_validation_file(path).schema_file
    if schema is not None:
        text = text.replace(schema.text, str((path.parent / schema.text).resolve()), 1)
    start = text.index("\nvalidation:")
    lines = [m for m in re.finditer(r'(?m)^    - "\[.*\n', text) if m.start() > start]
    made = tmp_path / path.name
    for line in lines[:12]:
        changes = [
            "",
            line.group().replace(">", "x>", 1),
            line.group().replace("] is", "[...]] is").replace("[...][...]", ""),
        ]
        for changed in changes:
            made.write_text(text[: line.start()] + changed + text[line.end() :])
            report = await run_file(made)
            assert (report.problems, report.schema_problems) == ([], None)
            assert len(report.differences) == 1, (line.group(), changed)


def disagreement(members: SubjectSet, subject: Subject, answer: object) -> str:
    """What a set says of a subject that a check contradicts; a caveat may be decided by what is
    stored, so what the set calls conditional may be anything."""
    found: list[Member] = [members.named[subject]] if subject in members.named else []
    if (covered := members.covered(subject, Member())) is not None:
        found.append(covered)
    verdict = answer.verdict.value if isinstance(answer, Decision) else "error"
    if any(not member.conditional for member in found):
        return "" if verdict in ("allowed", "error") else f"found, {verdict}"
    if found:
        return ""
    return "" if verdict in ("denied", "error") else f"not found, {verdict}"


def plain(subjects: Iterable[Subject]) -> list[Subject]:
    """Those that are no usersets, and a stranger of each type."""
    kept = {subject for subject in subjects if not subject.relation and subject.id != "*"}
    return sorted(kept | {Subject(each.type, "nobody-by-this-name") for each in kept})


@pytest.mark.parametrize("file", cases(every_file, lambda file: file.name))
async def test_sets_of_a_file_agree_with_checks(file: ValidationFile) -> None:
    engine = Engine(MemoryStorage())
    tenant = await System(engine).tenant()
    await tenant.put_schema(file.schema)
    await tenant.write(touches(file.tuples))
    types = compile_schema(file.schema).schema.object_types
    objects, subjects = goals(file)
    wrong = []
    wanted = [(each, name) for each in sorted(objects) for name in types[each.type].names]
    for object_, name in wanted[:: len(wanted) // 60 + 1]:
        members = await members_of(engine, tenant.name, object_, name)
        checks = [Check(object_, name, subject) for subject in plain(subjects)[:200]]
        answer = await engine.check_batch(tenant.name, checks, FULLY_CONSISTENT)
        for check, result in zip(checks, answer.results, strict=True):
            if said := disagreement(members, check.subject, result):
                wrong.append(f"{object_}#{name}@{check.subject}: {said}")
    assert wrong == []


async def trees_of(
    world_tuples: Sequence[RelationTuple], seed: int, goal: Goal
) -> list[ExpandNode]:
    """The trees of a goal in a random world, and of the usersets beneath it. Raises
    BudgetExceeded for a goal with many paths."""
    ground, _ = await prepared(Worlds(seed).world(), world_tuples)
    found: list[ExpandNode] = []
    seen, level = {goal}, [goal]
    budget = Budget(10**4, 500, perf_counter() + 60)
    while level:
        schema = ground.compiled.schema
        trees = await expand_all(schema, ground.reader, level, ground.now, budget)
        found += trees
        level = sorted({at for tree in trees for at in usersets(tree)} - seen)
        seen.update(level)
    return found


def usersets(tree: ExpandNode) -> set[Goal]:
    beneath = {goal for child in tree.children for goal in usersets(child)}
    subjects = [item.subject for item in tree.subjects if item.subject.relation]
    return beneath | {(Object(each.type, each.id), each.relation) for each in subjects}


@pytest.mark.parametrize("seeds", [range(40), range(40, 80)], ids=str)
async def test_sets_of_random_worlds_agree_with_checks(seeds: range) -> None:
    tally: Counter[str] = Counter()
    wrong = []
    for seed in seeds:
        worlds = Worlds(seed)
        world = worlds.world()
        for one in worlds.checks(world, 1, 6):
            subjects = plain({item.subject for item in world.tuples})
            checks = [Check(one.object, one.relation, each, one.context) for each in subjects]
            results = await decide(world, checks, world.tuples)
            tally["asked"] += 1
            try:
                trees = await trees_of(world.tuples, seed, (one.object, one.relation))
                members = settled(trees)[one.object, one.relation]
            except BudgetExceeded:
                tally["given up"] += 1
                continue
            if any(isinstance(result, EngineError) for result in results):
                continue
            tally["found"] += bool(members.named)
            tally["everyone"] += bool(members.everyone)
            for check, result in zip(checks, results, strict=True):
                if said := disagreement(members, check.subject, result):
                    wrong.append(f"{seed}: {one.object}#{one.relation}@{check.subject}: {said}")
    assert wrong == []
    assert (tally["found"] > 20, tally["everyone"] > 3) == (True, True), tally
    assert tally["given up"] < tally["asked"] / 2, tally
