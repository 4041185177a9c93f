"""The cross-check of one case: every question about it, held against a check of everything."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from engine.requests import Check
from engine.store.protocol import Storage
from engine.tuples import Subject
from tests.crosscheck.cases import Case
from tests.crosscheck.layout import LIMITS, Laid, lay_out
from tests.crosscheck.lists import compare_objects, compare_permissions, compare_subjects
from tests.crosscheck.proofs import compare_explanation
from tests.crosscheck.trees import Forest, compare_pages, compare_tree
from tests.crosscheck.truth import Goal, Oracles, Truth, asked_otherwise, brute_force


class Depth(NamedTuple):
    """How many questions of each kind are asked of a layout; a case with fewer is asked all.

    `members` counts the subjects for whom each of the `trees` is read, `pages` the goals whose
    trees are paged through; `explained` are checks of each verdict, `premises` those removed of
    each kind in a proof, `trials` what the search for ways may try. `halves` are the layouts: with
    half of the tuples in an overlay, or with all stored.
    """

    oracles: int = 1
    alone: int = 6
    objects: int = 2
    subjects: int = 2
    permissions: int = 2
    trees: int = 8
    members: int = 3
    pages: int = 2
    explained: int = 1
    premises: int = 2
    trials: int = 20
    halves: tuple[bool, ...] = (True,)

    def times(self, factor: int) -> Depth:
        """As many times as many questions, in both layouts."""
        more: dict[str, Any] = {
            name: factor * number for name, number in self._asdict().items() if name != "halves"
        }
        return Depth(**more, halves=(False, True))


async def compare(storage: Storage, case: Case, depth: Depth, tally: Counter[str]) -> list[str]:
    """The differences of one case, in words; counts what was compared."""
    dice = random.Random(case.name)
    oracles = Oracles(case, _some(dice, case.subjects, depth.oracles))
    wrong: list[str] = []
    for half in depth.halves:
        limits = replace(LIMITS, explain_trials=depth.trials)
        laid = await lay_out(storage, case, half=half, limits=limits)
        truth = await brute_force(laid)
        tally["checks"] += len(truth)
        found = oracles.differences(truth, tally)
        found += await _lists(laid, truth, depth, dice, tally)
        found += await _trees(laid, truth, depth, dice, tally)
        found += await _explanations(laid, truth, depth, dice, tally)
        asked = _some(dice, list(truth), depth.alone)
        found += await asked_otherwise(laid, truth, asked)
        layout = "half of it an overlay" if half else "all stored"
        wrong += [f"{case.name}, {layout}: {one}" for one in found]
    return wrong


async def _lists(
    laid: Laid, truth: Truth, depth: Depth, dice: random.Random, tally: Counter[str]
) -> list[str]:
    case, wrong = laid.case, list[str]()
    types = case.world.schema.object_types
    names = sorted({(name, subject) for subject, (_, name) in truth})
    lively = sorted(
        {(name, subject) for (subject, (_, name)), is_ in truth.items() if is_ != "denied"}
    )
    for name, subject in _mostly(dice, lively, names, depth.objects):
        kinds = [kind for kind, known in types.items() if name in known.names]
        asked = kinds if dice.random() < 0.3 else [dice.choice(kinds)]
        wrong += await compare_objects(laid, truth, asked, name, subject, tally)
    for goal, form in _subject_questions(case, truth, depth.subjects, dice):
        wrong += await compare_subjects(laid, truth, goal, form, tally)
    pairs = [(at, subject) for at in case.objects for subject in case.subjects]
    pairs = [(at, subject) for at, subject in pairs if types[at.type].names]
    for at, subject in _some(dice, pairs, depth.permissions):
        wrong += await compare_permissions(laid, truth, at, subject, tally)
    return wrong


def _subject_questions(
    case: Case, truth: Truth, most: int, dice: random.Random
) -> list[tuple[Goal, tuple[str, str]]]:
    """Goals and forms of subjects: if there is one, a goal that lets in everyone but some, then
    most where anyone is let in."""
    split, lively, every = [], [], []
    for goal in case.goals:
        for form, ids in case.forms.items():
            found = [truth[Subject(form[0], id_, form[1]), goal] for id_ in ids]
            every.append((goal, form))
            if set(found) != {"denied"}:
                lively.append((goal, form))
            if not form[1] and found[-1] != "denied" and set(found) != {found[-1]}:
                split.append((goal, form))
    chosen = _some(dice, split, 1)
    return chosen + _mostly(dice, lively, every, most - len(chosen))


async def _trees(
    laid: Laid, truth: Truth, depth: Depth, dice: random.Random, tally: Counter[str]
) -> list[str]:
    forest, wrong = Forest(laid, tally), list[str]()
    for goal in _some(dice, laid.case.goals, depth.trees):
        subjects = _some(dice, laid.case.subjects, depth.members)
        wrong += await compare_tree(laid, truth, forest, goal, subjects)
    for goal in _some(dice, laid.case.goals, depth.pages):
        wrong += await compare_pages(laid, forest, goal, tally)
    return wrong


async def _explanations(
    laid: Laid, truth: Truth, depth: Depth, dice: random.Random, tally: Counter[str]
) -> list[str]:
    by_verdict: dict[str, list[Any]] = {}
    for asked, is_ in truth.items():
        by_verdict.setdefault(is_ if isinstance(is_, str) else "conditional", []).append(asked)
    wrong: list[str] = []
    for _, candidates in sorted(by_verdict.items()):
        for subject, goal in _some(dice, candidates, depth.explained):
            check = Check(goal[0], goal[1], subject, laid.case.world.context)
            is_ = truth[subject, goal]
            wrong += await compare_explanation(laid, check, is_, tally, depth.premises)
    return wrong


def _some(dice: random.Random, items: Sequence[Any], most: int) -> list[Any]:
    return dice.sample(items, min(most, len(items)))


def _mostly(
    dice: random.Random, first: Sequence[Any], items: Sequence[Any], most: int
) -> list[Any]:
    """Some of the items, three of four from the first ones."""
    chosen = _some(dice, first, most - most // 4)
    rest = [item for item in items if item not in chosen]
    return chosen + _some(dice, rest, most - len(chosen))
